"""Decoders: closed forms, ties, silence, early exit."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from spikingjelly.activation_based import neuron

from art_snn import coding
from art_snn.coding import (
    Decoder,
    EarlyExit,
    FirstSpike,
    MeanCurrent,
    MembraneLast,
    MembraneMax,
    MembraneMean,
    SpikeCount,
    TimeWeighted,
    accuracy_over_time,
    decide,
    decision_time,
    exit_time,
    first_spike,
    no_decision_rate,
    tie_rate,
    time_weighted,
)  # fmt: skip


def trains(seed, T=6, N=5, K=4, rate=0.2):
    return (torch.rand(T, N, K, generator=torch.Generator().manual_seed(seed)) < rate).double()


def if_node(**kwargs):
    return neuron.IFNode(step_mode="m", **kwargs)


ALL = [
    SpikeCount(), SpikeCount(if_node()), MembraneMean(), MembraneLast(), MembraneMax(), MeanCurrent(), FirstSpike(),
    FirstSpike(if_node()), TimeWeighted(), TimeWeighted("event", if_node()), EarlyExit(), EarlyExit("confidence", 0.9),
    EarlyExit("margin", 2.0, if_node()),
]  # fmt: skip


@pytest.mark.parametrize("decoder", ALL, ids=repr)
def test_logits_are_finite_and_equivariant(decoder):
    current = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])
    for o in (current, torch.zeros(6, 5, 4), -current.abs()):
        for module in decoder.modules():
            if hasattr(module, "reset"):
                module.reset()
        z = decoder(o)
        for module in decoder.modules():
            if hasattr(module, "reset"):
                module.reset()
        assert z.shape == (5, 4)
        assert torch.isfinite(z).all()
        assert torch.allclose(decoder(o[:, :, order]), z[:, order])
    assert not ((z.sum(1) - 1).abs() < 1e-6).all(), "a row that sums to one would be taken for probabilities"


@pytest.mark.parametrize("decoder", ALL, ids=repr)
def test_shape_errors(decoder):
    with pytest.raises(ValueError, match=r"\[T, N, K\]"):
        decoder(torch.zeros(5, 4))


def test_every_decoder_can_be_rebuilt_from_its_arguments():
    for name in coding.__all__:
        kind = getattr(coding, name)
        if isinstance(kind, type) and issubclass(kind, Decoder) and kind is not Decoder:
            assert repr(kind(**kind().config())) == repr(kind())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.sampled_from([0.02, 0.1, 0.5]))
def test_first_spike_by_brute_force(seed, rate):
    o = trains(seed, rate=rate)
    T, N, K = o.shape
    worth, times = first_spike(o), decision_time(o)
    for n in range(N):
        tau = [next((t for t in range(T) if o[t, n, k]), T) for k in range(K)]
        assert worth[n].tolist() == [T - t for t in tau]
        assert times[n] == min(tau)
        winners = [k for k in range(K) if tau[k] == min(tau)]
        answer = FirstSpike()(o)[n].argmax().item()
        assert answer in winners
        strict = decide(o, tie="error", silence="abstain")[n].item()
        assert strict == (-1 if min(tau) == T or len(winners) > 1 else winners[0])
        assert decide(o, tie="index", silence="index")[n].item() == winners[0]
        counts = o[:, n].sum(0)
        assert decide(o)[n].item() == max(winners, key=lambda k: (counts[k].item(), -k))
    assert no_decision_rate(o) == (times == T).double().mean()


@pytest.mark.parametrize(("tie", "silence"), [("membrane", "membrane"), ("index", "index"), ("index", "membrane")])
def test_tie_and_silence_rules(tie, silence):
    """Sample 0 ties between classes 0 and 1, sample 1 stays silent; the evidence favors class 1 both times."""
    o = torch.tensor([[[1.0, 1.5, 0.0], [0.1, 0.3, 0.2]]])
    decoder = FirstSpike(if_node(), tie=tie, silence=silence)
    answer = decoder(o).argmax(1).tolist()
    assert answer == [1 if tie == "membrane" else 0, 1 if silence == "membrane" else 0]
    decoder.neuron.reset()
    assert decoder.decide(o, tie="error", silence="abstain").tolist() == [-1, -1]


def test_rules_are_checked():
    with pytest.raises(ValueError, match="decide"):
        FirstSpike(tie="error")
    with pytest.raises(ValueError, match="decide"):
        FirstSpike(silence="abstain")
    with pytest.raises(ValueError, match="silence"):
        decide(torch.zeros(1, 1, 2), silence="error")


@settings(max_examples=60, deadline=None)
@given(current=st.floats(0.01, 3.0), threshold=st.sampled_from([0.5, 1.0, 2.0]))
def test_an_if_neuron_under_constant_current_fires_at_its_closed_form(current, threshold):
    r"""The first t with (t + 1) I >= theta is ceil(theta / I) - 1."""
    T = 50
    decoder = FirstSpike(if_node(v_threshold=threshold))
    o = torch.full((T, 1, 2), current, dtype=torch.float64)
    o[:, :, 1] = 0
    expected = int(np.ceil(threshold / current - 1e-12)) - 1
    time = decoder.decision_time(o).item()
    exact = abs(threshold / current - round(threshold / current)) < 1e-9
    assert time == min(expected, T) or (exact and abs(time - expected) <= 1)


def test_membranes_by_recursion():
    o = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    for tau in (1.0, 2.0, 5.0):
        v, trace = torch.zeros(3, 4).double(), []
        for step in o:
            v = v + (step - v) / tau
            trace.append(v)
        trace = torch.stack(trace)
        assert torch.allclose(MembraneMean(tau)(o), trace.mean(0))
        assert torch.allclose(MembraneLast(tau)(o), trace[-1])
        assert torch.allclose(MembraneMax(tau)(o), trace.amax(0))
    assert torch.allclose(MeanCurrent()(o), MembraneMean(1.0)(o))


def test_time_weights_reduce_to_the_count():
    o = trains(3)
    assert torch.equal(TimeWeighted("uniform")(o), SpikeCount()(o))
    t = torch.arange(6).double()
    for rule, w in {"linear": (6 - t) / 6, "event": 1.1 - t / 60, "phase": 0.5 ** (t + 1)}.items():
        assert torch.allclose(time_weighted(o, rule), (w.view(-1, 1, 1) * o).sum(0))


@pytest.mark.parametrize("weights", ["linear", "event", "phase", "uniform"])
def test_the_evidence_only_breaks_ties(weights):
    o = 3 * torch.randn(8, 200, 5, generator=torch.Generator().manual_seed(2))
    plain = time_weighted(if_node()(o), weights)
    z = TimeWeighted(weights, if_node())(o)
    higher = plain[:, :, None] > plain[:, None, :] + 1e-6
    assert (z[:, :, None] > z[:, None, :])[higher].all()
    assert tie_rate(z) < tie_rate(plain)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from([("margin", 1.0), ("margin", 3.0), ("confidence", 0.7)]))
def test_nothing_after_the_exit_can_change_the_answer(seed, rule):
    generator = torch.Generator().manual_seed(seed)
    o = torch.randn(8, 4, 5, generator=generator).double()
    decoder = EarlyExit(*rule)
    time = decoder.decision_time(o)
    after = torch.arange(8)[:, None] > time
    changed = torch.where(after[:, :, None], 100 * torch.randn(o.shape, generator=generator).double(), o)
    assert torch.equal(decoder(changed), decoder(o))
    assert torch.equal(decoder.decision_time(changed), time)
    leaf = o.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(decoder(leaf).square().sum(), leaf)
    assert not grad[after].any()
    assert grad[~after].all()
    spikes = trains(seed, T=8, N=4, K=5)
    fired = decision_time(spikes)
    later = torch.arange(8)[:, None, None] > fired[None, :, None]
    noise = torch.where(later, trains(seed + 1, T=8, N=4, K=5, rate=0.5), spikes)
    assert torch.equal(decide(noise, tie="index", silence="index"), decide(spikes, tie="index", silence="index"))


def test_exit_by_hand():
    o = torch.zeros(4, 2, 2)
    o[:, 0, 0] = 0.4
    assert exit_time(o, "margin", 1.0).tolist() == [2, 4]
    assert exit_time(o, "confidence", 0.65).tolist() == [1, 4]
    assert torch.allclose(EarlyExit(threshold=1.0)(o)[0], torch.tensor([1.2, 0.0]))
    with pytest.raises(ValueError, match="confidence in"):
        EarlyExit("confidence", 1.5)


def test_accuracy_over_time_takes_ties_as_errors():
    o = torch.tensor([[[1.0, 1.0]], [[0.0, 1.0]], [[5.0, 0.0]]])
    assert accuracy_over_time(o, torch.tensor([1])).tolist() == [0.0, 1.0, 0.0]


def test_evidence_never_outweighs_a_spike():
    """Three spikes on a heavily negative current beat two on a heavily positive one, in float32 as well."""
    spikes = torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]], [[1.0, 1.0]]])
    evidence = torch.tensor([[[-900.0, 900.0]]] * 3)
    z = SpikeCount(_Replay(spikes))(evidence)[0]
    assert z[0] > z[1]


class _Replay(torch.nn.Module):
    """Fires a given train, whatever drives it."""

    def __init__(self, spikes):
        super().__init__()
        self.spikes = spikes

    def forward(self, current):
        return self.spikes
