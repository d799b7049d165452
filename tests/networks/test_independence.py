"""Contract, clause 1: the answer to an input depends on nothing but the input."""

import copy
import pickle

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, FirstSpike, Latency, SpikeCount
from art_snn.networks import cnn, mlp
from art_snn.spiking import memory_modules


def single_step():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), neuron.LIFNode(), nn.Linear(20, 10))
    return SpikingNetwork(Latency(T=5), body)


def recurrent():
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(20, 20), neuron.LIFNode())
    loop = layer.LinearRecurrentContainer(inner, in_features=20, out_features=20, bias=True)
    return SpikingNetwork(Direct(T=5), nn.Sequential(nn.Flatten(), nn.Linear(64, 20), loop, nn.Linear(20, 10)))


def filtered():
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(64, 20, step_mode="m"), neuron.ParametricLIFNode(step_mode="m"),
        layer.SynapseFilter(tau=3.0, step_mode="m"), layer.Linear(20, 10, step_mode="m"),
    )  # fmt: skip
    return SpikingNetwork(Direct(T=5), body, SpikeCount(neuron.IFNode(step_mode="m")))


NETWORKS = {
    "mlp": lambda: mlp((1, 8, 8), 10, hidden=(20,), encoder=Latency(T=6)),
    "cnn": lambda: cnn((1, 8, 8), 10, channels=(4,), hidden=16, encoder=Direct(T=4), neuron="plif"),
    "first-spike": lambda: mlp((1, 8, 8), 10, hidden=(20,), decoder=FirstSpike(neuron.LIFNode(step_mode="m"))),
    "single-step": single_step,
    "recurrent": recurrent,
    "filtered": filtered,
}


@pytest.fixture(params=sorted(NETWORKS))
def net(request):
    return NETWORKS[request.param]().eval()


def images(count=64, seed=0):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def same(a, b):
    """Equal up to the order of summation inside a matrix product, and deciding alike."""
    return torch.allclose(a, b, atol=1e-5)


def no_state_left(net):
    for module in memory_modules(net):
        for name, value in module._memories.items():
            assert not isinstance(value, torch.Tensor), name


def test_repeat(net):
    assert torch.equal(net(images()), net(images()))


def test_what_came_before_does_not_matter(net):
    first = net(images())
    net(images(seed=5) * 0.9)
    net(images(7))
    assert torch.equal(net(images()), first)


def test_permutation(net):
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert same(net(images()[order]), net(images())[order])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batch_size(net, size):
    whole = net(images())
    parts = torch.cat([net(part) for part in images().split(size)])
    assert same(whole, parts)


def test_interleaved_batch_sizes(net):
    whole = net(images())
    for size in (64, 1, 3, 64, 2, 1, 64):
        assert same(net(images()[:size]), whole[:size])


def test_after_a_backward(net):
    first = net(images())
    x = images().requires_grad_(True)
    for _ in range(2):
        net(x).sum().backward()
    assert torch.equal(net(images()), first)
    no_state_left(net)


def test_a_sample_has_no_gradient_of_another(net):
    x = images(4).requires_grad_(True)
    grad = torch.autograd.grad(net(x)[1].sum(), x)[0]
    assert (grad[1] != 0).any()
    assert not grad[[0, 2, 3]].any()


class Breaks(nn.Module):
    """Fails on request, after the neurons in front of it have charged."""

    fails = False

    def forward(self, x):
        if self.fails:
            raise KeyError("on purpose")
        return x


@pytest.mark.parametrize("mode", ["s", "m"])
def test_after_an_exception_in_the_body(mode):
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode=mode), layer.Linear(64, 20, step_mode=mode), neuron.LIFNode(step_mode=mode), Breaks(),
        layer.Linear(20, 10, step_mode=mode),
    )  # fmt: skip
    net = SpikingNetwork(Direct(T=5), body).eval()
    first = net(images())
    net.body[3].fails = True
    with pytest.raises(KeyError, match="on purpose"):
        net(images().requires_grad_(True))
    no_state_left(net)
    copy.deepcopy(net)
    net.body[3].fails = False
    assert torch.equal(net(images()), first)


def test_state_left_by_others_is_reset_before(net):
    """Somebody may have run the body alone."""
    first = net(images())
    for module in memory_modules(net):
        for name in module._memories:
            if name in ("v", "y", "out_i"):
                setattr(module, name, 0.7)
    assert torch.equal(net(images()), first)


def test_no_live_state_or_graph_afterwards(net):
    x = images(3).requires_grad_(True)
    z = net(x)
    no_state_left(net)
    clones = copy.deepcopy(net), pickle.loads(pickle.dumps(net))  # noqa: S301
    z.sum().backward()
    for clone in clones:
        assert torch.equal(clone(images()), net(images()))


def test_copies_share_nothing(net):
    clone = copy.deepcopy(net)
    before = net(images())
    with torch.no_grad():
        for value in clone.parameters():
            value.zero_()
    assert torch.equal(net(images()), before)


def test_state_dict_round_trip(net):
    before = net(images())
    keys = set(net.state_dict())
    saved = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.5)
    assert not torch.equal(net(images()), before)
    net.load_state_dict(saved)
    assert torch.equal(net(images()), before)
    assert set(net.state_dict()) == keys


@pytest.mark.parametrize(
    "make",
    [
        lambda: neuron.ILCLIFNode(4, 2),
        lambda: neuron.PSN(5),
    ],
)
def test_neurons_outside_memory_module_leave_no_graph_either(make):
    torch.manual_seed(0)
    net = SpikingNetwork(Direct(T=5), nn.Sequential(nn.Flatten(2), nn.Linear(64, 8), make(), nn.Linear(8, 3)))
    net(images(2).requires_grad_(True))
    copy.deepcopy(net)
    pickle.dumps(net)


def test_neurons_added_later_are_reset_too():
    """A cached list of modules would miss them."""
    net = mlp((1, 8, 8), 10, hidden=(20,)).eval()
    net(images())
    net.body[2] = neuron.LIFNode(step_mode="m")
    assert torch.equal(net(images()), net(images()))
    no_state_left(net)
