"""Frames and back: attacked frames become recordings, and frame gradients event gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.coding import bin_events, project_events
from art_snn.data import SaccadeCamera, digits, event_grids, saccades
from art_snn.data.events import event_gradients, lift, make_events, to_frames

SIZE = (3, 4)
SPAN = (100, 1100)


def recording(seed, n=60):
    draw = np.random.default_rng(seed)
    return make_events(
        draw.integers(*SPAN, n),
        draw.integers(SIZE[1], size=n),
        draw.integers(SIZE[0], size=n),
        draw.integers(2, size=n),
    )


def gaps(events):
    """Shortest time between two events of a pixel."""
    pixel = events["y"].astype(int) * 1000 + events["x"]
    each = [np.diff(events["t"][pixel == place]).min(initial=10**9) for place in np.unique(pixel)]
    return min(each, default=10**9)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.integers(1, 9))
def test_lifting_reproduces_the_attacked_frames_exactly(seed, binary, retime, steps):
    draw = np.random.default_rng(seed)
    events = recording(seed, draw.integers(0, 80))
    clean = to_frames(events, steps, SIZE, binary=binary, span=SPAN)
    random = draw.integers(0, 2 if binary else 4, clean.shape)
    attacked = np.where(draw.random(clean.shape) < 0.3, random, clean)
    lifted = lift(events, attacked, SPAN, binary=binary, retime=retime)
    assert np.array_equal(to_frames(lifted, steps, SIZE, binary=binary, span=SPAN), attacked)
    same = (attacked == clean).all(0)
    stay = [np.array([same[e["p"], e["y"], e["x"]] for e in part], dtype=bool) for part in (events, lifted)]
    assert sorted(events[stay[0]].tolist()) == sorted(lifted[stay[1]].tolist())


def test_the_same_frames_change_nothing():
    events = recording(0)
    for binary in (True, False):
        assert np.array_equal(
            lift(events, to_frames(events, 5, SIZE, binary=binary, span=SPAN), SPAN, binary=binary), events
        )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 6))
def test_moved_spikes_keep_their_events_and_the_refractory_gap(seed, image):
    """Cells of a line trade places: no event is lost, none is new, and the camera could have recorded them."""
    camera = SaccadeCamera()
    events = saccades(digits().x_test[image : image + 1], camera)[0]
    grid = event_grids([events])[0]
    draw = np.random.default_rng(seed)
    order = draw.permutation(9)
    moved = grid.copy()
    lines = draw.random(grid.shape[1:]) < 0.3
    moved[:, lines] = grid[order][:, lines]
    span = (0, camera.duration)
    lifted = lift(events, moved, span, refractory=camera.refractory)
    assert np.array_equal(event_grids([lifted])[0], moved)
    assert len(lifted) == len(events)
    place = lambda e: sorted(zip(e["p"].tolist(), e["y"].tolist(), e["x"].tolist(), strict=True))  # noqa: E731
    assert place(lifted) == place(events)
    assert gaps(events) >= camera.refractory
    assert gaps(lifted) >= camera.refractory


def test_a_packet_shifts_by_whole_bins():
    events = make_events([105, 130, 450], [0, 0, 0], [0, 0, 0], [1, 1, 0])
    attacked = to_frames(events, 10, SIZE, binary=True, span=SPAN)
    attacked[[0, 3], 1, 0, 0] = attacked[[3, 0], 1, 0, 0]
    assert lift(events, attacked, SPAN).tolist() == [(405, 0, 0, 1), (430, 0, 0, 1), (450, 0, 0, 0)]
    assert lift(events, attacked, SPAN, refractory=30)["t"].tolist() == [405, 450, 480]
    assert lift(events, attacked, SPAN, retime=False).tolist() == [(450, 0, 0, 0), (450, 0, 0, 1)]


def test_an_event_at_the_end_of_a_longer_bin_stays_inside_a_shorter_one():
    """Ten microseconds in three frames: four, three and three."""
    events = make_events([3], [0], [0], [1])
    attacked = np.zeros((3, 2, 1, 1))
    attacked[1, 1] = 1
    assert lift(events, attacked, (0, 10)).tolist() == [(6, 0, 0, 1)]


def test_no_room_and_other_errors():
    events = make_events([150, 450], [0, 0], [0, 0], [1, 1])
    attacked = to_frames(events, 10, SIZE, binary=True, span=SPAN)
    attacked[1, 0, 0, 0] = 1
    assert lift(events, attacked, SPAN, refractory=149)["t"].tolist() == [150, 299, 450]
    with pytest.raises(ValueError, match="no room for an event in 200"):
        lift(events, attacked, SPAN, refractory=151)
    with pytest.raises(ValueError, match="zeros and ones"):
        lift(events, attacked * 0.5, SPAN)
    with pytest.raises(ValueError, match="whole counts"):
        lift(events, attacked - 1, SPAN, binary=False)
    with pytest.raises(ValueError, match=r"\[T, 2, H, W\]"):
        lift(events, attacked[None], SPAN)
    with pytest.raises(ValueError, match="the span"):
        lift(events, attacked, (0, 200))


def tensors(events):
    return [torch.tensor(events[name].astype(np.int64)) for name in "txyp"]


@given(st.integers(0, 1000), st.integers(1, 8))
@settings(deadline=None)
def test_projected_frames_are_the_binned_ones_bit_for_bit(seed, steps):
    t, x, y, p = tensors(recording(seed))
    moving = t.double().requires_grad_(True)
    frames = project_events(moving, x, y, p, steps, SIZE, SPAN)
    assert torch.equal(frames, bin_events(t, x, y, p, steps, SIZE, span=SPAN))


def test_the_gradient_of_a_weight_is_the_change_that_the_event_makes():
    events = recording(1)
    slope = np.random.default_rng(2).standard_normal((5, 2, *SIZE))
    weight, _ = event_gradients(events, slope, SPAN)
    loss = lambda part: float((to_frames(part, 5, SIZE, span=SPAN) * slope).sum())  # noqa: E731
    for i in range(len(events)):
        assert weight[i] == pytest.approx(loss(events) - loss(np.delete(events, i)), abs=1e-6)


def test_the_slope_in_time_adds_up_to_the_change_between_bins():
    """From the center of bin 1 (400 us) to that of bin 3 (800 us): the change of a linear loss."""
    slope = np.random.default_rng(3).standard_normal((5, 2, *SIZE))
    way = np.arange(400, 800)
    steps = make_events(way, 0 * way, 0 * way, 0 * way + 1)
    _, time = event_gradients(steps, slope, SPAN)
    line = slope[:, 1, 0, 0]
    assert time.sum() == pytest.approx(line[3] - line[1], rel=1e-9)
    ends = make_events([100, 199, 200, 999, 1000, 1099], [0] * 6, [0] * 6, [1] * 6)
    inner = [(line[1] - line[0]) / 200, (line[4] - line[3]) / 200]
    assert event_gradients(ends, slope, SPAN)[1].tolist() == pytest.approx([0.0, 0.0, *inner, 0.0, 0.0])


def test_one_frame_has_no_slope_in_time():
    _, time = event_gradients(recording(4), np.ones((1, 2, *SIZE)), SPAN)
    assert (time == 0).all()
