import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.threats import SpikeFlips
from art_snn.threats.projection import largest

KINDS = [{}, {"add": False}, {"delete": False}, {"most": math.inf}, {"most": math.inf, "add": False}, {"most": 2}]


def grids(seed, most, n=6, shape=(4, 2, 3)):
    rng = np.random.default_rng(seed)
    top = 1 if most == 1 else 2 if most == 2 else 4
    return rng.integers(0, top + 1, (n, *shape)).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([0, 1, 3, 7, math.inf]))
def test_projected_points_are_legal_and_whole(seed, kind, k):
    x = grids(seed, kind.get("most", 1))
    threat = SpikeFlips(k, **kind)
    far = x + np.random.default_rng(seed + 1).normal(0, 2, x.shape).astype(np.float32)
    point = threat.project(x, far)
    assert point.dtype == x.dtype
    assert threat.contains(x, point).all()
    assert np.array_equal(threat.project(x, point), point)
    assert (threat.usage(x, point) <= k).all()
    if k == 0:
        assert np.array_equal(point, x)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS))
def test_no_legal_grid_is_nearer_than_the_projection(seed, kind):
    x = grids(seed, kind.get("most", 1), n=1, shape=(2, 3))
    threat = SpikeFlips(2, **kind)
    rng = np.random.default_rng(seed)
    far = x + rng.normal(0, 1, x.shape)
    best = ((threat.project(x, far) - far) ** 2).sum()
    moves = np.stack(np.meshgrid(*[[-1, 0, 1]] * 6, indexing="ij"), -1).reshape(-1, 2, 3)
    every = x + moves
    legal = threat.contains(np.broadcast_to(x, every.shape).copy(), every)
    assert ((every[legal] - far) ** 2).sum((1, 2)).min() >= best - 1e-5


def test_contains_judges_by_hand():
    x = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    point = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert SpikeFlips(2).contains(x, point).item()
    assert not SpikeFlips(1).contains(x, point).item()
    assert not SpikeFlips(2, add=False).contains(x, point).item()
    assert not SpikeFlips(2, delete=False).contains(x, point).item()
    assert SpikeFlips(2).usage(x, point).item() == 2
    for bad in (0.5, 2.0, -1.0, math.nan, math.inf):
        assert not SpikeFlips(4).contains(x, torch.tensor([[bad, 1.0, 1.0, 0.0]])).item()


def test_counts_move_by_one_event():
    x = torch.tensor([[0.0, 3.0]])
    counts = SpikeFlips(2, most=math.inf)
    assert counts.contains(x, torch.tensor([[1.0, 4.0]])).item()
    assert not counts.contains(x, torch.tensor([[0.0, 5.0]])).item()
    assert not counts.contains(x, torch.tensor([[-1.0, 3.0]])).item()
    assert not SpikeFlips(2, most=3).contains(x, torch.tensor([[0.0, 4.0]])).item()


def test_kind_of_array_and_words():
    x = np.zeros((1, 3), dtype=np.float32)
    assert isinstance(SpikeFlips(1).project(x, x + 1), np.ndarray)
    assert isinstance(SpikeFlips(1).project(torch.tensor(x), torch.tensor(x) + 1), torch.Tensor)
    assert repr(SpikeFlips(3, delete=False)) == "SpikeFlips(3 cells, add)"
    assert repr(SpikeFlips(1, add=False, most=math.inf)) == "SpikeFlips(1 cell, delete, up to inf events in a cell)"
    assert SpikeFlips(0).is_zero
    assert not SpikeFlips(math.inf).is_zero


@pytest.mark.parametrize("bad", [{"k": -1}, {"k": 1.5}, {"k": True}, {"k": math.nan}, {"k": 1, "most": 0}])
def test_bad_budgets_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        SpikeFlips(**bad)


def test_nothing_to_do_and_wrong_grids_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        SpikeFlips(1, add=False, delete=False)
    with pytest.raises(ValueError, match=r"most=math\.inf"):
        SpikeFlips(1).project(torch.full((1, 2), 2.0), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="binarize"):
        SpikeFlips(1).project(torch.full((1, 2), 0.5), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="one shape"):
        SpikeFlips(1).usage(torch.zeros(1, 2), torch.zeros(2, 2))


def test_the_first_among_equals():
    assert largest(torch.ones(1, 4), 2).tolist() == [[True, True, False, False]]
    assert not largest(torch.zeros(1, 4), 2).any()
