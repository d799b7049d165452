from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import neuron

from art_snn.gradients import FAMILIES, spike, surrogate

FAMILY = sorted(FAMILIES)


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equality_fires_and_spikes_are_binary() -> None:
    v = torch.tensor([-0.0, 0.0, 1e-30, -1e-30, torch.inf, -torch.inf])
    assert surrogate("atan")(v).tolist() == [1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("family", FAMILY)
def test_every_transform_sees_the_slope(family: str) -> None:
    fire = surrogate(family)
    v = values(5)
    slope = fire.slope(v)
    ones = torch.ones_like(v)
    total = lambda v: fire(v).sum()  # noqa: E731
    assert torch.equal(torch.func.grad(total)(v), slope)
    assert torch.equal(torch.func.vjp(fire, v)[1](ones)[0], slope)
    assert torch.equal(torch.func.jvp(fire, (v,), (ones,))[1], slope)
    assert torch.equal(torch.func.jacrev(fire)(v).diag(), slope)
    assert torch.equal(torch.func.jacfwd(fire)(v).diag(), slope)
    batch = values(3, 5)
    assert torch.allclose(torch.func.vmap(torch.func.grad(total))(batch), fire.slope(batch))
    assert torch.equal(torch.func.vmap(fire)(batch), fire(batch))


@pytest.mark.parametrize("family", [name for name in FAMILY if name not in ("rect", "leaky_rect", "identity")])
def test_double_backward_is_the_slope_of_the_slope(family: str) -> None:
    fire = surrogate(family)
    v = values(9).requires_grad_(True)
    first = torch.autograd.grad(fire(v).sum(), v, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), v)[0]
    step = 1e-6
    numeric = (fire.slope(v + step) - fire.slope(v - step)) / (2 * step)
    assert torch.allclose(second, numeric, rtol=1e-5, atol=1e-7)


def test_constants_take_part_in_the_slope_and_get_no_gradient() -> None:
    v = values(4).requires_grad_(True)
    alpha = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64, requires_grad=True)
    s = spike(v, FAMILIES["atan"].slope, alpha)
    g, none = torch.autograd.grad(s.sum(), (v, alpha), allow_unused=True)
    assert none is None
    assert torch.equal(g, FAMILIES["atan"].slope(v, alpha).detach())


def test_double_backward_through_a_neuron() -> None:
    node = neuron.LIFNode(surrogate_function=surrogate("atan"), step_mode="m").double()
    current = values(4, 2).requires_grad_(True)

    def first(current: torch.Tensor) -> torch.Tensor:
        node.reset()
        return torch.autograd.grad((node(current) * values(4, 2)).sum(), current, create_graph=True)[0]

    assert torch.autograd.grad(first(current).square().sum(), current)[0].abs().sum() > 0


def test_holds_no_parameters_and_survives_a_copy() -> None:
    node = neuron.LIFNode(surrogate_function=surrogate("erf", 3.0))
    assert not node.state_dict()
    assert repr(surrogate("erf", 3.0)) in repr(node.surrogate_function)
