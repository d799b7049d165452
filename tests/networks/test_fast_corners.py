"""Corners of the fast ways: layouts, autocast, determinism, one sample, one step, compilation, used buffers."""

import copy
import pickle

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Latency, MembraneMean
from art_snn.gradients.known import known_slope
from art_snn.networks import cnn
from art_snn.neurons import buffers
from art_snn.neurons.fused import Dynamics, multi_step


def images(count=3, side=8):
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))


def network(encoder=None, **more):
    torch.manual_seed(0)
    net = cnn((1, 8, 8), 5, encoder=encoder or Direct(T=4), channels=(4, 6), hidden=12, **more).eval()
    for weight in net.parameters():
        weight.data.mul_(2)
    return net


def both(net, x):
    """Logits, and gradients of input and weights, fast and not."""
    found = []
    for net.fast in (True, False):
        point = x.clone(memory_format=torch.preserve_format).requires_grad_(True)
        z = net(point)
        grads = torch.autograd.grad(z.float().pow(2).sum(), [point, *net.parameters()], allow_unused=True)
        found.append((z.detach(), grads))
    return found


def same(found):
    (z, grads), (expected, others) = found
    assert torch.equal(z, expected)
    for one, other in zip(grads, others, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one - other).abs().max() <= 1e-5 * max(float(other.abs().max()), 1e-6)


LAYOUTS = {
    "channels last": lambda x: x.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)[:, :1],
    "every second": lambda x: torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))[::2, :, ::2, ::2],
    "transposed": lambda x: x.transpose(2, 3),
    "expanded": lambda x: x[:1].expand(3, 1, 8, 8),
    "one sample": lambda x: x[:1],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("encoder", [Direct(T=4), Latency(T=4), Direct(T=1), Latency(T=2)], ids=repr)
def test_layouts(layout, encoder):
    same(both(network(encoder), layout(images())))


@pytest.mark.parametrize("side", [7, 9, 10])
def test_odd_sides_keep_torchs_pooling(side):
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Conv2d(1, 3, 3, padding=1, step_mode="m"), neuron.LIFNode(step_mode="m"),
        layer.AvgPool2d(2, step_mode="m"), layer.Flatten(step_mode="m"),
        layer.Linear(3 * (side // 2) ** 2, 5, step_mode="m"),
    )  # fmt: skip
    same(both(SpikingNetwork(Direct(T=3), body, MembraneMean()).eval(), 3 * images(side=side)))


def test_deterministic_algorithms():
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        same(both(network(), images()))
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("limit", [None, 40_000])
def test_autocast_inside_and_when_the_gradient_is_taken(limit):
    """Half precision is SpikingJelly's own; a piece that runs again does so under the autocast of its first run."""
    net = network()
    net.max_memory = limit
    found = []
    for net.fast in (True, False):
        x = images(9).requires_grad_(True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = net(x)
        found.append((z.detach(), torch.autograd.grad(z.float().pow(2).sum(), x)))
    assert torch.equal(found[0][0], found[1][0])
    share = (found[0][1][0] - found[1][1][0]).abs().max() / found[1][1][0].abs().max()
    assert share < 0.05


def test_copies_of_a_network_that_ran():
    net = network()
    x = images().requires_grad_(True)
    net(x).sum().backward()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):  # noqa: S301
        assert torch.equal(twin(images()), net(images()))


@pytest.mark.slow
def test_a_compiled_body():
    net = network()
    expected = net(images()).detach()
    compiled = SpikingNetwork(Direct(T=4), torch.compile(net.body, backend="eager"), MembraneMean()).eval()
    x = images().requires_grad_(True)
    z = compiled(x)
    assert torch.allclose(z, expected, atol=1e-6)
    other = images().requires_grad_(True)
    one, two = torch.autograd.grad(z.sum(), x)[0], torch.autograd.grad(net(other).sum(), other)[0]
    assert torch.allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 7), (3, 4, 1, 1), (2, 0, 3), (3,)])
def test_any_shape_of_a_layer(shape):
    node = neuron.LIFNode(step_mode="m", surrogate_function=surrogate.ATan())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    spikes, _ = multi_step(x, 0.0, Dynamics(tau=2.0), known_slope(node.surrogate_function))
    assert torch.equal(spikes, node(x))


def test_large_buffers_do_not_leak_from_one_call_into_another(monkeypatch):
    """Whatever a call returned stays as it is while later calls take and give back buffers."""
    monkeypatch.setattr(buffers, "_LARGE", 1)
    net = network()
    x = images().requires_grad_(True)
    expected = both(network(), images())
    kept = []
    hook = net.body[2].register_forward_hook(lambda _, __, s: kept.append(s))
    first = net(x)
    spikes = kept[0].clone()
    for _ in range(4):
        net(images(5))
        torch.autograd.grad(net(x).sum(), x)
    hook.remove()
    assert torch.equal(kept[0], spikes)
    assert torch.equal(first.detach(), expected[1][0])
    grad = torch.autograd.grad(first.pow(2).sum(), x, retain_graph=True)[0]
    again = torch.autograd.grad(first.pow(2).sum(), x)[0]
    assert torch.equal(grad, again)
    assert (grad - expected[1][1][0]).abs().max() <= 1e-5 * expected[1][1][0].abs().max()
    second = torch.autograd.grad(net(x).pow(2).sum(), x, create_graph=True)[0]
    assert torch.isfinite(torch.autograd.grad(second.pow(2).sum(), x)[0]).all()
