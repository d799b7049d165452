"""Backpropagation through time against a recursion written out by hand, in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based import surrogate as sj
from torch import Tensor

from art_snn.coding import EventFrames
from art_snn.gradients import FAMILIES, StraightThrough, Surrogate, surrogate
from art_snn.networks import SpikingNetwork

T, N, K = 6, 4, 3


def alone(node) -> SpikingNetwork:
    """One neuron layer, whose input current is the input."""
    return SpikingNetwork(EventFrames(T), node).double().eval()


def drive(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    current = torch.rand(T, N, K, generator=generator, dtype=torch.float64) * 2 - 0.3
    return current, torch.randn(T, N, K, generator=generator, dtype=torch.float64)


def received(node, policy, current: Tensor, delta: Tensor, mode: str = "m") -> tuple[Tensor, Tensor]:
    """Spikes, and the gradient of the current, under a policy."""
    node.step_mode = mode
    net, leaf = alone(node), current.clone().requires_grad_(True)
    with net.gradient(policy):
        spikes = net.simulate(leaf)
    return spikes.detach(), torch.autograd.grad(spikes, leaf, delta)[0]


def recursion(current, delta, h, *, leak, gain, theta, v_reset, detach, chain=True) -> tuple[Tensor, Tensor]:
    """e_t = delta_t h(v_t) + leak rho_t e_{t+1}, g_t = gain e_t, element by element in plain Python."""
    g, spikes = torch.zeros_like(current), torch.zeros_like(current)
    hard, rest = v_reset is not None, v_reset or 0.0
    for n in range(current.shape[1]):
        for k in range(current.shape[2]):
            m, us, ss = rest, [], []
            for t in range(current.shape[0]):
                u = leak * m + (1 - leak) * rest + gain * current[t, n, k].item()
                s = 1.0 if u - theta >= 0 else 0.0
                m = (1 - s) * u + s * rest if hard else u - theta * s
                us.append(u)
                ss.append(s)
            e = 0.0
            for t in reversed(range(current.shape[0])):
                slope = h(torch.tensor(us[t] - theta, dtype=torch.float64)).item()
                rho = 1 - ss[t] if hard else 1.0
                if not detach:
                    rho += (rest - us[t]) * slope if hard else -theta * slope
                e = delta[t, n, k].item() * slope + (leak * rho * e if chain else 0.0)
                g[t, n, k], spikes[t, n, k] = gain * e, ss[t]
    return spikes, g


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, None, -0.3])
def test_every_surrogate_reset_and_detachment(family: str, v_reset: float | None, detach: bool) -> None:
    current, delta = drive()
    current = current * 1.6
    node = neuron.LIFNode(2.5, True, 0.7, v_reset, detach_reset=detach)
    constants = {"leak": 1 - 1 / 2.5, "gain": 1 / 2.5, "theta": 0.7, "v_reset": v_reset, "detach": detach}
    spikes, g = recursion(current, delta, surrogate(family, 2.5).slope, **constants)
    assert 0.05 < spikes.mean() < 0.95
    ours_spikes, ours = received(node, Surrogate(family, 2.5), current, delta)
    assert torch.equal(ours_spikes, spikes)
    assert torch.allclose(ours, g, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize(
    ("node", "leak", "gain"),
    [
        (lambda: neuron.IFNode(v_reset=-0.3), 1.0, 1.0),
        (lambda: neuron.LIFNode(3.0, False, v_reset=-0.3), 2 / 3, 1.0),
        (lambda: neuron.LIFNode(3.0, True, v_reset=-0.3), 2 / 3, 1 / 3),
        (lambda: neuron.ParametricLIFNode(3.0, False, v_reset=-0.3), 2 / 3, 1.0),
        (lambda: neuron.ParametricLIFNode(3.0, True, v_reset=-0.3), 2 / 3, 1 / 3),
    ],
)
def test_every_neuron_with_and_without_a_chain(node, leak: float, gain: float, mode: str) -> None:
    current, delta = drive(1)
    current = current * 1.5
    for chain in ("full", "none"):
        _, g = recursion(
            current, delta, surrogate("atan").slope,
            leak=leak, gain=gain, theta=1.0, v_reset=-0.3, detach=False, chain=chain == "full",
        )  # fmt: skip
        _, ours = received(node(), Surrogate("atan", temporal_chain=chain), current, delta, mode)
        assert torch.allclose(ours, g, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("own", [True, False])
def test_detach_reset_can_be_overridden(own: bool) -> None:
    current, delta = drive()
    for wanted in (True, False):
        node = neuron.LIFNode(detach_reset=own)
        _, ours = received(node, Surrogate("atan", detach_reset=wanted), current, delta)
        _, theirs = received(neuron.LIFNode(detach_reset=wanted), Surrogate("atan"), current, delta)
        assert torch.equal(ours, theirs)
        assert node.detach_reset is own


def test_spikingjellys_surrogates_by_instance() -> None:
    current, delta = drive()
    for theirs, family in ((sj.ATan(3.0), "atan"), (sj.Erf(3.0), "erf"), (sj.Rect(3.0), "rect")):
        _, a = received(neuron.LIFNode(), Surrogate(theirs), current, delta)
        _, b = received(neuron.LIFNode(), Surrogate(family, 3.0), current, delta)
        assert torch.allclose(a, b, rtol=1e-9)
    assert Surrogate(sj.ATan(3.0), 5.0).surrogate_function.alpha == 5.0
    assert Surrogate(surrogate("atan", 3.0), 5.0).surrogate_function.alpha == 5.0


def test_the_users_surrogate_is_never_touched() -> None:
    shared = sj.ATan(3.0)
    Surrogate(shared, 5.0)
    assert shared.alpha == 3.0


def test_straight_through_passes_the_gain() -> None:
    current, delta = drive()
    _, g = received(neuron.LIFNode(4.0, True), StraightThrough(), current[:1], delta[:1])
    assert torch.allclose(g, delta[:1] / 4)


def test_straight_through_window_is_closed() -> None:
    current = torch.tensor([-0.6, -0.5, 0.0, 0.5, 0.6], dtype=torch.float64).reshape(1, 1, 5) + 1
    _, g = received(neuron.IFNode(), StraightThrough(clip=0.5), current, torch.ones_like(current))
    assert g.flatten().tolist() == [0, 1, 1, 1, 0]


def test_attached_straight_through_grows() -> None:
    current = torch.full((T, 1, 1), 1.5, dtype=torch.float64)
    delta = torch.ones_like(current)
    _, calm = received(neuron.IFNode(v_reset=0.0), StraightThrough(), current, delta)
    _, wild = received(neuron.IFNode(v_reset=0.0), StraightThrough(detach_reset=None), current, delta)
    assert calm.abs().max() == 1
    assert wild.abs().max() > 3


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: Surrogate(3), TypeError),
        (lambda: Surrogate("atan", -1.0), ValueError),
        (lambda: Surrogate(sj.ATan(), 0.0), ValueError),
        (lambda: Surrogate(sj.ATan(), math.inf), ValueError),
        (lambda: Surrogate(sj.ATan(spiking=False)), ValueError),
        (lambda: Surrogate(torch.nn.PReLU()), ValueError),
        (lambda: Surrogate(torch.nn.ReLU(), 2.0), ValueError),
        (lambda: Surrogate("atan", temporal_chain="half"), ValueError),
        (lambda: Surrogate("atan", temporal_chain="none", detach_reset=True), ValueError),
        (lambda: StraightThrough(clip=0.0), ValueError),
    ],
)
def test_refuses(build, error) -> None:
    with pytest.raises(error, match="Fix:"):
        build()
