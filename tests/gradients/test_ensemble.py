from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from art_snn.coding import Direct, Poisson
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, SCG, ANNTwin, Ensemble, StraightThrough, Surrogate
from art_snn.networks import mlp

MEMBERS = [Surrogate("atan", 8.0), BPTR(), RGA(), HART(2.0), PDSG(), StraightThrough(), ANNTwin(), SCG(2.0)]
MIXTURE = torch.tensor([1.0, -2.0, 0.5])


@pytest.fixture
def model():
    return mlp((1, 4, 4), 3, hidden=(12, 9), encoder=Direct(T=4)).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("member", MEMBERS, ids=repr)
def test_of_one_is_that_one(member, model, images, gradient) -> None:
    alone, ensemble = (gradient(model, images, p).flatten(1) for p in (member, Ensemble([member])))
    live = alone.abs().sum(1) > 0
    assert bool(live.any())
    assert torch.allclose(cosine_similarity(alone[live], ensemble[live]), torch.ones(()), atol=1e-6)
    assert torch.equal(alone.sign(), ensemble.sign())
    vote = gradient(model, images, Ensemble([member], rule="sign_vote")).flatten(1)
    assert torch.equal(vote, alone.sign())


def test_weighted_sum_of_normalized_gradients(model, images, gradient) -> None:
    members, weights = MEMBERS[:3], (0.5, 0.3, 0.2)
    expected = torch.zeros_like(images)
    for member, weight in zip(members, weights, strict=True):
        for i, g in enumerate(gradient(model, images, member)):
            expected[i] += weight * g / (g.abs().mean() + 1e-12)
    assert torch.allclose(gradient(model, images, Ensemble(members, weights)), expected, rtol=1e-5, atol=1e-6)
    signs = sum(gradient(model, images, member).sign() for member in members) / 3
    assert torch.allclose(gradient(model, images, Ensemble(members, rule="sign_vote")), signs, atol=1e-6)


def test_a_sample_does_not_depend_on_its_batch(model, images, gradient) -> None:
    policy, model, images = Ensemble([PDSG(), BPTR()]), model.double(), images.double()
    whole = gradient(model, images, policy)
    assert torch.allclose(torch.cat([gradient(model, x[None], policy) for x in images]), whole, rtol=1e-10, atol=1e-13)


def test_a_member_without_gradient_adds_nothing(model, images, gradient) -> None:
    blind = Surrogate("rect", 1e9)
    assert gradient(model, images, blind).abs().sum() == 0
    both = gradient(model, images, Ensemble([blind, BPTR()]))
    assert bool(torch.isfinite(both).all())
    assert torch.allclose(both * 2, gradient(model, images, Ensemble([BPTR()])), rtol=1e-6)


def test_nested_ensembles(model, images, gradient) -> None:
    inner = Ensemble([BPTR(), RGA()])
    outer = gradient(model, images, Ensemble([inner])).flatten(1)
    assert torch.allclose(
        cosine_similarity(outer, gradient(model, images, inner).flatten(1)), torch.ones(()), atol=1e-6
    )


def test_same_draws_for_every_member(gradient) -> None:
    net = mlp((1, 4, 4), 3, hidden=(12,), encoder=Poisson(T=4)).eval()
    net.eot = 3
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    policy = Surrogate("atan", 8.0)
    net.reseed()
    alone = gradient(net, x, policy).flatten(1)
    net.reseed()
    twice = gradient(net, x, Ensemble([policy, policy, policy])).flatten(1)
    assert torch.allclose(cosine_similarity(alone, twice), torch.ones(()), atol=1e-6)


def test_every_class_gradient_at_once(model, images) -> None:
    x, eye = images.requires_grad_(True), torch.eye(3)[:, None].expand(3, 6, 3)
    with model.gradient(Ensemble([BPTR(), PDSG()])):
        z = model(x)
    batched = torch.autograd.grad(z, x, eye, retain_graph=True, is_grads_batched=True)[0]
    loop = torch.stack([torch.autograd.grad(z, x, one, retain_graph=True)[0] for one in eye])
    assert torch.allclose(batched, loop, rtol=1e-5, atol=1e-6)


def test_gradient_chains_to_what_made_the_input(model, images) -> None:
    scale = torch.tensor(2.0, requires_grad=True)
    leaf = images.clone().requires_grad_(True)
    with model.gradient(Ensemble([BPTR()])):
        z = model(leaf * scale)
    to_leaf = torch.autograd.grad((z * MIXTURE).sum(), leaf)[0]
    half = (images * 2).requires_grad_(True)
    with model.gradient(Ensemble([BPTR()])):
        direct = torch.autograd.grad((model(half) * MIXTURE).sum(), half)[0]
    assert torch.allclose(to_leaf, 2 * direct)


def test_parameters_get_no_gradient_and_plain_training_goes_on(model, images) -> None:
    with model.gradient(Ensemble([BPTR()])):
        model(images.clone().requires_grad_(True)).sum().backward()
        assert all(p.grad is None for p in model.parameters())
        model(images).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_double_backward_is_refused(model, images) -> None:
    x = images.requires_grad_(True)
    with model.gradient(Ensemble([Surrogate("atan")])):
        z = model(x)
    with pytest.raises(RuntimeError, match="first derivative"):
        torch.autograd.grad(z.sum(), x, create_graph=True)


def test_scopes_reach_the_members(model, images, gradient) -> None:
    member = ASSG(0.45)
    policy = Ensemble([member, BPTR()])
    assert policy.is_stateful
    with policy.attack_scope(range(6)) as scope:
        fresh = gradient(model, images, policy)
        assert member._scope is not None
        with scope.frozen():
            gradient(model, images, policy)
        moved = gradient(model, images, policy)
        scope.restart()
        assert torch.equal(gradient(model, images, policy), fresh)
        scope.batch([3, 1])
        assert gradient(model, images[[3, 1]], policy).shape[0] == 2
    assert member._scope is None
    assert not torch.equal(fresh, moved)


def test_modified_forwards_do_not_reach_the_logits(model, images) -> None:
    x = images.requires_grad_(True)
    plain = model(x)
    mixed, only = Ensemble([SCG(2.0), BPTR()]), Ensemble([SCG(2.0)])
    assert not mixed.modifies_forward
    assert only.modifies_forward
    with model.gradient(mixed):
        assert torch.equal(model(x), plain)


def test_refuses(model) -> None:
    with pytest.raises(TypeError, match="Fix:"):
        Ensemble(["bptr"])
    for build in (
        lambda: Ensemble([]),
        lambda: Ensemble([BPTR()], rule="max"),
        lambda: Ensemble([BPTR()], [0.0]),
        lambda: Ensemble([BPTR()], [1.0, 1.0]),
    ):
        with pytest.raises(ValueError, match="Fix:"):
            build()
    with model.gradient(Ensemble([BPTR()])), pytest.raises(ValueError, match="at_spikes"):
        model.simulate(torch.zeros(4, 2, 1, 4, 4))
