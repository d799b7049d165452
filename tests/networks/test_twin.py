"""The twin has the same layers, weights and names, ReLU for spikes, and no time axis."""

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork, ann_twin
from art_snn.coding import Direct, SpikeCount
from art_snn.networks import AnalogNetwork, cnn, mlp


class Block(nn.Module):
    """Residual: x + lif(linear(x))."""

    def __init__(self, mode):
        super().__init__()
        self.linear = layer.Linear(16, 16, step_mode=mode)
        self.lif = neuron.LIFNode(step_mode=mode)

    def forward(self, x):
        return x + self.lif(self.linear(x))


class NeuronRegisteredLast(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.first = layer.Linear(64, 16, step_mode=mode)
        self.second = layer.Linear(16, 3, step_mode=mode)
        self.lif = neuron.LIFNode(step_mode=mode)

    def forward(self, x):
        return self.second(self.lif(self.first(x.flatten(-3))))


def residual(mode="m"):
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode=mode), layer.Linear(64, 16, step_mode=mode), Block(mode), Block(mode),
        layer.Linear(16, 3, step_mode=mode),
    )  # fmt: skip
    return SpikingNetwork(Direct(T=4), body)


def ends_in_a_neuron():
    torch.manual_seed(0)
    inner = nn.Sequential(layer.Linear(16, 3, step_mode="m"), neuron.LIFNode(step_mode="m"))
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(64, 16, step_mode="m"), neuron.LIFNode(step_mode="m"), inner
    )
    return SpikingNetwork(Direct(T=4), body, SpikeCount())


def boxed():
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.SeqToANNContainer(nn.Linear(64, 16), nn.BatchNorm1d(16)),
        neuron.LIFNode(step_mode="m"), layer.MultiStepContainer(nn.Linear(16, 8), neuron.LIFNode(), nn.Linear(8, 3)),
    )  # fmt: skip
    return SpikingNetwork(Direct(T=4), body)


NETWORKS = {
    "mlp": lambda: mlp((1, 8, 8), 3, hidden=(16, 12)),
    "cnn": lambda: cnn((1, 8, 8), 3, channels=(4, 8), hidden=16),
    "residual": residual,
    "residual, single step": lambda: residual("s"),
    "ends in a neuron": ends_in_a_neuron,
    "registered last": lambda: SpikingNetwork(Direct(T=4), NeuronRegisteredLast("m")),
    "boxed": boxed,
}


def images():
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_same_parameters_under_the_same_names(name):
    net = NETWORKS[name]().eval()
    twin = ann_twin(net)
    assert isinstance(twin, AnalogNetwork)
    assert not twin.training
    ours, theirs = net.state_dict(), twin.state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in twin.parameters())
    assert [n for n, m in net.body.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)] == [
        n for n, m in twin.body.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    assert not [m for m in twin.modules() if hasattr(m, "surrogate_function")]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_network_is_left_alone_and_shares_nothing(name):
    net = NETWORKS[name]().eval()
    before = net(images())
    twin = ann_twin(net)
    with torch.no_grad():
        for value in twin.parameters():
            value.zero_()
    assert torch.equal(net(images()), before)


def relu_residual(net, x):
    linear, one, two, out = net.body[1], net.body[2], net.body[3], net.body[4]
    h = torch.nn.functional.linear(x.flatten(1), linear.weight, linear.bias)
    for block in (one, two):
        h = h + torch.relu(torch.nn.functional.linear(h, block.linear.weight, block.linear.bias))
    return torch.nn.functional.linear(h, out.weight, out.bias)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_residual_twin_computes_the_residual_formula(mode):
    net = residual(mode).eval()
    assert torch.allclose(ann_twin(net)(images()), relu_residual(net, images()), atol=1e-6)


def test_an_output_neuron_becomes_the_identity():
    net = ends_in_a_neuron()
    z = ann_twin(net)(images())
    assert (z < 0).any()
    h = torch.relu(net.body[1](net.body[0](images()[None])))[0]
    assert torch.allclose(z, nn.functional.linear(h, net.body[3][0].weight, net.body[3][0].bias), atol=1e-6)


def test_a_neuron_that_is_only_registered_last_stays_a_nonlinearity():
    twin = ann_twin(SpikingNetwork(Direct(T=4), NeuronRegisteredLast("m")))
    assert isinstance(twin.body.lif, nn.ReLU)


def test_a_twin_with_containers_sees_no_time():
    net = boxed().eval()
    twin = ann_twin(net)
    alone = torch.cat([twin(row[None]) for row in images()])
    assert torch.allclose(twin(images()), alone, atol=1e-6)
    weights = net.state_dict()
    h = images().flatten(1) @ weights["body.1.0.weight"].T + weights["body.1.0.bias"]
    h = torch.relu(h / (1 + 1e-5) ** 0.5)
    h = torch.relu(h @ weights["body.3.0.weight"].T + weights["body.3.0.bias"])
    z = h @ weights["body.3.2.weight"].T + weights["body.3.2.bias"]
    assert torch.allclose(twin(images()), z, atol=1e-5)


def test_learnable_time_constants_have_no_counterpart():
    net = mlp((1, 8, 8), 3, hidden=(16,), neuron="plif")
    assert set(net.state_dict()) - set(ann_twin(net).state_dict()) == {"body.2.w"}


def test_training_mode_is_kept():
    assert ann_twin(mlp((1, 8, 8), 3).train()).training


def test_float64_input():
    twin = ann_twin(mlp((1, 8, 8), 3))
    assert torch.equal(twin(images().double()), twin(images()))


def test_a_body_that_is_a_neuron():
    with pytest.raises(ValueError, match="a single neuron"):
        ann_twin(SpikingNetwork(Direct(T=2), neuron.LIFNode(step_mode="m")))
