"""Raw event filters against the rule, event by event."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.data.events import background_activity, make_events, refractory
from art_snn.defenses.preprocessor import BackgroundActivityFilter


def recording(seed, n=60, size=6, span=80):
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, span, n))
    return make_events(t, rng.integers(0, size, n), rng.integers(0, size, n), rng.integers(0, 2, n))


def naive_background(events, window, radius):
    """Each event writes its time around itself, never at its own pixel; it stays if its own place was written."""
    memory, kept = {}, []
    for e in events:
        t, x, y = (int(e[name]) for name in ("t", "x", "y"))
        if (x, y) in memory and t - memory[x, y] < window:
            kept.append(e)
        for a in range(x - radius, x + radius + 1):
            for b in range(y - radius, y + radius + 1):
                if (a, b) != (x, y):
                    memory[a, b] = t
    return np.array(kept, dtype=events.dtype)


def naive_refractory(events, period, update):
    last, kept = {}, []
    for e in events:
        t, pixel = int(e["t"]), (int(e["x"]), int(e["y"]))
        free = pixel not in last or t - last[pixel] > period
        if free:
            kept.append(e)
        if free or update == "all":
            last[pixel] = t
    return np.array(kept, dtype=events.dtype)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.sampled_from([1, 5, 20.5, np.inf]), st.integers(1, 3))
def test_background_activity_follows_the_rule(seed, window, radius):
    events = recording(seed)
    np.testing.assert_array_equal(background_activity(events, window, radius), naive_background(events, window, radius))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.sampled_from([0, 3, 17.5]), st.sampled_from(["all", "kept"]))
def test_the_refractory_period_follows_the_rule(seed, period, update):
    events = recording(seed, size=3)
    once = refractory(events, period, update)
    np.testing.assert_array_equal(once, naive_refractory(events, period, update))
    np.testing.assert_array_equal(refractory(once, period, update), once)


def test_of_two_simultaneous_neighbors_the_later_in_the_recording_stays():
    events = make_events([4, 4], [0, 1], [0, 0], [1, 1])
    assert background_activity(events, 1, 1)["x"].tolist() == [1]


def test_one_event_a_microsecond_bin_agrees_with_the_filter_on_grids():
    rng = np.random.default_rng(0)
    t = rng.permutation(40)[:25]
    events = make_events(t, rng.integers(0, 5, 25), rng.integers(0, 5, 25), np.ones(25, dtype=int))
    grid = torch.zeros(40, 1, 2, 5, 5)
    t, p, y, x = (torch.tensor(events[name].astype(np.int64)) for name in "tpyx")
    grid[t, 0, p, y, x] = 1
    kept = background_activity(events, 4, 1)
    on_grid = BackgroundActivityFilter(4, 1)(grid).nonzero()[:, 0].tolist()
    assert kept["t"].tolist() == on_grid


def test_an_empty_recording_stays_empty():
    empty = make_events([], [], [], [])
    assert len(background_activity(empty, 5)) == len(refractory(empty, 5)) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: background_activity(recording(0), -1),
        lambda: background_activity(recording(0), 5, 0),
        lambda: refractory(recording(0), -1),
        lambda: refractory(recording(0), 1, "never"),
        lambda: refractory(recording(0)[::-1], 1),
    ],
)
def test_wrong_use_names_the_fix(make):
    with pytest.raises(ValueError, match="Fix:"):
        make()
