"""The threat object: budgets, projection, units, and what it refuses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.coding import Latency
from art_snn.coding.timing import Timing
from art_snn.threats import Linf, Retiming

THREATS = [
    Retiming(jitter=1), Retiming(jitter=2, causal=True), Retiming(delay=5), Retiming(moves=3), Retiming(),
    Retiming(jitter=2, moves=3), Retiming(jitter=1, delay=6, moves=4), Retiming(causal=True, moves=2),
]  # fmt: skip


def trains(seed, shape=(4, 8, 2, 3), density=0.3):
    gen = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=gen) < density).float()


def cumulative(x):
    return x.cumsum(1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(THREATS), st.floats(0.0, 1.0), st.sampled_from([1, 2, 7]))
def test_projections_are_legal_and_keep_what_is_legal(seed, threat, density, T):
    x = trains(seed, (3, T, 2, 3), density)
    far = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1))
    point = threat.project(x, far)
    assert bool(threat.contains(x, point).all())
    assert torch.equal(point.sum(1), x.sum(1))
    assert set(point.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(threat.project(x, point), point)
    if threat.jitter is not None:
        pad = torch.zeros(3, threat.jitter, 2, 3)
        late = torch.cat([pad, cumulative(x)], 1)[:, :T]
        early = torch.cat([cumulative(x), x.sum(1, keepdim=True).expand(-1, threat.jitter, -1, -1)], 1)[:, -T:]
        assert bool((late <= cumulative(point)).all())
        assert bool((cumulative(point) <= early).all())
    if threat.causal:
        assert bool((cumulative(point) <= cumulative(x)).all())
    if threat.delay is not None:
        assert float((cumulative(point) - cumulative(x)).abs().flatten(1).sum(1).max()) <= threat.delay
    if threat.moves is not None:
        assert float((point - x).abs().flatten(1).sum(1).max()) / 2 <= threat.moves


@pytest.mark.parametrize("threat", [Retiming(jitter=0), Retiming(delay=0), Retiming(moves=0, jitter=3)], ids=repr)
def test_no_budget_is_the_identity(threat):
    x = trains(0)
    assert threat.is_zero
    assert torch.equal(threat.project(x, x.flip(1)), x)
    assert threat.contains(x, x).all()
    assert not threat.contains(x, x.flip(1)).any()


@pytest.mark.parametrize("threat", THREATS, ids=repr)
@pytest.mark.parametrize("damage", ["drop", "add", "half", "nan", "pixel"])
def test_what_is_no_retiming_is_outside(threat, damage):
    x = torch.zeros(1, 5, 3)
    x[0, 1, 0] = x[0, 3, 1] = 1
    y = x.clone()
    if damage == "drop":
        y[0, 1, 0] = 0
    elif damage == "add":
        y[0, 2, 0] = 1
    elif damage == "pixel":
        y[0, 1, 0], y[0, 1, 2] = 0, 1
    else:
        y[0, 1, 0] = 0.5 if damage == "half" else torch.nan
    assert not threat.contains(x, y).any()
    assert all(torch.isinf(used).all() for used in threat.usage(x, y).values())
    assert threat.contains(x, threat.project(x, y)).all()


def test_a_block_that_shifts_and_a_spike_that_jumps():
    x, y = torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0, 1.0]])
    assert Retiming(jitter=1).contains(x, y)
    assert Retiming(moves=1).contains(x, y)
    assert not Retiming(jitter=1, moves=1).contains(x, y)
    assert Retiming(jitter=1, moves=3, delay=3).contains(x, y)
    assert {name: used.item() for name, used in Retiming(jitter=1).usage(x, y).items()} == {
        "jitter": 1.0, "delay": 3.0, "moves": 3.0,
    }  # fmt: skip
    assert Retiming().usage(x, y)["moves"].item() == 1.0
    assert not Retiming(causal=True).contains(y, x)


def test_arrays_come_back_as_arrays_of_their_kind():
    x = trains(3).numpy().astype(np.uint8)
    threat = Retiming(jitter=1)
    point = threat.project(x, x[:, ::-1].copy())
    assert isinstance(point, np.ndarray)
    assert point.dtype == np.uint8
    assert isinstance(threat.contains(x, point), np.ndarray)
    assert threat.usage(x, point)["jitter"].dtype == np.float64


def test_counts_and_values_move_as_packets():
    x = torch.tensor([[[3.0], [0.0], [1.0], [0.0], [0.25]]])
    swapped = torch.tensor([[[1.0], [0.0], [3.0], [0.0], [0.25]]])
    split = torch.tensor([[[2.0], [1.0], [1.0], [0.0], [0.25]]])
    assert Retiming(jitter=2, moves=2).contains(x, swapped)
    assert not Retiming(jitter=1).contains(x, swapped)
    assert not Retiming().contains(x, split)


def test_units_are_printed():
    assert repr(Retiming(jitter=2, delay=30, moves=8, causal=True)) == (
        "Retiming(jitter=2 steps, delay=30 steps in all, moves=8 spikes, causal)"
    )


@pytest.mark.parametrize("budget", [{"jitter": -1}, {"moves": 1.5}, {"delay": True}, {"causal": 1}])
def test_bad_budgets_are_refused(budget):
    with pytest.raises(ValueError, match=next(iter(budget))):
        Retiming(**budget)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        Retiming(jitter=1).contains(torch.zeros(1, 3, 2), torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match=r"\[N, T, \*\]"):
        Retiming(jitter=1).project(torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("mask", ["cells", "nothing"])
@pytest.mark.parametrize("threat", THREATS, ids=repr)
@pytest.mark.parametrize("signed", [False, True])
def test_the_mask_binds_both_ends_of_a_move(threat, mask, signed):
    gen = torch.Generator().manual_seed(0)
    x = trains(1)
    x = x * (torch.rand(x.shape, generator=gen) < 0.5).float().mul(2).sub(1) if signed else x
    allowed = (torch.rand(x.shape, generator=gen) < 0.6) if mask == "cells" else torch.zeros_like(x)
    point = threat.step(x, torch.randn(x.shape, generator=gen), allowed)
    assert torch.equal(point[allowed == 0], x[allowed == 0])
    assert threat.contains(x, point).all()
    assert torch.equal(point, x) == (mask == "nothing")


@pytest.mark.parametrize("convention", ["floor", "linear", "log"])
@pytest.mark.parametrize("T", [4, 9, 16])
@pytest.mark.parametrize("eps", [0.0, 1 / 255, 0.1, 0.25, 0.5, 0.9])
def test_the_jitter_of_a_pixel_ball_is_the_longest_way_of_a_spike(convention, T, eps):
    code = Latency(T, convention)
    threat = Retiming.from_pixels(Linf(eps), code.timing)
    x = torch.linspace(0, 1, 2000, dtype=torch.double)
    shifts = []
    for sign in (-1, 1):
        moved = (x + sign * eps).clamp(0, 1)
        before, after = code.timing.bins(x), code.timing.bins(moved)
        shifts.append((after - before)[(before < T) & (after < T)].abs().max())
    assert int(max(shifts)) <= threat.jitter
    assert int(max(shifts)) >= threat.jitter - 1
    if eps == 0:
        assert threat.is_zero


def test_image_relative_times_have_no_conversion():
    with pytest.raises(ValueError, match="edl"):
        Retiming.from_pixels(Linf(0.1), Timing(8, "edl"))
