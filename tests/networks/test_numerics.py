"""Second order, float64, torch.func, and inputs outside the box."""

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Latency, MembraneMean, Poisson
from art_snn.coding.straight_through import carry_gradient, clamp_straight_through
from art_snn.networks import cnn, mlp


def images(count=3, dtype=torch.float32):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def smooth():
    """``spiking=False``: the surrogate's primitive in the forward too, so that finite differences are the truth."""
    torch.manual_seed(0)
    node = neuron.LIFNode(surrogate_function=surrogate.ATan(spiking=False), step_mode="m")
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, 12), node, nn.Linear(12, 3))
    return SpikingNetwork(Direct(T=4), body, MembraneMean()).double().eval()


def test_first_and_second_order_gradients_of_a_smooth_network():
    net = smooth()
    x = images(2, torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(net, x)
    assert torch.autograd.gradgradcheck(net, x)


@pytest.mark.parametrize("encoder", [Direct(T=4), Latency(T=4), Poisson(T=4)])
@pytest.mark.parametrize("kind", ["lif", "if", "plif"])
def test_double_backward_through_a_spiking_network(encoder, kind):
    net = mlp((1, 8, 8), 10, hidden=(20,), encoder=encoder, neuron=kind).eval()
    x = images().requires_grad_(True)
    grad = torch.autograd.grad(net(x)[:, 0].sum(), x, create_graph=True)[0]
    second = torch.autograd.grad((grad**2).sum(), [*net.body.parameters()], allow_unused=True)
    assert all(torch.isfinite(g).all() for g in second if g is not None)
    assert (second[0] != 0).any()


def test_float64_input_of_a_float32_network():
    net = mlp((1, 8, 8), 10, hidden=(20,)).eval()
    x = images(dtype=torch.float64)
    assert net(x).dtype == torch.float32
    assert torch.equal(net(x), net(x.float()))
    x.requires_grad_(True)
    grad = torch.autograd.grad(net(x).sum(), x)[0]
    assert grad.dtype == torch.float64
    assert (grad != 0).any()


@pytest.mark.parametrize("encoder", [Direct(T=4), Latency(T=4), Poisson(T=4)])
def test_float64_network(encoder):
    net = cnn((1, 8, 8), 10, channels=(4,), hidden=8, encoder=encoder).double().eval()
    x = images().requires_grad_(True)
    z = net(x)
    assert z.dtype == torch.float64
    grad = torch.autograd.grad(z.sum(), x)[0]
    assert torch.isfinite(grad).all()
    assert grad.dtype == torch.float32


def linear(encoder):
    torch.manual_seed(0)
    return SpikingNetwork(encoder, nn.Sequential(nn.Flatten(2), nn.Linear(64, 3)), MembraneMean()).eval()


@pytest.mark.parametrize("encoder", [Direct(T=4), Latency(T=4), Latency(T=4, backward="soft_latency"), Poisson(T=4)])
def test_torch_func_on_our_own_pieces(encoder):
    """Backward, Jacobian and forward mode tell the same derivative (a stochastic code: of the same draws)."""
    net = linear(encoder)
    x = images(2)
    expected = torch.autograd.functional.jacobian(lambda v: (net.reseed(), net(v))[1], x)
    net.reseed()
    assert torch.allclose(torch.func.jacrev(net)(x), expected, atol=1e-6)
    net.reseed()
    grad = torch.func.grad(lambda v: net(v)[:, 0].sum())(x)
    assert torch.allclose(grad, expected[:, 0].sum(0), atol=1e-6)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    net.reseed()
    _, push = torch.func.jvp(net, (x,), (direction,))
    assert torch.allclose(push, torch.einsum("nkmchw,mchw->nk", expected, direction), atol=1e-5)
    assert (push != 0).any()


def test_torch_func_through_a_neuron_with_an_unregistered_surrogate():
    torch.manual_seed(0)
    node = neuron.LIFNode(surrogate_function=surrogate.Rect(), step_mode="m")
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, 30), node, nn.Linear(30, 3))
    net = SpikingNetwork(Latency(T=4), body).eval()
    x = images(2).requires_grad_(True)
    expected = torch.autograd.grad(net(x)[:, 0].sum(), x)[0]
    assert torch.allclose(torch.func.grad(lambda v: net(v)[:, 0].sum())(x.detach()), expected, atol=1e-6)


def test_vmap_over_the_gradient_pieces():
    x = torch.rand(5, 7)
    slope = torch.rand(3, 5, 7)
    spikes = (slope > 0.5).float()
    grads = torch.func.vmap(torch.func.grad(lambda v, s, k: carry_gradient(s, v, k).sum()), in_dims=(0, 1, 1))(
        x, spikes, slope
    )
    assert torch.allclose(grads, slope.sum(0))
    inside = torch.func.vmap(torch.func.grad(lambda v: clamp_straight_through(v * 9, 0.0, 1.0).sum()))(x)
    assert torch.equal(inside, torch.full_like(x, 9.0))


@pytest.mark.parametrize("encoder", [Latency(T=4), Poisson(T=400)])
def test_outside_the_box_the_value_is_clamped_and_the_gradient_passes(encoder):
    net = linear(encoder)
    x = images()
    for shift in (-1.5, 1.5):
        outside = (x + shift).requires_grad_(True)
        z = net(outside)
        net.reseed()
        assert torch.allclose(z, net(outside.detach().clamp(0, 1)))
        net.reseed()
        grad = torch.autograd.grad(z.sum(), outside)[0]
        edge = outside.detach().clamp(0, 1).requires_grad_(True)
        assert torch.equal(grad, torch.autograd.grad(net(edge).sum(), edge)[0])
        assert (grad != 0).any()


def test_rounding_dust_is_no_error():
    net = linear(Latency(T=4))
    net(torch.full((1, 1, 8, 8), 1.0 + 1e-7))


@pytest.mark.parametrize(
    "encoder", [Latency(T=4), Latency(4, "linear"), Latency(T=4, backward="identity"), Poisson(T=4)]
)
def test_black_and_white_pixels_keep_their_gradient(encoder):
    """They lie on the border of the domain, where a clamp may have no gradient of its own."""
    for value in (0.0, 1.0):
        x = torch.full((1, 3), value, requires_grad=True)
        s = encoder(x)
        weights = torch.arange(1.0, 13.0).view(4, 1, 3) ** 2
        assert (torch.autograd.grad((s * weights).sum(), x)[0] != 0).all()
