"""Contract, clause 3: a gradient policy changes the gradient only. And the second edge: after the encoder."""

import copy

import pytest
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Latency, Poisson
from art_snn.gradients import Surrogate
from art_snn.networks import cnn, mlp


def images():
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(**kwargs):
    return mlp((1, 8, 8), 10, hidden=(40, 20), encoder=Latency(T=6), **kwargs).eval()


def spikes_logits_gradient(net):
    found = []
    handles = [m.register_forward_hook(lambda _, __, out: found.append(out.detach().clone())) for m in net.body[2::2]]
    x = images().requires_grad_(True)
    z = net(x)
    grad = torch.autograd.grad(z[:, 0].sum(), x)[0]
    for handle in handles:
        handle.remove()
    return found, z.detach(), grad


def while_running(net, node, x):
    """The surrogate that a neuron has while the network runs with gradients."""
    found = []
    handle = node.register_forward_hook(lambda module, _, __: found.append(module.surrogate_function))
    net(x.requires_grad_(True))
    handle.remove()
    return found[0]


SURROGATES = [
    surrogate.ATan(alpha=5.0), surrogate.Sigmoid(), surrogate.PiecewiseQuadratic(), surrogate.Erf(), surrogate.Rect(),
    surrogate.PiecewiseLeakyReLU(), surrogate.S2NN(), surrogate.DeterministicPass(), surrogate.QPseudoSpike(),
]  # fmt: skip


@pytest.mark.parametrize("new", SURROGATES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("kind", ["lif", "if", "plif"])
def test_a_swap_changes_the_gradient_and_not_one_spike(new, kind):
    net = network(neuron=kind)
    spikes, z, grad = spikes_logits_gradient(net)
    with net.gradient(Surrogate(new)) as inside:
        assert inside is net
        swapped_spikes, swapped_z, swapped_grad = spikes_logits_gradient(net)
    assert all(torch.equal(a, b) for a, b in zip(spikes, swapped_spikes, strict=True))
    assert torch.equal(z, swapped_z)
    assert not torch.equal(grad, swapped_grad)
    assert torch.equal(spikes_logits_gradient(net)[2], grad)


def test_a_swap_is_the_network_built_with_that_surrogate():
    net = network()
    other = copy.deepcopy(net)
    for node in other.body[2], other.body[4]:
        node.surrogate_function = surrogate.Sigmoid(alpha=2.5)
    with net.gradient(Surrogate(surrogate.Sigmoid(), sharpness=2.5)):
        assert torch.equal(spikes_logits_gradient(net)[2], spikes_logits_gradient(other)[2])


def test_the_old_surrogates_come_back_also_after_an_exception():
    net = network()
    before = [net.body[2].surrogate_function, net.body[4].surrogate_function]
    with pytest.raises(ValueError, match="spike train"), net.gradient(Surrogate(surrogate.Rect())):
        net(torch.rand(2, 1, 7, 7))
    assert net.body[2].surrogate_function is before[0]
    assert net.body[4].surrogate_function is before[1]


def test_policies_nest():
    net = network()
    with net.gradient(Surrogate(surrogate.Rect())):
        outer = spikes_logits_gradient(net)[2]
        with net.gradient(Surrogate(surrogate.Sigmoid())):
            inner = spikes_logits_gradient(net)[2]
        assert torch.equal(spikes_logits_gradient(net)[2], outer)
    assert not torch.equal(inner, outer)


def test_weights_and_names_stay():
    net = cnn((1, 8, 8), 10, channels=(4,), hidden=8).eval()
    before = copy.deepcopy(net.state_dict())
    with net.gradient(Surrogate(surrogate.ATan(), sharpness=9.0)):
        net(images().requires_grad_(True)).sum().backward()
        assert list(net.state_dict()) == list(before)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_shared_surrogates_are_swapped_not_changed():
    shared = surrogate.ATan()
    given = surrogate.ATan()
    nodes = [neuron.LIFNode(surrogate_function=shared, step_mode="m") for _ in range(2)]
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, 9), nodes[0], nn.Linear(9, 9), nodes[1], nn.Linear(9, 3))
    net = SpikingNetwork(Direct(T=3), body)
    bystander = neuron.LIFNode(surrogate_function=shared)
    policy = Surrogate(given, sharpness=7.0)
    with net.gradient(policy):
        assert [while_running(net, node, images()).alpha for node in nodes] == [7.0, 7.0]
        assert bystander.surrogate_function is shared
    assert (shared.alpha, given.alpha) == (2.0, 2.0)
    assert nodes[0].surrogate_function is nodes[1].surrogate_function is shared


def test_the_neuron_of_the_decoder_is_steered_too():
    from art_snn.coding import SpikeCount

    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, 3))
    net = SpikingNetwork(Direct(T=3), body, SpikeCount(neuron.LIFNode(step_mode="m")))
    with net.gradient(Surrogate(surrogate.Rect())):
        assert isinstance(while_running(net, net.decoder.neuron, images()), surrogate.Rect)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Surrogate(surrogate.ATan), TypeError, "pass an instance"),
        (lambda: Surrogate(torch.sigmoid), TypeError, "a surrogate module"),
        (lambda: Surrogate(surrogate.ATan(spiking=False)), ValueError, "spiking=False"),
        (lambda: Surrogate(surrogate.PoissonPass()), ValueError, "a spike exactly where"),
        (lambda: Surrogate(surrogate.MultiLevelSpikeCount(4)), ValueError, "a spike exactly where"),
        (lambda: Surrogate(nn.Sigmoid()), ValueError, "a spike exactly where"),
        (lambda: Surrogate(nn.PReLU()), ValueError, "learnable parameters"),
        (lambda: Surrogate(surrogate.ATan(), sharpness=0.0), ValueError, "a positive number"),
        (lambda: Surrogate(surrogate.ATan(), sharpness=float("nan")), ValueError, "a positive number"),
        (lambda: Surrogate(surrogate.DeterministicPass(), sharpness=2.0), ValueError, "with an alpha"),
    ],
)
def test_misuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_network_without_surrogates():
    net = SpikingNetwork(Direct(T=2), nn.Flatten(2))
    with pytest.raises(ValueError, match="without surrogate neurons"), net.gradient(Surrogate(surrogate.ATan())):
        pass


def test_a_multi_level_neuron_is_refused_and_the_others_are_put_back():
    first = neuron.LIFNode(step_mode="m")
    old = first.surrogate_function
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, 9), first, nn.Linear(9, 3), neuron.ILIFNode(step_mode="m"))
    net = SpikingNetwork(Direct(T=2), body)
    with (
        pytest.raises(ValueError, match=r"body.4', a ILIFNode.*binary spikes"),
        net.gradient(Surrogate(surrogate.ATan())),
    ):
        pass
    assert first.surrogate_function is old


@pytest.mark.parametrize("encoder", [Direct(T=4), Latency(T=4), Poisson(T=4, seed=2)])
def test_at_spikes_equals_the_whole_when_fed_the_encoded_train(encoder):
    net = mlp((1, 8, 8), 10, hidden=(20,), encoder=encoder).eval()
    z = net(images())
    net.reseed()
    train = net.encode(images()).transpose(0, 1)
    edge = net.at_spikes()
    assert train.shape == (4, 4, 1, 8, 8)
    assert torch.equal(edge(train), z)
    assert not edge.is_stochastic
    assert not edge.training
    assert edge.body is net.body


def test_at_spikes_has_the_gradient_of_the_train():
    net = mlp((1, 8, 8), 10, hidden=(20,), encoder=Latency(T=4)).eval()
    train = net.encode(images()).transpose(0, 1).clone().requires_grad_(True)
    edge = torch.autograd.grad(net.at_spikes()(train)[:, 0].sum(), train)[0]
    s = train.detach().transpose(0, 1).requires_grad_(True)
    direct = torch.autograd.grad(net.decoder(net.simulate(s))[:, 0].sum(), s)[0]
    assert torch.equal(edge, direct.transpose(0, 1))


def test_a_policy_on_the_whole_holds_at_the_spike_edge():
    net = mlp((1, 8, 8), 10, hidden=(20,)).eval()
    with net.gradient(Surrogate(surrogate.Rect())):
        edge = net.at_spikes()
        assert isinstance(while_running(edge, edge.body[2], torch.rand(4, 8, 1, 8, 8)), surrogate.Rect)


def test_at_spikes_wants_batch_first():
    net = mlp((1, 8, 8), 10, hidden=(20,), encoder=Latency(T=4))
    with pytest.raises(ValueError, match=r"\[N, T=4, \*\]"):
        net.at_spikes()(net.encode(images()[:3]))
