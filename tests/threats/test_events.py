import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.data.events import make_events
from art_snn.threats import EventBudget
from art_snn.threats.events import edits, short_gaps

SIZE = (4, 5)


def recording(seed, n=12):
    rng = np.random.default_rng(seed)
    t = rng.choice(1000, n, replace=False)
    return make_events(t, rng.integers(0, 5, n), rng.integers(0, 4, n), rng.integers(0, 2, n), SIZE)


def changed_at_random(events, seed, insert=2, delete=2, flip=2, shift=2, delta_t=3):
    """A recording with a known edit script; times of the clean one are multiples of 10, so no edit undoes another."""
    rng = np.random.default_rng(seed)
    events = events.copy()
    events["t"] = np.sort(events["t"] // 10 * 100 + np.arange(len(events)) * 10)
    result = events.copy()
    places = rng.permutation(len(events))
    drop, turn, move = places[:delete], places[delete : delete + flip], places[delete + flip : delete + flip + shift]
    result["p"][turn] = 1 - result["p"][turn]
    result["t"][move] += rng.integers(1, delta_t + 1, len(move))
    result = np.delete(result, drop)
    new = make_events(200_000 + 10 * np.arange(insert), [0] * insert, [0] * insert, [1] * insert)
    result = np.concatenate([result, new.astype(result.dtype)])
    return events, result[np.argsort(result["t"], kind="stable")]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_known_edits_are_found(seed, insert, delete, flip, shift):
    one, two = changed_at_random(recording(seed), seed, insert, delete, flip, shift)
    budget = EventBudget(insert, delete, flip, shift, 3, size=SIZE)
    assert budget.contains(one, two).all()
    used = budget.usage(one, two)
    counts = (used["insert"][0], used["delete"][0], used["flip"][0], used["shift"][0])
    assert counts == (insert, delete, flip, shift)
    assert used["distance"][0] == insert + delete + 2 * flip
    for i, count in enumerate((insert, delete, flip)):
        if count:
            less = [insert, delete, flip, shift]
            less[i] -= 1
            assert not EventBudget(*less, 3, size=SIZE).contains(one, two).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 4), st.sampled_from([0.0, 40.0]))
def test_projected_streams_are_contained_and_stay(seed, other, few, refractory):
    one, far = recording(seed), recording(other, n=15)
    budget = EventBudget(few, few, few, few, 100, size=SIZE, refractory=refractory)
    point = budget.project(one, far)
    assert budget.contains(one, point).all()
    assert np.array_equal(budget.project(one, point), point)


def test_nothing_changed_is_always_inside():
    one = recording(0)
    for budget in (EventBudget(size=SIZE), EventBudget(size=SIZE, refractory=1e6, rate=1e-9)):
        assert budget.contains(one, one).all()
        assert np.array_equal(budget.project(one, recording(1)), one)
    assert EventBudget(size=SIZE).is_zero
    assert EventBudget(shift=3, size=SIZE).is_zero
    assert not EventBudget(shift=3, delta_t=1, size=SIZE).is_zero


def test_streams_must_be_sorted_inside_the_sensor_slow_and_few():
    free = EventBudget(math.inf, math.inf, size=SIZE)
    one = recording(0)
    for field, value in (("x", 5), ("y", -1), ("p", 3)):
        bad = one.copy()
        bad[field][0] = value
        assert not free.contains(one, bad).any()
    assert not free.contains(one, one[::-1]).any()
    burst = make_events([1, 2], [0, 0], [0, 0], [0, 1])
    alone = make_events([1], [0], [0], [0])
    assert free.contains(alone, burst).all()
    assert not EventBudget(1, size=SIZE, refractory=2).contains(alone, burst).any()
    assert short_gaps(burst, 2) == 1
    assert not EventBudget(9, size=SIZE, rate=1.0).contains(burst, np.concatenate([burst, burst])[[0, 2, 1, 3]]).any()


def test_empty_streams_and_batches():
    none = recording(0)[:0]
    budget = EventBudget(insert=20, delete=20, size=SIZE)
    assert budget.contains([none, none], [none, recording(0)]).tolist() == [True, True]
    assert budget.usage([none], [recording(0)])["insert"].tolist() == [12]
    assert len(budget.project([recording(0)], [none])) == 1
    with pytest.raises(ValueError, match="1 clean and 2 changed"):
        budget.contains([none], [none, none])
    with pytest.raises(ValueError, match="fields"):
        budget.contains([np.zeros(3)], [none])


def test_a_shift_too_far_is_a_deletion_and_an_insertion():
    one, two = make_events([10], [0], [0], [1]), make_events([20], [0], [0], [1])
    assert edits(one, two, delta_t=10).shifted == [(0, 0)]
    found = edits(one, two, delta_t=9)
    assert (found.deleted, found.inserted, found.distance) == ([0], [0], 2)


@pytest.mark.parametrize("bad", [{"insert": -1}, {"delta_t": math.nan}, {"size": (0, 4)}, {"rate": -2.0}])
def test_bad_budgets_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        EventBudget(**{"size": SIZE, **bad})


def test_budgets_print_their_units():
    budget = EventBudget(insert=3, shift=2, delta_t=500, size=(34, 34), refractory=100)
    assert repr(budget) == "EventBudget(insert 3, shift 2 by 500 us, refractory 100 us, sensor 34 x 34)"
