"""Batch norm in buffers: torch's values bit for bit, its gradients, and only where it may."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Latency, MembraneMean
from art_snn.networks.normalizing import _Normalized, normalize, normalizes
from art_snn.neurons import buffers


def norm(*, affine=True, eps=1e-5):
    torch.manual_seed(0)
    made = layer.BatchNorm2d(3, affine=affine, eps=eps, step_mode="m").requires_grad_(False)
    made.running_mean.normal_()
    made.running_var.uniform_(0.1, 3)
    if affine:
        made.weight.normal_()
        made.bias.normal_()
    return made.eval()


def values(dtype=torch.float32):
    return torch.randn((4, 5, 3, 6, 7), generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.fixture
def every_size(monkeypatch):
    monkeypatch.setattr(buffers, "_LARGE", 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.usefixtures("every_size")
def test_values_and_gradients_are_torchs(dtype, affine):
    made = norm(affine=affine, eps=0.01).to(dtype)
    found = []
    for forward in (normalize, type(made).forward):
        x = values(dtype).requires_grad_(True)
        y = forward(made, x)
        grad = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)[0]
        second = torch.autograd.grad(grad.pow(2).sum(), x, retain_graph=True)[0]
        found.append((y.detach(), torch.autograd.grad(y.pow(3).sum(), x)[0], grad.detach(), second))
    assert torch.equal(found[0][0], found[1][0])
    for one, other in zip(found[0], found[1], strict=True):
        assert (one - other).abs().max() <= (1e-6 if dtype == torch.float32 else 1e-13) * other.abs().max()


def test_who_may():
    made = norm()
    assert normalizes(made)
    assert not normalizes(made.train())
    assert not normalizes(made.eval().requires_grad_(True))
    assert not normalizes(layer.BatchNorm2d(3, step_mode="s").eval().requires_grad_(False))
    assert not normalizes(layer.BatchNorm2d(3, track_running_stats=False, step_mode="m").eval().requires_grad_(False))
    assert not normalizes(nn.BatchNorm2d(3).eval().requires_grad_(False))


@pytest.mark.usefixtures("every_size")
def test_what_it_cannot_do_is_torchs_own(monkeypatch):
    made = norm()
    monkeypatch.setattr(_Normalized, "apply", None)
    for x in (
        values().to(torch.float64).float().transpose(3, 4),
        values().to(memory_format=torch.preserve_format)[:, ::2],
    ):
        assert torch.equal(normalize(made, x), type(made).forward(made, x))
    x = values()
    through = torch.func.jvp(lambda v: normalize(made, v), (x,), (x,))[1]
    assert torch.allclose(through, torch.func.jvp(lambda v: type(made).forward(made, v), (x,), (x,))[1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(normalize(made, x), type(made).forward(made, x))


@pytest.mark.usefixtures("every_size")
def test_inside_a_network():
    body = nn.Sequential(
        layer.Conv2d(1, 3, 3, step_mode="m"), norm(),
        neuron.LIFNode(step_mode="m", surrogate_function=surrogate.ATan()),
        layer.Flatten(step_mode="m"), layer.Linear(108, 5, step_mode="m"),
    )  # fmt: skip
    net = SpikingNetwork(Latency(T=4), body, MembraneMean()).eval().requires_grad_(False)
    found = []
    for net.fast in (True, False):
        x = torch.rand((3, 1, 8, 8), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        z = net(x)
        found.append((z.detach(), torch.autograd.grad(z.pow(2).sum(), x)[0]))
    assert torch.equal(found[0][0], found[1][0])
    assert (found[0][1] - found[1][1]).abs().max() <= 1e-5 * found[1][1].abs().max()
    net.fast = True
    assert [step.how for step in net.plan().steps][:3] == ["left alone", "rearranged", "fused"]
