from __future__ import annotations

import gc
import weakref

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor

from art_snn.coding import Direct, EventFrames, Poisson
from art_snn.errors import GradientWarning
from art_snn.gradients import ASSG, FAMILIES, Surrogate
from art_snn.networks import SpikingNetwork, mlp

FAMILY = [name for name, kind in FAMILIES.items() if kind.reach is not None]


def probe(policy: ASSG, v: Tensor, node=None) -> Tensor:
    """Sharpness that a layer with membranes ``v`` [N, *] gets at its first step: h(0) at membrane v."""
    net = SpikingNetwork(EventFrames(1), node or neuron.IFNode(step_mode="m")).eval()
    leaf = (v + 1)[None].clone().requires_grad_(True)
    with net.gradient(policy):
        s = net.simulate(leaf)
    return torch.autograd.grad(s.sum(), leaf)[0][0]


def values(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("half", "w"), [(0.35, 1.25), (0.425, 2.65), (0.45, 4.02), (0.49, 20.3)])
def test_argument_is_half_the_degree(half: float, w: float) -> None:
    assert ASSG(half).w == pytest.approx(w, rel=5e-3)
    assert ASSG(half).degree == pytest.approx(2 * half)


@pytest.mark.parametrize("family", FAMILY)
def test_reaches_its_vanishing_degree_on_inputs_that_stand_still(family: str) -> None:
    policy, v = ASSG(0.4, family=family), values(1, 200)
    kind = FAMILIES[family]
    alphas: list[Tensor] = []
    with policy.attack_scope([0]) as scope:
        rule = policy._rule(scope, neuron.IFNode(), moves=True)
        for _ in range(150):
            alphas.append(rule(v, 0))  # noqa: PERF401
    assert all(bool((a > 0).all() and torch.isfinite(a).all()) for a in alphas)
    degree = kind.mass(alphas[-1] * v.abs())
    assert bool(((degree - 0.8).abs() < 0.02)[v.abs() > 0.01].all())


@pytest.mark.parametrize("spread", [0.0, 1.5])
@pytest.mark.parametrize("family", FAMILY)
def test_stays_below_its_degree_on_inputs_that_vary(family: str, spread: float) -> None:
    policy = ASSG(0.425, family=family, spread=spread)
    kind, degrees = FAMILIES[family], []
    with policy.attack_scope([0]) as scope:
        rule = policy._rule(scope, neuron.IFNode(), moves=True)
        for step in range(200):
            v = values(1, 400, seed=step)
            alpha = rule(v, 0)
            if step >= 50:
                degrees.append(kind.mass(alpha * v.abs()).mean().item())
    assert sum(degrees) / len(degrees) <= 0.85 + 0.02


def test_recursion_over_iterations_by_hand() -> None:
    policy = ASSG(0.43, spread=1.2, beta1=0.8, beta2=0.7)
    mean, spread = torch.ones(3, 5, dtype=torch.float64), torch.zeros(3, 5, dtype=torch.float64)
    node = neuron.IFNode(step_mode="m")
    with policy.attack_scope([4, 5, 6]):
        for k in range(4):
            v = values(3, 5, seed=k)
            mean = 0.8 * mean + 0.2 * v.abs()
            spread = 0.7 * spread + 0.3 * (v.abs() - mean).abs()
            alpha = policy.w / (mean + 1.2 * spread + 1e-4)
            expected = alpha / 2 / (1 + (torch.pi * alpha * v / 2) ** 2)
            assert torch.allclose(probe(policy, v, node), expected, rtol=1e-10)


def grads(net, policy, x: Tensor, iterations: int = 3) -> Tensor:
    """Gradients along a short sign-gradient walk."""
    seen = []
    for _ in range(iterations):
        x = x.detach().requires_grad_(True)
        with net.gradient(policy):
            g = torch.autograd.grad((net(x) * torch.tensor([1.0, -2.0, 0.5])).sum(), x)[0]
        seen.append(g)
        x = (x + 0.05 * g.sign()).clamp(0, 1)
    return torch.stack(seen)


@pytest.fixture
def model():
    return mlp((1, 4, 4), 3, hidden=(12, 9), encoder=Direct(T=4)).double().eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_state_moves_and_a_restart_forgets_it(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope:
        first = grads(model, policy, images)
        later = grads(model, policy, images)
        scope.restart()
        again = grads(model, policy, images)
    assert not torch.equal(first, later)
    assert torch.equal(first, again)


def test_a_restart_of_some_samples_leaves_the_others(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope:
        fresh = grads(model, policy, images, 1)
        scope.restart([1, 4])
        mixed = grads(model, policy, images, 1)
    with policy.attack_scope(range(6)):
        grads(model, policy, images, 1)
        moved = grads(model, policy, images, 1)
    restarted = torch.tensor([False, True, False, False, True, False])
    assert torch.equal(mixed[:, restarted], fresh[:, restarted])
    assert torch.equal(mixed[:, ~restarted], moved[:, ~restarted])


@pytest.mark.parametrize("storage", [None, torch.float16])
def test_survivors_keep_their_state(model, images, storage) -> None:
    policy, ids = ASSG(0.45, storage=storage), [30, 31, 32, 33, 34, 35]
    with policy.attack_scope(ids):
        grads(model, policy, images)
        whole = grads(model, policy, images)
    with policy.attack_scope(ids) as scope:
        grads(model, policy, images)
        scope.batch([34, 31])
        left = grads(model, policy, images[[4, 1]])
        scope.batch(ids)
        grads(model, policy, images)
    assert torch.allclose(left, whole[:, [4, 1]], rtol=1e-10, atol=1e-13)


def test_first_batch_may_be_a_part(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope:
        scope.batch([5, 2])
        part = grads(model, policy, images[[5, 2]])
    with policy.attack_scope(range(6)):
        whole = grads(model, policy, images)
    assert torch.allclose(part, whole[:, [5, 2]], rtol=1e-10, atol=1e-13)


def test_a_forgotten_batch_announcement_is_an_error(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope, model.gradient(policy):
        with pytest.raises(ValueError, match=r"scope\.batch"):
            model(images[:4])
        with pytest.raises(ValueError, match="ids"):
            scope.batch([0, 99])
        with pytest.raises(ValueError, match="repeated"):
            scope.batch([0, 0])
    with pytest.raises(ValueError, match="distinct"), policy.attack_scope([1, 1]):
        pass


def test_only_the_first_draw_moves_the_state() -> None:
    net = mlp((1, 4, 4), 3, hidden=(12,), encoder=Poisson(T=4)).eval()
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    kept = []
    for eot in (1, 5):
        policy, net.eot = ASSG(0.45), eot
        net.reseed()
        with policy.attack_scope(range(3)) as scope, net.gradient(policy):
            net(x)
            kept.append([value.clone() for values in scope._values.values() for value in values])
    assert len(kept[0]) == 2 * 4
    for one, several in zip(*kept, strict=True):
        assert torch.equal(one, several)


def test_frozen_forwards_use_the_state_and_do_not_move_it(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope:
        moved = grads(model, policy, images, 1)
        with scope.frozen():
            frozen = [grads(model, policy, images, 1) for _ in range(2)]
        assert torch.equal(frozen[0], moved)
        assert torch.equal(frozen[1], moved)
        assert not torch.equal(grads(model, policy, images, 1), moved)


def test_predictions_do_not_move_the_state(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope, model.gradient(policy), torch.no_grad():
        model(images)
        assert not scope._values


def test_leaving_the_scope_frees_the_state(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)) as scope:
        grads(model, policy, images, 1)
        kept = weakref.ref(next(iter(scope._values.values()))[0])
        assert kept() is not None
    del scope
    gc.collect()
    assert kept() is None


def test_outside_a_scope_it_is_stateless_and_warns_once(model, images) -> None:
    policy, v = ASSG(0.45), values(2, 5)
    with pytest.warns(GradientWarning, match="attack_scope"):
        h = probe(policy, v)
    alpha = policy.w / (v.abs() + 1e-4)
    assert torch.allclose(h, FAMILIES["atan"].slope(v, alpha), rtol=1e-10)
    assert torch.equal(probe(policy, v), h)
    one = grads(model, policy, images, 1)
    assert torch.equal(grads(model, policy, images, 1), one)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
def test_stateless_degree_only_rescales_in_a_feed_forward_net(model, images) -> None:
    low, high = (grads(model, ASSG(half), images, 1)[0].flatten(1) for half in (0.38, 0.46))
    assert torch.nn.functional.cosine_similarity(low, high).min() > 0.999


def test_two_networks_in_one_scope_do_not_share(model, images) -> None:
    policy, other = ASSG(0.45), mlp((1, 4, 4), 3, hidden=(12, 9), encoder=Direct(T=4), seed=5).double().eval()
    with policy.attack_scope(range(6)):
        alone = grads(model, policy, images)
    with policy.attack_scope(range(6)):
        grads(other, policy, images)
        beside = grads(model, policy, images)
    assert torch.equal(alone, beside)


def test_differs_from_a_fixed_surrogate(model, images) -> None:
    policy = ASSG(0.45)
    with policy.attack_scope(range(6)):
        assert not torch.allclose(grads(model, policy, images, 1), grads(model, Surrogate("atan"), images, 1))


@pytest.mark.parametrize(
    "build",
    [
        lambda: ASSG(0.5),
        lambda: ASSG(0.0),
        lambda: ASSG(0.9),
        lambda: ASSG(0.4, family="identity"),
        lambda: ASSG(0.4, family="nope"),
        lambda: ASSG(0.4, beta1=1.0),
        lambda: ASSG(0.4, spread=-1),
    ],
)
def test_refuses(build) -> None:
    with pytest.raises(ValueError, match="Fix:"):
        build()
