"""The z-domain layer against a simulation of the membrane, and its exact gradient."""

import math

import pytest
import torch
from torch import nn

from art_snn.coding import ZTime
from art_snn.neurons import ZLinear, weight_sum_penalty, z_linear
from art_snn.neurons.z_linear import SILENT


def simulated(z, w, dt=1e-4, end=3.0):
    """First time at which sum_i w_i (1 - exp(-(t - t_i))) over past inputs reaches 1, by brute force."""
    t = torch.arange(0, end, dt).double()
    late = t[:, None] - z.log()
    membrane = (w * (1 - torch.exp(-late.clamp(min=0)))).sum(1)
    reached = (membrane >= 1).nonzero()
    return math.exp(t[reached[0, 0]].item()) if len(reached) else SILENT


def test_the_closed_form_is_the_simulation():
    generator = torch.Generator().manual_seed(0)
    silent = 0
    for _ in range(60):
        z = torch.exp(torch.rand(1, 5, generator=generator).double())
        w = torch.randn(1, 5, generator=generator).double() + 0.5
        exact, brute = z_linear(z, w).item(), simulated(z[0], w[0])
        if brute == SILENT:
            assert exact == SILENT or math.log(exact) > 2.99
            silent += 1
        else:
            assert exact == pytest.approx(brute, rel=3e-4)
    assert 0 < silent < 60


def test_gradients_are_exact():
    generator = torch.Generator().manual_seed(1)
    z = torch.exp(torch.rand(3, 6, generator=generator).double()).requires_grad_(True)
    w = (torch.rand(4, 6, generator=generator).double() + 0.2).requires_grad_(True)
    assert torch.autograd.gradcheck(z_linear, (z, w))
    out = z_linear(z, w)
    grad_w, grad_z = torch.autograd.grad(out[0, 0], (w, z))
    causal = grad_z[0] != 0
    rest = w[0][causal].sum() - 1
    assert torch.allclose(grad_z[0][causal], w[0][causal] / rest)
    assert torch.allclose(grad_w[0][causal], (z[0][causal] - out[0, 0]) / rest)


def test_code_penalty_and_errors():
    x = torch.linspace(0, 1, 11).double().view(1, -1)
    for polarity in ("dark_first", "bright_first"):
        code = ZTime(polarity=polarity)
        z = code(x)
        assert z.shape == (1, 1, 11)
        assert ((z >= 1) & (z <= math.e)).all()
        assert torch.allclose(code.decode(z), x)
    with pytest.raises(ValueError, match="T = 1"):
        ZTime(T=4)
    with pytest.raises(ValueError, match="at least one"):
        ZLinear(0, 1)
    assert weight_sum_penalty(torch.tensor([[2.0], [0.0]])).item() == 0.5


def test_a_layer_learns_which_input_is_early():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 2, generator=generator)
    y = (x[:, 1] < x[:, 0]).long()
    net = nn.Sequential(ZLinear(2, 8, generator), ZLinear(8, 2, generator))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        z = net(ZTime()(x)[0])
        penalty = sum(weight_sum_penalty(part.weight) for part in net)
        (nn.functional.cross_entropy(-z, y) + 100 * penalty).backward()
        optimizer.step()
    assert (z.argmin(1) == y).float().mean() > 0.9
