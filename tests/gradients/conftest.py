"""Small networks on which every policy can be followed by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.coding import Direct, EventFrames, MembraneMean
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, ANNTwin, Ensemble, StraightThrough, Surrogate
from art_snn.networks import SpikingNetwork


def make_node(kind: str, v_reset: float | None = 0.0, detach: bool = False, mode: str = "m", decay: bool = False):
    common = {"v_threshold": 1.0, "v_reset": v_reset, "detach_reset": detach, "step_mode": mode}
    if kind == "if":
        return neuron.IFNode(**common)
    if kind == "lif":
        return neuron.LIFNode(tau=2.0, decay_input=decay, **common)
    node = neuron.ParametricLIFNode(init_tau=3.0, decay_input=decay, **common)
    return node.requires_grad_(True)


def make_net(make: Callable[[], nn.Module], T: int = 5, inputs: int = 6, hidden: int = 7, frames: bool = False):
    """Two spiking layers and a linear read-out of the mean current; weights on a grid, so that u = theta happens."""
    layers = [nn.Linear(inputs, hidden), make(), nn.Linear(hidden, hidden), make(), nn.Linear(hidden, 3)]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in layers:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(torch.randint(-2, 4, layer.weight.shape, generator=generator) / 4)
                layer.bias.copy_(torch.randint(0, 2, layer.bias.shape, generator=generator) / 4)
    return SpikingNetwork(
        EventFrames(T) if frames else Direct(T=T), nn.Sequential(*layers), MembraneMean(tau=1.0)
    ).eval()


@pytest.fixture
def node() -> Callable[..., nn.Module]:
    return make_node


@pytest.fixture
def net() -> Callable[..., SpikingNetwork]:
    return make_net


@pytest.fixture
def policies() -> Callable[[], list]:
    """Every policy that keeps the forward."""
    return lambda: [
        Surrogate("atan", 8.0),
        Surrogate("triangle", detach_reset=True),
        Surrogate("sigmoid", temporal_chain="none"),
        StraightThrough(),
        StraightThrough(clip=0.5),
        BPTR(),
        RGA(),
        HART(0.5),
        PDSG(),
        ASSG(0.45),
        ANNTwin(),
        Ensemble([Surrogate("atan", 8.0), BPTR()]),
    ]


@pytest.fixture
def gradient() -> Callable[..., Tensor]:
    """Input gradient of a fixed mixture of the logits."""

    def take(net: SpikingNetwork, x: Tensor, policy: object = None) -> Tensor:
        x = x.detach().requires_grad_(True)
        mixture = torch.tensor([1.0, -2.0, 0.5], dtype=x.dtype)
        if policy is None:
            return torch.autograd.grad((net(x) * mixture).sum(), x)[0]
        with net.gradient(policy):
            return torch.autograd.grad((net(x) * mixture).sum(), x)[0]

    return take


@pytest.fixture
def grid() -> Callable[..., Tensor]:
    """Inputs in quarters: sums of products with the weights are exact, and membranes land on the threshold."""
    return lambda n=8, inputs=6, seed=0: (
        torch.randint(0, 5, (n, inputs), generator=torch.Generator().manual_seed(seed)) / 4
    )
