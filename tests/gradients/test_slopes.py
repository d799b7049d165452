"""Slope policies: BPTR, RGA, HART and the analog twin, layer by layer."""

from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.coding import EventFrames
from art_snn.gradients import BPTR, HART, RGA, ANNTwin, Surrogate
from art_snn.gradients.rga import rate_slope
from art_snn.networks import SpikingNetwork, ann_twin, mlp

T, N, K = 8, 5, 4


def drive(low: float = -0.5, high: float = 2.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    current = torch.rand(T, N, K, generator=generator, dtype=torch.float64) * 0.2
    level = torch.linspace(low, high, N * K, dtype=torch.float64).reshape(1, N, K)
    return current + level, torch.randn(T, N, K, generator=generator, dtype=torch.float64)


def received(node, policy, current: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    net = SpikingNetwork(EventFrames(current.shape[0]), node).double().eval()
    leaf = current.clone().requires_grad_(True)
    with net.gradient(policy):
        spikes = net.simulate(leaf)
    return spikes.detach(), torch.autograd.grad(spikes, leaf, delta)[0]


@pytest.mark.parametrize("mode", ["s", "m"])
def test_bptr_is_zero_exactly_where_nothing_fired(mode: str) -> None:
    current, delta = drive()
    spikes, g = received(neuron.LIFNode(2.0, False, step_mode=mode), BPTR(), current, delta)
    fired = spikes.sum(0) > 0
    assert 0 < fired.double().mean() < 1
    assert torch.equal(g, delta * fired)
    assert bool(((g == 0) == ~fired.expand_as(g)).all())


def test_bptr_counts_negative_spikes_as_firing() -> None:
    current = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, 1, 1)
    spikes, g = received(neuron.TernaryIFNode(step_mode="m"), BPTR(), current, torch.ones_like(current))
    assert spikes.flatten().tolist() == [1, -1]
    assert g.flatten().tolist() == [1, 1]


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("decay", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, None, -0.5])
@pytest.mark.parametrize("policy", [BPTR(), RGA(), RGA(0.4, 1.5), ANNTwin()])
def test_one_layer_is_its_slope_table(policy, v_reset, decay: bool, mode: str) -> None:
    tau, theta = 4.0, 0.8
    current, delta = drive(-0.5, 9.0 if decay else 2.5)
    node = neuron.LIFNode(tau, decay, theta, v_reset, step_mode=mode)
    spikes, g = received(node, policy, current, delta)
    gain, climb, leak = (1 / tau if decay else 1.0), theta - (v_reset or 0.0), 1 - 1 / tau

    def kappa(mean: float, fired: bool) -> float:
        if isinstance(policy, BPTR):
            return float(fired)
        if isinstance(policy, ANNTwin):
            return (1 / climb) * (0 < mean < climb)
        if 0 <= mean <= (1 - leak) * climb:
            return policy.gamma
        if (1 - leak) * climb < mean <= policy.beta * climb:
            return (1 - policy.gamma * climb * (1 - leak)) / ((leak + policy.beta - 1) * climb)
        return 0.0

    mean, fired = (gain * current).mean(0), spikes.sum(0) > 0
    table = torch.tensor([[kappa(mean[n, k].item(), bool(fired[n, k])) for k in range(K)] for n in range(N)])
    assert len(set(table.flatten().tolist())) > 1
    assert torch.allclose(g, gain * table * delta, rtol=1e-6)


@pytest.mark.parametrize("policy", [BPTR(), RGA(), HART(0.7), ANNTwin()])
@pytest.mark.parametrize("decay", [True, False])
def test_learned_time_constants_are_read(policy, decay: bool) -> None:
    current, delta = drive(0.0, 6.0 if decay else 2.5)
    plif = neuron.ParametricLIFNode(3.0, decay, step_mode="m")
    with torch.no_grad():
        plif.w.fill_(math.log(1 / 3))
    assert plif.w.sigmoid().item() == pytest.approx(0.25)
    _, learned = received(plif, policy, current, delta)
    _, fixed = received(neuron.LIFNode(4.0, decay, step_mode="m"), policy, current, delta)
    assert torch.allclose(learned, fixed, rtol=1e-6, atol=1e-9)
    assert plif.w.grad is None


def test_rate_curve_is_continuous_and_ends_at_full_rate() -> None:
    for leak, theta, gamma, beta in ((0.5, 1.0, 0.2, 2.0), (0.75, 0.6, 0.4, 1.5), (1.0, 1.3, 0.2, 2.0)):
        grid = torch.linspace(0, beta * theta, 200_001, dtype=torch.float64)
        middle = (grid[1:] + grid[:-1]) / 2
        total = (rate_slope(middle, leak, theta, gamma, beta) * (grid[1] - grid[0])).sum()
        assert total.item() == pytest.approx(1.0, abs=1e-4)


def test_rate_slope_of_an_if_neuron_is_constant() -> None:
    current = torch.tensor([-1e-9, 0.0, 0.5, 2.6, 2.7])
    expected = torch.tensor([0.0, 1 / 2.6, 1 / 2.6, 1 / 2.6, 0.0])
    assert torch.allclose(rate_slope(current, 1.0, 1.3), expected)


def test_rate_slope_intervals_do_not_overlap() -> None:
    assert rate_slope(torch.tensor([0.5]), 0.5, 1.0).item() == pytest.approx(0.2)


def test_twin_is_zero_outside_of_its_ramp() -> None:
    current = torch.tensor([-0.1, 0.0, 0.4, 3.9, 4.0, 5.0], dtype=torch.float64).expand(T, 1, 6)
    _, g = received(neuron.LIFNode(4.0, True), ANNTwin(), current[:, :, :], torch.ones(T, 1, 6, dtype=torch.float64))
    assert g[0, 0].tolist() == [0, 0, 0.25, 0.25, 0, 0]


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_hart_is_constant_in_time_and_the_mean_of_the_chainless_gradient(v_reset) -> None:
    current, delta = drive()
    node = neuron.LIFNode(2.0, False, v_reset=v_reset, step_mode="m")
    _, g = received(node, HART(0.7), current, delta)
    _, steps = received(node, Surrogate("triangle", 1 / 0.7, temporal_chain="none"), current, delta)
    assert bool((g == g[:1]).all())
    assert torch.allclose(g[0], steps.mean(0), rtol=1e-12)
    assert g.abs().max() > 0


@pytest.mark.parametrize("kind", ["if", "lif", "plif"])
@pytest.mark.parametrize("decay", [True, False])
def test_hart_of_one_step_is_bptt(kind, decay, net, node, grid, gradient) -> None:
    model = net(lambda: node(kind, decay=decay), T=1)
    hart = gradient(model, grid(), HART(3.0))
    assert hart.abs().max() > 0
    assert torch.allclose(hart, gradient(model, grid(), Surrogate("triangle", 1 / 3.0)), rtol=1e-6)


def test_hart_names_a_stepped_neuron(net, node) -> None:
    model = net(lambda: node("lif", mode="s"))
    with pytest.raises(ValueError, match=r"body\.1.*set_step_mode"), model.gradient(HART()):
        pass


def test_separate_twin_gives_its_jacobian_and_stays_untouched() -> None:
    net = mlp((1, 4, 4), 3, hidden=(9,)).eval()
    twin = ann_twin(net).eval()
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    weights = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    with net.gradient(ANNTwin(twin)):
        (net(x) * weights).sum().backward()
    assert torch.allclose(x.grad, torch.autograd.grad((twin(x) * weights).sum(), x)[0])
    assert all(p.grad is None and p.requires_grad for p in [*twin.parameters(), *net.parameters()])
    assert ANNTwin(twin).is_transfer
    with net.gradient(ANNTwin(nn.Flatten())), pytest.raises(ValueError, match="twin logits"):
        net(x)
    with net.gradient(ANNTwin(twin)), pytest.raises(ValueError, match="inline"):
        net.simulate(net.encode(x))


@pytest.mark.parametrize(
    "build",
    [lambda: RGA(gamma=-1), lambda: RGA(beta=0.5), lambda: HART(0.0), lambda: HART(math.nan)],
)
def test_refuses(build) -> None:
    with pytest.raises(ValueError, match="Fix:"):
        build()
    with pytest.raises(TypeError, match="Fix:"):
        ANNTwin("resnet")
