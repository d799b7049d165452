"""Recordings as structured arrays, and their frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from art_snn.data.events import EVENT, check_events, make_events, sensor_size, to_frames


def recording(seed=0, n=100):
    draw = np.random.default_rng(seed)
    return make_events(
        draw.integers(0, 1000, n), draw.integers(6, size=n), draw.integers(4, size=n), draw.integers(2, size=n)
    )


def test_columns_become_a_sorted_recording():
    events = make_events([3, 1, 1], [0, 1, 2], [0, 0, 0], [True, False, True])
    assert events.dtype == EVENT
    assert events.tolist() == [(1, 1, 0, 0), (1, 2, 0, 1), (3, 0, 0, 1)]
    assert make_events([1.0], [2.0], [3.0], [-1]).tolist() == [(1, 2, 3, 0)]
    assert len(make_events([], [], [], [], size=(2, 2))) == 0
    assert sensor_size(events) == (1, 3)
    assert sensor_size(events[:0]) == (1, 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([1], [0, 1], [0], [0]), "four of one length"),
        (([[1]], [[0]], [[0]], [[0]]), "four of one length"),
        (([0.5], [0], [0], [0]), "fractions in t"),
        (([np.nan], [0], [0], [0]), "finite values"),
        (([2.0**70], [0], [0], [0]), "finite values"),
        (([0], [2**15], [0], [0]), "x from 32768"),
        (([0], [-1], [0], [0]), "outside the sensor"),
        (([0], [4], [0], [0]), "outside the sensor, the first at x=4, y=0"),
        (([0], [0], [0], [2]), r"polarities \[2\]"),
        ((["a"], [0], [0], [0]), "whole numbers"),
    ],
)
def test_columns_that_are_no_recording(columns, message):
    with pytest.raises(ValueError, match=message) as raised:
        make_events(*columns, size=(4, 4))
    assert "Fix:" in str(raised.value)


def test_arrays_that_are_no_recording():
    events = recording()
    with pytest.raises(ValueError, match="time going back at event 1"):
        check_events(events[::-1])
    with pytest.raises(ValueError, match="fields None"):
        check_events(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="t, x, y, p"):
        check_events(events[["t", "x"]])
    with pytest.raises(ValueError, match="outside the sensor"):
        check_events(events, size=(4, 5))


@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from(["time", "count"]))
def test_frames_hold_every_event_once(seed, steps, by):
    events = recording(seed)
    frames = to_frames(events, steps, (4, 6), by=by)
    assert frames.shape == (steps, 2, 4, 6)
    assert frames.dtype == np.float32
    expected = np.zeros((2, 4, 6))
    np.add.at(expected, (events["p"], events["y"], events["x"]), 1)
    assert np.array_equal(frames.sum(0), expected)
    assert np.array_equal(to_frames(events, steps, (4, 6), by=by, binary=True), frames > 0)


@given(st.integers(0, 1000), st.integers(1, 12))
def test_a_span_divides_time_whatever_the_recording_holds(seed, steps):
    events = recording(seed)
    span = (-10, 1005)
    frames = to_frames(events, steps, (4, 6), span=span)
    by_hand = np.zeros((steps, 2, 4, 6))
    for t, x, y, p in events.tolist():
        by_hand[(t + 10) * steps // 1015, p, y, x] += 1
    assert np.array_equal(frames, by_hand)
    half = events[::2]
    assert (to_frames(half, steps, (4, 6), span=span) <= frames).all()


@pytest.mark.parametrize("by", ["time", "count"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_empty_bins_are_zeros(by, n):
    """Fewer events than frames, and a long pause."""
    events = make_events([0, 1, 10**6][:n], [0] * n, [0] * n, [1] * n)
    frames = to_frames(events, 8, (2, 2), by=by)
    assert frames.sum() == n
    assert (frames.sum((1, 2, 3)) == 0).sum() >= 8 - n


def test_errors():
    events = recording()
    with pytest.raises(ValueError, match="the span"):
        to_frames(events, 4, (4, 6), span=(0, 500))
    with pytest.raises(ValueError, match="a span with 'time' only"):
        to_frames(events, 4, (4, 6), by="count", span=(0, 1000))
    with pytest.raises(ValueError, match="outside the sensor"):
        to_frames(events, 4, (4, 4))
    with pytest.raises(ValueError, match="T >= 1"):
        to_frames(events, 0, (4, 6))
