"""``fast=True`` and ``fast=False`` are the same network: spikes, logits, gradients under every policy, state."""

import copy
import pickle

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, FirstSpike, Latency, MembraneMean, Quantized
from art_snn.gradients import (
    ASSG,
    BPTR,
    HART,
    PDSG,
    RGA,
    SCG,
    ANNTwin,
    Ensemble,
    GradientPolicy,
    StraightThrough,
    Surrogate,
)  # fmt: skip
from art_snn.networks import ann_twin, cnn, load, mlp, save
from art_snn.networks.repeats import unshared_because

POLICIES = [
    None, Surrogate("atan", 8.0), Surrogate(surrogate.Rect()), Surrogate(surrogate.Sigmoid(), detach_reset=True),
    Surrogate("sigmoid", temporal_chain="none"), StraightThrough(), StraightThrough(clip=0.5), BPTR(), RGA(),
    HART(0.5), PDSG(), ASSG(0.45), SCG(2.0), ANNTwin(), Ensemble([Surrogate("atan", 8.0), BPTR()]),
]  # fmt: skip


def images(count=4, side=8, seed=0):
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


def small(encoder=None, kind="lif", **more):
    more = {"channels": (4, 6), "hidden": 12, **more}
    return cnn((1, 8, 8), 5, encoder=encoder or Direct(T=6), neuron=kind, **more).eval()


def seen(net, x, policy, *, fast):
    """Spikes of every neuron, logits, and gradients of input and parameters; ASSG twice, so that its state moves."""
    net.fast = fast
    spikes = []
    nodes = [m for m in net.modules() if hasattr(m, "surrogate_function")]
    hooks = [m.register_forward_hook(lambda _, __, out: spikes.append(out.detach().clone())) for m in nodes]
    x = x.clone().requires_grad_(True)
    rows = list(range(len(x)))
    scope = policy.attack_scope(rows) if policy is not None else GradientPolicy().attack_scope(rows)
    with scope, net.gradient(policy or Surrogate("atan", 2.0)):
        for _ in range(2):
            z = net(x)
            weights = torch.arange(z.numel(), dtype=z.dtype).view(z.shape).sin()
            grads = torch.autograd.grad((z * weights).sum(), [x, *net.parameters()], allow_unused=True)
    for hook in hooks:
        hook.remove()
    return spikes, z.detach(), grads


def near(one, other, share=1e-5):
    if one is None or other is None:
        return one is other
    return float((one - other).detach().abs().max()) <= share * max(float(other.abs().max()), 1e-6)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("encoder", [Direct(T=6), Latency(T=6)], ids=["direct", "latency"])
@pytest.mark.parametrize("kind", ["lif", "if", "plif"])
def test_every_policy_steers_the_same(policy, encoder, kind):
    net = small(encoder, kind)
    fast, slow = (seen(net, images(), policy, fast=way) for way in (True, False))
    assert len(fast[0]) > 0
    assert all(torch.equal(a, b) for a, b in zip(fast[0], slow[0], strict=True))
    assert torch.equal(fast[1], slow[1])
    assert all(near(a, b) for a, b in zip(fast[2], slow[2], strict=True))


@pytest.mark.parametrize("count", [1, 2, 7, 33])
def test_any_batch_size(count):
    for net in (small(), mlp((1, 8, 8), 5, hidden=(40, 20), encoder=Quantized(T=8)).eval()):
        fast, slow = (seen(net, images(count), None, fast=way) for way in (True, False))
        assert all(torch.equal(a, b) for a, b in zip(fast[0], slow[0], strict=True))
        assert near(fast[2][0], slow[2][0])


def test_training_mode_and_its_statistics():
    nets = small(), small()
    for net, way in zip(nets, (True, False), strict=True):
        net.train().fast = way
        z = net(images())
        z.pow(2).sum().backward()
    one, other = nets
    assert all(torch.equal(a, b) for a, b in zip(one.buffers(), other.buffers(), strict=True))
    assert all(near(a.grad, b.grad) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_nothing_stays_behind():
    net = small()
    modules, before = list(net.modules()), [set(vars(m)) for m in net.modules()]
    names = list(net.state_dict())
    types = [type(m) for m in net.modules()]
    net(images().requires_grad_(True))
    with pytest.raises(ValueError, match="spike train"):
        net(torch.rand(2, 3, 5, 5))
    assert list(net.modules()) == modules
    assert [set(vars(m)) for m in net.modules()] == before
    assert [type(m) for m in net.modules()] == types
    assert list(net.state_dict()) == names


def test_copies_and_storage(tmp_path):
    net = small()
    x = images()
    z = net(x)
    pickled = pickle.loads(pickle.dumps(net))  # noqa: S301
    for twin in (copy.deepcopy(net), pickled, load(save(net, tmp_path / "net.safetensors"))):
        assert twin.fast == net.fast
        assert torch.equal(twin(x), z)
    assert ann_twin(net)(x).shape == z.shape


def test_fast_is_a_switch():
    with pytest.raises(TypeError, match="fast"):
        SpikingNetwork(Direct(T=2), nn.Linear(3, 2), fast=1)
    net = SpikingNetwork(Direct(T=2), nn.Linear(3, 2), fast=False)
    assert {step.how for step in net.plan().steps} == {"left alone"}
    assert net.at_spikes().fast is False


def calls(net, x):
    """How often SpikingJelly's own multi-step method runs, and the number of steps that each convolution sees."""
    own, steps = [], []
    originals = {kind: kind.multi_step_forward for kind in (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)}
    forward = nn.Conv2d.forward
    with pytest.MonkeyPatch.context() as patch:
        for kind, original in originals.items():
            patch.setattr(kind, "multi_step_forward", lambda self, x, o=original: own.append(self) or o(self, x))
        patch.setattr(nn.Conv2d, "forward", lambda self, v: steps.append(len(v) // len(x)) or forward(self, v))
        net(x)
    return len(own), steps


def test_it_is_really_done():
    net = small()
    net.fast = True
    assert calls(net, images()) == (0, [1, 6])
    assert [step.how for step in net.plan().steps][:4] == ["once", "once", "fused", "rearranged"]
    net.fast = False
    assert calls(net, images()) == (3, [6, 6])
    latency = small(Latency(T=6))
    latency.fast = True
    assert calls(latency, images()) == (0, [6, 6])
    assert [step.how for step in latency.plan().steps][:3] == ["left alone", "left alone", "fused"]


class Odd(neuron.LIFNode):
    """A neuron of one's own."""


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda node: setattr(node, "store_v_seq", True), "store_v_seq"),
        (lambda node: setattr(node, "surrogate_function", surrogate.ATan(spiking=False)), "ATan"),
        (lambda node: setattr(node, "surrogate_function", surrogate.FakeNumericalGradient()), "FakeNumericalGradient"),
        (lambda node: setattr(node, "__class__", Odd), "Odd"),
    ],
)
def test_what_is_not_ours_runs_as_it_is(change, word):
    net = small()
    net.fast = True
    change(net.body[2])
    assert calls(net, images())[0] == 1
    assert word in next(step.why for step in net.plan().steps if step.name == "2")
    fast, slow = (seen(net, images(), BPTR(), fast=way) for way in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(fast[0], slow[0], strict=True))


def test_single_step_bodies_are_left_alone():
    net = small()
    expected = net(images())
    functional.set_step_mode(net.body, "s")
    net.fast = True
    assert torch.allclose(net(images()), expected, atol=1e-6)
    assert {step.how for step in net.plan().steps} == {"left alone"}
    assert "set_step_mode" in net.plan().steps[0].why


class Branches(nn.Module):
    """A forward of its own that writes into what a layer returned."""

    def __init__(self):
        super().__init__()
        self.one = layer.Conv2d(1, 3, 3, padding=1, step_mode="m")
        self.other = layer.Conv2d(1, 3, 1, step_mode="m")
        self.fire = neuron.LIFNode(step_mode="m", surrogate_function=surrogate.ATan())
        self.out = nn.Linear(3 * 64, 5)

    def forward(self, s):
        current = self.one(s)
        current += torch.arange(len(s), dtype=s.dtype).view(-1, 1, 1, 1, 1) / 2
        current = current + self.other(s)
        return self.out(self.fire(current).flatten(2))


def test_a_body_that_writes_in_place_and_branches():
    torch.manual_seed(0)
    net = SpikingNetwork(Direct(T=6), Branches(), MembraneMean()).eval()
    fast, slow = (seen(net, images(), None, fast=way) for way in (True, False))
    assert torch.equal(fast[0][0], slow[0][0])
    assert fast[0][0].any()
    assert all(near(a, b) for a, b in zip(fast[2], slow[2], strict=True))


def test_a_step_written_to_is_no_longer_a_repetition():
    """The neuron must see what the body made of the convolution's output, not what the convolution returned."""

    class Written(Branches):
        def forward(self, s):
            current = self.one(s)
            current[0] += 5
            return self.out(self.fire(current).flatten(2))

    torch.manual_seed(0)
    net = SpikingNetwork(Direct(T=6), Written(), MembraneMean()).eval()
    fast, slow = (seen(net, images(), None, fast=way) for way in (True, False))
    assert torch.equal(fast[0][0], slow[0][0])


def test_dropout_and_batch_statistics_see_every_step():
    body = nn.Sequential(layer.Dropout(0.5, step_mode="m"), layer.Linear(6, 4, step_mode="m"))
    net = SpikingNetwork(Direct(T=4), body, fast=True).train()
    assert [step.how for step in net.plan().steps] == ["left alone", "left alone"]
    assert [step.how for step in net.eval().plan().steps] == ["once", "once"]


class Twice(nn.Module):
    """One neuron in two places: the second goes on from the membrane of the first."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = layer.Linear(64, 12, step_mode="m"), layer.Linear(12, 5, step_mode="m")
        self.node = neuron.LIFNode(step_mode="m", detach_reset=True)

    def forward(self, s):
        current = 8 * self.first(s.flatten(2))
        return self.last(self.node(current) + self.node(current))


def test_a_neuron_that_is_called_twice_goes_on_from_its_membrane():
    net = SpikingNetwork(Direct(T=4), Twice())
    fast, slow = (seen(net, images(), None, fast=way) for way in (True, False))
    assert all(torch.equal(a, b) for a, b in zip(fast[0], slow[0], strict=True))
    assert torch.allclose(fast[1], slow[1], atol=1e-6)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(fast[2], slow[2], strict=True))
    assert not torch.equal(fast[0][0], fast[0][1])  # the same current, not from rest


@pytest.mark.parametrize(
    ("module", "word"),
    [
        (layer.BatchNorm2d(3, track_running_stats=False, step_mode="m"), "normalizes by the batch"),
        (layer.MaxPool2d(2, return_indices=True, step_mode="m"), "more than one tensor"),
        (layer.MaxPool2d(2, step_mode="s"), "set_step_mode"),
    ],
)
def test_why_a_layer_must_see_every_step(module, word):
    assert word in unshared_because(module.eval())


def test_torch_func_transforms_go_to_spikingjelly():
    net = SpikingNetwork(
        Direct(T=4), nn.Sequential(nn.Linear(6, 5), neuron.LIFNode(step_mode="m", surrogate_function=surrogate.Rect())),
        MembraneMean(), fast=True,
    ).eval()  # fmt: skip
    x = torch.rand((3, 6), generator=torch.Generator().manual_seed(0))
    through = torch.func.grad(lambda v: net(v).sum())(x)
    leaf = x.clone().requires_grad_(True)
    assert near(through, torch.autograd.grad(net(leaf).sum(), leaf)[0])


def test_second_derivatives_agree():
    net = small()
    found = []
    for way in (True, False):
        net.fast = way
        x = images().requires_grad_(True)
        grad = torch.autograd.grad(net(x).pow(2).sum(), x, create_graph=True)[0]
        found.append(torch.autograd.grad(grad.pow(2).sum(), [x, *net.parameters()], allow_unused=True))
    assert all(near(a, b, 5e-5) for a, b in zip(*found, strict=True))


def test_the_neuron_of_a_decoder_is_fused_too():
    node = neuron.IFNode(step_mode="m", surrogate_function=surrogate.ATan())
    body = nn.Sequential(nn.Linear(6, 4))
    net = SpikingNetwork(Latency(T=5), body, FirstSpike(neuron=node), fast=True).eval()
    x = torch.rand((3, 6), generator=torch.Generator().manual_seed(0))
    assert calls(net, x)[0] == 0
    fast, slow = (seen(net, x, None, fast=way) for way in (True, False))
    assert torch.equal(fast[1], slow[1])
    assert near(fast[2][0], slow[2][0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.cuda
@pytest.mark.parametrize("policy", [None, ASSG(0.45), HART(0.5)], ids=repr)
def test_on_cuda_everything_stays_there(policy):
    net, x = small().cuda(), images().cuda()
    spikes, z, grads = seen(net, x, policy, fast=True)
    assert all(value.is_cuda for value in [*spikes, z, *(g for g in grads if g is not None)])
    expected = seen(small(), images(), policy, fast=True)
    assert torch.allclose(z.cpu(), expected[1], atol=1e-4)
