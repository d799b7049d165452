"""The fused neurons against SpikingJelly's own: the same spikes bit for bit, the same gradients of both orders."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron, surrogate

from art_snn.gradients import surrogate as own_surrogate
from art_snn.gradients.known import DIFFERENTIATED, FORMULAS, known_slope
from art_snn.networks.fast import dynamics_of
from art_snn.neurons.fused import multi_step

pytestmark = pytest.mark.usefixtures("either_way")

SHAPES = [(1,), (3,), (2, 5), (2, 3, 4), (2, 2, 3, 3)]


def make(kind, tau, decay, reset, detach, threshold, function=None):
    common = {
        "v_threshold": threshold, "v_reset": reset, "detach_reset": detach, "step_mode": "m",
        "surrogate_function": function or surrogate.ATan(),
    }  # fmt: skip
    if kind == "if":
        return neuron.IFNode(**common)
    return (neuron.LIFNode if kind == "lif" else neuron.ParametricLIFNode)(tau, decay, **common)


def fused(node, x, v=0.0, steps=None):
    rate = node.w.sigmoid() if isinstance(node, neuron.ParametricLIFNode) else None
    return multi_step(x, v, dynamics_of(node), known_slope(node.surrogate_function), rate, steps)


def reference(node, x, v=None):
    node.reset()
    if v is not None:
        node.v = v
    return node(x), node.v


def close(one, other, share=1e-6):
    return float((one - other).abs().max()) <= share * max(float(other.abs().max()), 1e-6)


kinds = st.sampled_from(["if", "lif", "plif"])
resets = st.sampled_from([0.0, None, -0.3, 0.25])
taus = st.floats(1.01, 20.0)
thresholds = st.floats(0.05, 3.0)


@settings(max_examples=120, deadline=None)
@given(
    kinds, taus, st.booleans(), resets, thresholds, st.integers(1, 9), st.sampled_from(SHAPES), st.integers(0, 2**31),
    st.booleans(),
)  # fmt: skip
def test_spikes_and_membrane_are_spikingjellys_bit_for_bit(kind, tau, decay, reset, threshold, T, shape, seed, wide):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((T, *shape), generator=generator) * 2
    start = torch.randn(shape, generator=generator)
    if wide:
        x, start = x.double(), start.double()
    node = make(kind, tau, decay, reset, False, threshold).requires_grad_(False)
    node = node.double() if wide else node
    expected, last = reference(node, x, start)
    spikes, v = fused(node, x, start)
    assert torch.equal(spikes, expected)
    assert torch.equal(v, last)
    if not wide and reset is not None:
        fresh, _ = reference(node, x)
        assert torch.equal(fused(node, x, reset)[0], fresh)


@pytest.mark.parametrize("reset", [0.0, None])
def test_equality_fires_as_in_spikingjelly(reset):
    """Currents in quarters land on the threshold exactly, again and again."""
    x = torch.randint(-2, 6, (12, 400), generator=torch.Generator().manual_seed(0)) / 4
    node = make("if", 2.0, True, reset, False, 1.0)
    spikes, _ = fused(node, x)
    assert torch.equal(spikes, reference(node, x)[0])
    assert ((x[0] == 1.0) & (spikes[0] == 1)).any()


def gradients(node, x, start, run, order):
    """Input, initial state and learnable rate: the gradient of a mixture, or of a penalty on that gradient."""
    inputs = [
        x.clone().requires_grad_(True),
        start.clone().requires_grad_(True),
        *(p for p in node.parameters() if p.requires_grad),
    ]
    spikes, last = run(node, *inputs[:2])
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(spikes.shape, generator=generator, dtype=x.dtype)
    value = (spikes * weight).sum() + (last * weight[0]).sum()
    first = torch.autograd.grad(value, inputs, create_graph=order == 2)
    if order == 1:
        return first
    return torch.autograd.grad(sum((g * g).sum() + g.cos().sum() for g in first), inputs)


every_neuron = [
    pytest.mark.parametrize("kind", ["if", "lif", "plif"]),
    pytest.mark.parametrize("decay", [True, False]),
    pytest.mark.parametrize("reset", [0.0, None, -0.3]),
    pytest.mark.parametrize("detach", [True, False]),
]


def for_every_neuron(test):
    for mark in every_neuron:
        test = mark(test)
    return test


def trains(dtype):
    generator = torch.Generator().manual_seed(1)
    x, start = torch.randn((7, 3, 40), generator=generator) * 1.5, torch.randn((3, 40), generator=generator)
    return x.to(dtype), start.to(dtype)


@for_every_neuron
@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_both_orders_are_exact_in_float64(kind, decay, reset, detach, order):
    node = make(kind, 1.7, decay, reset, detach, 0.8).double()
    ours, theirs = (gradients(node, *trains(torch.float64), run, order) for run in (fused, reference))
    assert all(close(one, other, 1e-12) for one, other in zip(ours, theirs, strict=True))


@for_every_neuron
def test_gradients_in_float32(kind, decay, reset, detach):
    """Of input and initial state; the rate's is a sum over all of them, whose terms cancel."""
    node = make(kind, 1.7, decay, reset, detach, 0.8)
    ours, theirs = (gradients(node, *trains(torch.float32), run, 1) for run in (fused, reference))
    assert all(close(one, other) for one, other in zip(ours[:2], theirs[:2], strict=True))
    node.requires_grad_(False)
    ours = gradients(node, *trains(torch.float32), fused, 1)
    assert all(close(one, other) for one, other in zip(ours, theirs[:2], strict=True))


ALL = [*FORMULAS, *DIFFERENTIATED]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_known_slope_is_the_surrogates_own(kind):
    x = torch.linspace(-3, 3, 4001)
    function = kind()
    assert torch.equal(function(x), (x >= 0).float())
    leaf = x.clone().requires_grad_(True)
    expected = torch.autograd.grad(function(leaf), leaf, torch.cos(x))[0] / torch.cos(x)
    slope = known_slope(function)
    for formula in (slope.of, slope.into):
        if formula is not None:
            assert torch.allclose(formula(x.clone()), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("function", [surrogate.Erf(), surrogate.Rect(), own_surrogate("triangle", 2.0)])
def test_gradients_under_other_surrogates(function):
    generator = torch.Generator().manual_seed(1)
    x, start = torch.randn((7, 3, 40), generator=generator) * 1.5, torch.zeros(3, 40)
    node = make("lif", 2.0, True, 0.0, False, 1.0, function)
    for order in (1, 2):
        ours, theirs = (gradients(node, x, start, run, order) for run in (fused, reference))
        assert all(close(one, other, 5e-6) for one, other in zip(ours, theirs, strict=True))


def test_one_step_repeated_is_the_repeated_train():
    x = torch.rand((1, 4, 30), generator=torch.Generator().manual_seed(0)) * 1.5
    node = make("lif", 2.0, True, 0.0, False, 1.0)
    one, all_steps = x.clone().requires_grad_(True), x.expand(8, 4, 30).clone().requires_grad_(True)
    short, long = fused(node, one, steps=8)[0], fused(node, all_steps)[0]
    assert torch.equal(short, long)
    weight = torch.randn(long.shape, generator=torch.Generator().manual_seed(1))
    shared = torch.autograd.grad((short * weight).sum(), one)[0]
    assert close(shared, torch.autograd.grad((long * weight).sum(), all_steps)[0].sum(0, keepdim=True))


@pytest.mark.parametrize("part", ["spikes", "membrane"])
def test_gradients_of_spikes_alone_and_of_the_membrane_alone(part):
    x = torch.randn((5, 20), generator=torch.Generator().manual_seed(0))
    for detach in (True, False):
        node = make("lif", 2.0, True, 0.0, detach, 1.0)
        found = []
        for run in (fused, reference):
            leaf = x.clone().requires_grad_(True)
            out = run(node, leaf)[part == "membrane"]
            found.append(torch.autograd.grad((out * torch.arange(out.numel()).view(out.shape)).sum(), leaf)[0])
        assert close(*found)


def test_batched_cotangents():
    x = torch.randn((5, 20), generator=torch.Generator().manual_seed(0), requires_grad=True)
    spikes, _ = fused(make("lif", 2.0, True, 0.0, False, 1.0), x)
    eye = torch.eye(20)[:, None, :].expand(20, 5, 20)
    together = torch.autograd.grad(spikes, x, eye, is_grads_batched=True, retain_graph=True)[0]
    alone = torch.stack([torch.autograd.grad(spikes, x, one, retain_graph=True)[0] for one in eye])
    assert torch.allclose(together, alone, rtol=1e-6)


def test_the_graph_can_be_used_twice():
    x = torch.randn((5, 20), generator=torch.Generator().manual_seed(0), requires_grad=True)
    spikes, _ = fused(make("lif", 2.0, True, 0.0, False, 1.0), x)
    first = torch.autograd.grad(spikes.sum(), x, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(spikes.sum(), x)[0])


def test_infinite_currents_show():
    """What SpikingJelly turns into a non-number must not become a plausible spike train."""
    x = torch.tensor([torch.inf, 0.5, -torch.inf, 1.0]).repeat(4, 1)
    node = make("lif", 2.0, True, 0.0, False, 1.0)
    (ours, v), (theirs, last) = fused(node, x), reference(node, x)
    assert torch.equal(ours, theirs)
    assert torch.equal(v.isnan(), last.isnan())
