"""Neurons that were proposed as defenses: each equals LIF at one setting, and does what it says elsewhere."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct
from art_snn.coding.draws import keyed_draws
from art_snn.gradients import ASSG, BPTR, PDSG, Surrogate
from art_snn.networks import ann_twin, load, mlp, save, step_mode_mismatches
from art_snn.networks.parts import NEURONS
from art_snn.neurons import (
    DLIF,
    EvolutionaryLeak,
    HomeostaticLIF,
    RandomLeak,
    StochasticGate,
    VaryingLIF,
    record_signature,
)

T, N, D = 7, 3, 5
REDUCED = {
    "base": lambda **kw: VaryingLIF(**kw),
    "dlif": lambda **kw: DLIF(T, **kw),
    "evolutionary": lambda tau, **kw: EvolutionaryLeak(T, (D,), 1 - 1 / tau, **kw),
    "homeostatic": lambda **kw: HomeostaticLIF(T, (D,), rate=0.0, **kw),
    "random": lambda **kw: RandomLeak(sigma=0.0, **kw),
    "gated": lambda tau, v_reset: nn.Sequential(lif(tau, v_reset), StochasticGate((D,))),
}


def lif(tau, v_reset):
    return neuron.LIFNode(tau, False, v_reset=v_reset, step_mode="m", surrogate_function=surrogate.ATan())


def current(seed=0):
    return torch.randn(T, N, D, generator=torch.Generator().manual_seed(seed)) + 0.4


def gradient(module, x):
    x = x.clone().requires_grad_(True)
    out = module(x)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    return out.detach(), torch.autograd.grad((out * weight).sum(), x)[0]


@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("tau", [1.5, 2.0, 100.0])
@pytest.mark.parametrize("kind", REDUCED)
def test_it_reduces_to_lif_bit_for_bit(kind, tau, v_reset):
    spikes, slope = gradient(REDUCED[kind](tau=tau, v_reset=v_reset), current())
    expected, expected_slope = gradient(lif(tau, v_reset), current())
    assert torch.equal(spikes, expected)
    assert 0 < spikes.mean() < 1
    torch.testing.assert_close(slope, expected_slope)


@pytest.mark.parametrize("kind", [k for k in REDUCED if k != "gated"])
def test_both_step_modes_agree(kind):
    node = REDUCED[kind](tau=2.0)
    assert step_mode_mismatches(node) == {}
    together = node(current())
    node.reset()
    node.step_mode = "s"
    assert torch.equal(torch.stack([node(x) for x in current()]), together)


def test_gains_scale_the_current_of_their_step():
    node = DLIF(T, tau=2.0)
    with torch.no_grad():
        node.p.copy_(torch.linspace(0.2, 2, T))
    spikes = node(current())
    assert torch.equal(spikes, lif(2.0, 0.0)(current() * node.p.detach().view(T, 1, 1)))
    spikes.sum().backward()
    assert node.p.grad is not None
    assert (node.p.grad != 0).all()


def test_the_evolutionary_leak_is_clamped_with_a_gradient():
    node = EvolutionaryLeak(T, (D,), initial=1.0)
    with torch.no_grad():
        node.leaks.add_(0.5)
    free = EvolutionaryLeak(T, (D,), initial=1.0)
    assert torch.equal(node(current()), free(current()))
    node.reset()
    node(current()).sum().backward()
    assert (node.leaks.grad[1:] != 0).any()


def test_the_threshold_follows_the_membrane_and_rests_on_its_own_signature():
    x = current()[:, :1]
    node = HomeostaticLIF(T, (D,), rate=0.3)
    net = nn.Sequential(node)
    membranes = []
    plain = VaryingLIF()
    plain.charged = lambda u: membranes.append(u[0])
    expected = plain(x)
    with torch.no_grad():
        node.signature.copy_(torch.stack(membranes))
    assert torch.equal(net(x), expected)
    torch.testing.assert_close(node.theta, torch.ones(1, D))
    node.reset()
    louder = net(x + 1)
    assert (node.theta > 1).all()
    plain.reset()
    assert louder.sum() < plain(x + 1).sum()


def test_a_recorded_signature_is_the_mean_membrane():
    net = mlp((1, 8, 8), 10, hidden=(6,), neuron="homeostatic", encoder=Direct(T=4))
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    record_signature(net, x, batch_size=2)
    whole = net.body[2].signature.clone()
    record_signature(net, x, batch_size=5)
    torch.testing.assert_close(whole, net.body[2].signature)
    u = net.body[1](x.flatten(1))
    torch.testing.assert_close(whole[0], u.mean(0))


def test_the_gradient_passes_through_the_adapted_threshold():
    x = current().requires_grad_(True)
    node = HomeostaticLIF(T, (D,), rate=0.3)
    node(x).sum().backward()
    assert node.rate.grad != 0


@given(st.floats(0.15, 1.0), st.integers(0, 5))
def test_a_gate_passes_its_share_and_never_adds_a_spike(rate, seed):
    gate = StochasticGate((40,), initial=rate, seed=seed)
    spikes = (torch.rand(50, 4, 40, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    passed = gate(spikes)
    assert ((passed == 0) | (passed == spikes)).all()
    assert float((passed.sum() / spikes.sum()).detach()) == pytest.approx(rate, abs=0.04)
    gate.mean = True
    torch.testing.assert_close(gate(spikes), spikes * gate.rate.detach())


def test_the_slope_of_a_gate_is_that_of_its_relaxation():
    from art_snn.neurons.stochastic_gate import _Bernoulli

    h = torch.tensor([0.3, 0.6, 0.9], dtype=torch.double, requires_grad=True)
    u = torch.tensor([0.2, 0.7, 0.95], dtype=torch.double)
    (hard,) = torch.autograd.grad(_Bernoulli.apply(h, u).sum(), h)
    soft = torch.sigmoid((torch.logit(h) - torch.logit(u)) / 0.5)
    torch.testing.assert_close(hard, torch.autograd.grad(soft.sum(), h)[0])


def test_a_full_gate_still_learns_to_close():
    gate = StochasticGate((4,))
    (-gate(torch.ones(30, 2, 4)).sum() + gate.penalty()).backward()
    assert torch.isfinite(gate.P.grad).all()
    assert (gate.P.grad != 0).all()


@pytest.mark.parametrize("neuron_name", ["random", "gated"])
def test_random_neurons_draw_by_key_and_by_seed(neuron_name):
    net = mlp((1, 8, 8), 10, hidden=(12, 12), neuron=neuron_name, encoder=Direct(T=4)).eval()
    if neuron_name == "gated":
        with torch.no_grad():
            [m.P.fill_(0.5) for m in net.modules() if isinstance(m, StochasticGate)]
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert net.is_stochastic
    net.reseed(5)
    first, second = net(x), net(x)
    assert not torch.equal(first, second)
    net.reseed(5)
    assert torch.equal(net(x), first)
    with keyed_draws(net, [1, 2, 3]):
        together = net(x)
    with keyed_draws(net, [3]):
        torch.testing.assert_close(net(x[2:]), together[2:])
    again = copy.deepcopy(net)
    assert torch.equal(again(x), net(x))


def test_layers_of_one_network_have_streams_of_their_own():
    net = mlp((1, 8, 8), 10, hidden=(12, 12), neuron="random", encoder=Direct(T=4))
    net.reseed(3)
    like = torch.zeros(2, 12)
    one, two = (m.draws.uniform(1, like) for m in net.modules() if isinstance(m, RandomLeak))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("name", NEURONS)
def test_every_neuron_of_the_zoo_trains_twins_and_comes_back_from_disk(name, tmp_path):
    net = mlp((1, 8, 8), 10, hidden=(9,), neuron=name, encoder=Direct(T=4), seed=1)
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(net(x), torch.arange(4))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert ann_twin(net)(x).shape == (4, 10)
    net.eval().reseed(0)
    back = load(save(net, tmp_path / "net.safetensors"))
    back.reseed(0)
    assert torch.equal(back(x), net(x))


@pytest.mark.parametrize("name", ["dlif", "evolutionary", "homeostatic"])
@pytest.mark.parametrize("policy", [Surrogate("atan", 8.0), ASSG(0.45), PDSG(), BPTR()], ids=repr)
def test_gradient_policies_keep_the_spikes(name, policy):
    net = mlp((1, 8, 8), 10, hidden=(9,), neuron=name, encoder=Direct(T=4), seed=1).eval()
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    plain = net(x)
    with policy.attack_scope(range(4)), net.gradient(policy):
        steered = net(x)
        slope = torch.autograd.grad(steered.sum(), x)[0]
    assert torch.equal(plain, steered)
    assert (slope != 0).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DLIF(0), "DLIF"),
        (lambda: VaryingLIF(tau=0.5), "at least one step"),
        (lambda: VaryingLIF(v_threshold=0.0), "positive threshold"),
        (lambda: RandomLeak(sigma=-1.0), "0 or more"),
        (lambda: StochasticGate((3,), initial=0.0), "probability"),
        (lambda: HomeostaticLIF(4, (3,), rate=-1.0), "rate"),
        (lambda: EvolutionaryLeak(0, (3,)), "at least one step"),
        (lambda: DLIF(2)(torch.zeros(3, 1, 4)), r"DLIF\(T=3\)"),
        (lambda: EvolutionaryLeak(3, (3,))(torch.zeros(3, 1, 4)), r"EvolutionaryLeak\(shape=\(4,\)\)"),
        (lambda: StochasticGate((3,))(torch.zeros(3, 1, 4)), r"StochasticGate\(\(4,\)\)"),
        (lambda: record_signature(nn.ReLU(), torch.zeros(1, 4)), "homeostatic"),
    ],
)
def test_wrong_use_names_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_of_ones_own_works_too():
    body = nn.Sequential(nn.Flatten(2), nn.Linear(64, D), DLIF(4), nn.Linear(D, 10))
    x = torch.rand(2, 1, 8, 8)
    net = SpikingNetwork(Direct(T=4), body)
    assert torch.equal(net(x), net(x))
