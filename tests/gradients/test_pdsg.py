from __future__ import annotations

import math

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.coding import Direct, EventFrames, MembraneMean
from art_snn.gradients import PDSG
from art_snn.gradients.pdsg import _PotentialSpike, potential_slope
from art_snn.networks import SpikingNetwork, cnn


def received(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Membranes [T, N, *] of one layer, and the slopes that a unit gradient saw."""
    v = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    layer, slopes = _PotentialSpike(), []
    for step in v:
        leaf = step.clone().requires_grad_(True)
        slopes.append(torch.autograd.grad(layer(leaf).sum(), leaf)[0])
    return v, torch.stack(slopes)


@pytest.mark.parametrize("shape", [(4, 3, 7), (4, 3, 2, 5, 5), (4, 3, 2, 6)])
def test_deviation_of_each_sample_over_time_and_space(shape) -> None:
    v, slopes = received(shape)
    axes = tuple(range(2 if len(shape) > 3 else 1, len(shape) - 1))
    for t in range(shape[0]):
        past = v[: t + 1]
        sigma = past.transpose(0, 1).std((*(a + 1 for a in axes), 1), correction=0, keepdim=True)[:, 0]
        assert torch.allclose(slopes[t], potential_slope(v[t], sigma), rtol=1e-10)


def test_slope_has_area_one_and_its_peak_above_threshold() -> None:
    v = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
    h = potential_slope(v, torch.tensor(1.7, dtype=torch.float64))
    assert torch.trapezoid(h, v).item() == pytest.approx(1, abs=1e-9)
    assert v[h.argmax()].item() == pytest.approx(0.85, abs=1e-4)
    assert potential_slope(torch.tensor(0.0), torch.tensor(2.0)).item() == pytest.approx(
        math.exp(-1 / 8) / (math.sqrt(2 * math.pi) * 2)
    )


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1), (3, 1, 1), (1, 1), (2, 1, 1, 1, 1)])
def test_a_single_value_has_deviation_one(shape) -> None:
    v, slopes = received(shape)
    assert bool(torch.isfinite(slopes).all())
    assert torch.allclose(slopes[0], potential_slope(v[0], torch.ones(())))


@pytest.mark.parametrize("value", [0.1, -0.7, 123.4])
def test_equal_values_count_as_no_deviation_in_spite_of_rounding(value: float) -> None:
    v = torch.full((3, 49), value)
    layer = _PotentialSpike()
    for _ in range(7):
        leaf = v.clone().requires_grad_(True)
        slope = torch.autograd.grad(layer(leaf).sum(), leaf)[0]
        assert torch.equal(slope, potential_slope(v, torch.ones(())))


def test_large_offsets_do_not_drown_the_deviation() -> None:
    layer = _PotentialSpike()
    v = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)) * 0.01 + 500
    for _ in range(3):
        sigma = layer._deviation(v)
    assert torch.allclose(sigma.squeeze(), v.double().std(1, correction=0).float(), rtol=1e-3)


def test_gradient_does_not_depend_on_the_batch() -> None:
    net = cnn((1, 8, 8), 4, channels=(3,), hidden=12, encoder=Direct(T=4)).double().eval()
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradient(batch: Tensor) -> Tensor:
        leaf = batch.clone().requires_grad_(True)
        with net.gradient(PDSG()):
            return torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)[0]

    whole = gradient(x)
    assert whole.abs().amax((1, 2, 3)).min() > 0
    assert torch.allclose(torch.cat([gradient(one[None]) for one in x]), whole, rtol=1e-10, atol=1e-13)
    assert torch.allclose(gradient(x.flip(0)).flip(0), whole, rtol=1e-10, atol=1e-13)
    assert torch.allclose(gradient(torch.cat([x[:1], 9 * x]))[:1], whole[:1], rtol=1e-10, atol=1e-13)


def test_every_run_starts_its_statistics_anew(net, node, grid, gradient) -> None:
    model, policy = net(lambda: node("lif")), PDSG()
    first = gradient(model, grid(), policy)
    assert torch.equal(gradient(model, grid(), policy), first)
    model = SpikingNetwork(EventFrames(1), neuron.LIFNode(step_mode="m"), MembraneMean()).eval()
    leaf = torch.rand(1, 1, 1).requires_grad_(True)
    with model.gradient(policy):
        assert bool(torch.isfinite(torch.autograd.grad(model(leaf).sum(), leaf)[0]).all())


def test_names_a_neuron_that_fires_several_times_a_step() -> None:
    net = SpikingNetwork(Direct(T=3), nn.Sequential(nn.Linear(4, 2), neuron.TernaryIFNode(step_mode="m")))
    with pytest.raises(ValueError, match=r"body\.1.*TernaryIFNode"), net.gradient(PDSG()):
        pass
