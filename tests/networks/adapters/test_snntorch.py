"""Networks of snnTorch: the library's own loop, attacks, copies, policies."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNAutoPGD
from art_snn.attacks.evasion import RandomCorners
from art_snn.coding import Direct, MembraneMean
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, SCG, ANNTwin, StraightThrough, Surrogate
from art_snn.networks import SpikingNetwork
from art_snn.networks.adapters import SNNTorchBody
from art_snn.testing import check_estimator, check_policy

snn = pytest.importorskip("snntorch")
from snntorch import surrogate, utils  # noqa: E402 - after the skip

NEURONS = {
    "Leaky": lambda **o: snn.Leaky(beta=0.8, **o), "Synaptic": lambda **o: snn.Synaptic(alpha=0.6, beta=0.8, **o),
    "Alpha": lambda **o: snn.Alpha(alpha=0.9, beta=0.8, **o), "Lapicque": lambda **o: snn.Lapicque(beta=0.8, **o),
    "RLeaky": lambda **o: snn.RLeaky(beta=0.8, linear_features=12, **o),
}  # fmt: skip
FOLLOW = [Surrogate("atan", 8.0), StraightThrough(detach_reset=None), PDSG(), ASSG(0.45)]
REFUSED = [BPTR(), RGA(), HART(), SCG(), ANNTwin(), Surrogate("atan", detach_reset=True), StraightThrough()]


class Loops(nn.Module):
    """snnTorch's tutorial style: states are started and passed inside forward."""

    def __init__(self, hidden=24):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, hidden), snn.Leaky(beta=0.8)
        self.fc2, self.lif2 = nn.Linear(hidden, 10), snn.Leaky(beta=0.8, spike_grad=surrogate.fast_sigmoid(slope=5))

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for step in x:
            spk1, mem1 = self.lif1(self.fc1(step.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


def hidden(kind="Leaky", features=12, **options):
    """snnTorch's other style: hidden states, called once per step."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, features), NEURONS[kind](init_hidden=True, **options),
        nn.Linear(features, 10), snn.Leaky(beta=0.8, init_hidden=True, output=True),
    )  # fmt: skip


def plain_loop(net, s):
    """What one writes without the adapter; part 1 is the membrane."""
    utils.reset(net)
    return torch.stack([net(step)[1] for step in s])


def gradient_of(run, s):
    leaf = s.clone().requires_grad_(True)
    z = run(leaf)
    return z.detach(), torch.autograd.grad((z * torch.linspace(-1, 1, z.numel()).view_as(z)).sum(), leaf)[0]


@pytest.mark.parametrize("options", [{}, {"reset_mechanism": "zero"}, {"reset_delay": False}], ids=str)
@pytest.mark.parametrize("kind", NEURONS)
def test_outputs_and_gradients_of_the_librarys_own_loop(kind, options):
    if kind not in ("Leaky", "Synaptic") and "reset_delay" in options:
        options = {}
    net = hidden(kind, **options)
    twin = copy.deepcopy(net)
    s = 3 * torch.rand(5, 4, 1, 8, 8)
    body = SNNTorchBody(net, output=1)
    expected, slope = gradient_of(lambda x: plain_loop(twin, x), s)
    assert expected.std() > 0.05
    for _ in range(2):
        z, grad = gradient_of(body, s)
        assert torch.equal(z, expected)
        assert torch.allclose(grad, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("part", [0, 1])
def test_a_network_that_loops_itself(part):
    net = Loops()
    twin = copy.deepcopy(net)
    s = 3 * torch.rand(5, 4, 1, 8, 8)
    expected, slope = gradient_of(lambda x: twin(x)[part], s)
    z, grad = gradient_of(SNNTorchBody(net, time="inside", output=part), s)
    assert torch.equal(z, expected)
    assert torch.equal(grad, slope)


class Lists(Loops):
    """Returns its steps as they come, in two lists."""

    def forward(self, x):
        return tuple(list(steps) for steps in super().forward(x))


@pytest.mark.parametrize("part", [0, 1])
def test_steps_in_a_list_are_stacked(part):
    torch.manual_seed(0)
    net = Lists()
    s = 3 * torch.rand(5, 4, 1, 8, 8)
    z, grad = gradient_of(SNNTorchBody(copy.deepcopy(net), time="inside", output=part), s)
    expected, slope = gradient_of(lambda x: torch.stack(net(x)[part]), s)
    assert torch.equal(z, expected)
    assert torch.equal(grad, slope)


def test_nothing_is_left_behind_even_after_an_exception():
    net = hidden()
    body, s = SNNTorchBody(net, output=1), 3 * torch.rand(4, 3, 1, 8, 8)
    expected = body(s)

    def explode(module, args, output):
        raise ArithmeticError

    handle = net[4].register_forward_hook(explode)
    with pytest.raises(ArithmeticError):
        body(s.requires_grad_(True))
    handle.remove()
    for node in (net[2], net[4]):
        assert node.mem.numel() == 0
        assert node.mem.grad_fn is None
        assert "mem_reset" not in vars(node)
        assert "reset" not in vars(node)
    copy.deepcopy(body)
    assert torch.equal(body(s), expected)
    assert torch.equal(body(s[:, :2]), expected[:, :2])


def test_the_network_is_shared_and_still_snntorchs(classifier):
    net, s = hidden(), 3 * torch.rand(4, 3, 1, 8, 8)
    names, before = list(net.state_dict()), plain_loop(net, s)
    body = SNNTorchBody(net, output=1)
    assert list(net.state_dict()) == names
    assert torch.equal(plain_loop(net, s), before)
    assert body.module is net
    again = SNNTorchBody(net, output=1)
    assert torch.equal(again(s), before)


def test_copies_and_pickles_of_every_builtin_surrogate():
    made = [surrogate.atan(alpha=3.0), surrogate.fast_sigmoid(slope=10), surrogate.sigmoid(slope=5),
            surrogate.triangular(), surrogate.straight_through_estimator(), None]  # fmt: skip
    s = 3 * torch.rand(4, 3, 1, 8, 8)
    for spike_grad in made:
        body = SNNTorchBody(hidden(spike_grad=spike_grad), output=1)
        expected, slope = gradient_of(body, s)
        for twin in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):  # noqa: S301
            z, grad = gradient_of(twin, s)
            assert torch.equal(z, expected)
            assert torch.equal(grad, slope)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("policy", FOLLOW, ids=repr)
def test_policies_that_replace_the_surrogate(policy, classifier):
    net = classifier(SNNTorchBody(hidden(), output=1)).model.double()
    check_policy(policy, net, torch.rand(3, 1, 8, 8))
    x = torch.rand(3, 1, 8, 8).double().requires_grad_(True)
    own = torch.autograd.grad(net(x).square().sum(), x)[0]
    with net.gradient(policy):
        other = torch.autograd.grad(net(x).square().sum(), x)[0]
    assert not torch.allclose(own, other, rtol=1e-2)


@pytest.mark.parametrize("policy", REFUSED, ids=repr)
def test_policies_that_need_a_membrane_are_refused_by_name(policy, classifier):
    net = classifier(SNNTorchBody(hidden(), output=1)).model
    with pytest.raises(ValueError, match=r"body\.module\.2\.spike_grad.*Fix:"), net.gradient(policy):
        net(torch.rand(2, 1, 8, 8, requires_grad=True))
    assert not net.policies


def test_a_membrane_at_its_threshold_does_not_fire_under_any_surrogate():
    """snnTorch fires above the threshold, this package's surrogates at it."""
    net = nn.Sequential(snn.Leaky(beta=0.5, init_hidden=True))
    network = SpikingNetwork(Direct(3), SNNTorchBody(net), MembraneMean(tau=1.0))
    x = torch.tensor([[0.25, 0.5, 1.0, 1.0 + 2**-20, 2.0]], requires_grad=True)
    z = network(x)
    with network.gradient(Surrogate("atan", 8.0)):
        steered = network(x)
    assert torch.equal(z, steered)
    assert z[0, 0] == 0
    assert torch.autograd.grad(steered.sum(), x)[0].all()


def test_the_classifier_conforms_and_falls(classifier, right):
    for body in (SNNTorchBody(Loops(), time="inside", output=1), SNNTorchBody(hidden(features=24), output=1)):
        clf = classifier(body, epochs=4)
        x, y = right(clf)
        assert len(x) == 24, "it learned something"
        check_estimator(clf, x[:7], y[:7])
        before = clf.compute_loss(x, y, reduction="mean")
        attack = SNNAutoPGD(clf, eps=0.15, max_iter=15)
        x_adv = attack.generate(x, y)
        assert clf.compute_loss(x_adv, y, reduction="mean") > 2 * before
        assert attack.last_run.success.mean() > 0.8
        noise = RandomCorners(clf, eps=0.15, max_iter=15)
        noise.generate(x, y)
        assert noise.last_run.success.mean() < attack.last_run.success.mean()
        steered = SNNAutoPGD(clf, eps=0.15, max_iter=15, policy=Surrogate("atan", 4.0))
        steered.generate(x, y)
        assert steered.last_run.success.mean() > 0.5


@pytest.mark.slow
def test_no_invalidating_flag(classifier):
    from art_snn import diagnose
    from art_snn.testing import tiny

    clf = classifier(SNNTorchBody(Loops(48), time="inside", output=1), epochs=8)
    report = diagnose(clf, *tiny.samples(64), eps=0.1)
    assert not [name for name, flag in report.flags.items() if name.startswith("E") and flag.raised], str(report)


def test_wrong_use_names_the_fix():
    with pytest.raises(ValueError, match="without neurons of snnTorch"):
        SNNTorchBody(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="time='outside'"):
        SNNTorchBody(hidden(), time="both")
    with pytest.raises(TypeError, match="SNNTorchBody"):
        SNNTorchBody(3)
    with pytest.raises(ValueError, match=r"neuron '0'.*step function"):
        SNNTorchBody(nn.Sequential(snn.Leaky(beta=0.5, spike_grad=torch.sigmoid)))
    with pytest.raises(TypeError, match="another part"):
        SNNTorchBody(Reports())(torch.rand(2, 3, 4))


class Reports(nn.Module):
    def __init__(self):
        super().__init__()
        self.lif = snn.Leaky(beta=0.5, init_hidden=True)

    def forward(self, x):
        return {"spikes": self.lif(x)}


def test_a_surrogate_of_ones_own_is_kept():
    body = SNNTorchBody(nn.Sequential(snn.Leaky(beta=0.5, spike_grad=torch_step, init_hidden=True)))
    assert np.array_equal(body(torch.full((2, 1, 1), 2.0)).flatten().tolist(), [1.0, 1.0])
    pickle.loads(pickle.dumps(body))  # noqa: S301


def torch_step(v):
    return (v > 0).to(v) + (v - v.detach())


def test_a_batch_that_is_too_large_goes_through_in_pieces(classifier):
    net = classifier(SNNTorchBody(hidden(), output=1)).model.double()
    x = torch.rand(40, 1, 8, 8).double().requires_grad_(True)
    whole = net(x)
    slope = torch.autograd.grad(whole.square().sum(), x)[0]
    net.max_memory = 20_000
    pieces = net(x)
    assert torch.allclose(pieces, whole)
    assert torch.allclose(torch.autograd.grad(pieces.square().sum(), x)[0], slope)
    with torch.no_grad():
        assert torch.allclose(net(x), whole)
