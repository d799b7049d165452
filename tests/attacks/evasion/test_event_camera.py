import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import (
    CornerAttack,
    DashAttack,
    EventPatch,
    FrameAttack,
    MovingDashAttack,
    RandomEvents,
    UniversalEventPerturbation,
)  # fmt: skip
from art_snn.attacks.evasion import event_patterns as patterns
from art_snn.attacks.evasion.random_events import warp_time
from art_snn.threats import PatchArea

SHAPE = (29, 2, 20, 34)


def test_patterns_stay_in_their_band():
    for many, rows in (
        (patterns.corner(SHAPE), (0, 19)), (patterns.dash(SHAPE), (0, 19)),
        (patterns.moving_dash(SHAPE), (0, 4, 8, 19, 15, 11)),
    ):  # fmt: skip
        others = [r for r in range(20) if r not in rows]
        assert not many[..., others, :].any()
        assert many.flatten(1).any(1).all()
    assert not patterns.frame(SHAPE)[..., 1:-1, 1:-1].any()


def test_a_dash_is_two_pixels_and_a_moving_one_never_stays():
    assert (patterns.dash(SHAPE).any(1).any(1).flatten(1).sum(1) == 2).all()
    moving = patterns.moving_dash(SHAPE)
    assert (moving.sum((2, 3, 4)) == 4).all()
    activity = moving.sum(1).flatten(1).amax(1)
    assert (activity <= 5).all()
    assert int(patterns.dash(SHAPE).sum(1).max()) == 29
    assert not moving[:, :, 0, :10].any()
    assert not moving[:, :, 1, 10:].any()


def test_a_filter_of_busy_pixels_removes_the_dash_but_not_the_moving_one():
    """Pixels that fire in more than half of the time steps are masked."""
    kept = [bool((one & (one.sum(0) <= 14)).any()) for one in (patterns.dash(SHAPE)[0], patterns.moving_dash(SHAPE)[0])]
    assert kept == [False, True]


@pytest.mark.parametrize("kind", [FrameAttack, CornerAttack, DashAttack, MovingDashAttack])
def test_only_new_events_of_one_pattern_are_added(events, kind):
    attack = kind(events.clf)
    x_adv = attack.generate(events.x, events.y)
    many = kind.patterns(events.x.shape[1:]).numpy()
    for before, after in zip(events.x, x_adv, strict=True):
        fits = [np.array_equal(after, np.maximum(before, one)) for one in many]
        assert any(fits) or np.array_equal(before, after)
    with pytest.raises(ValueError, match="T, C, H, W"):
        kind(events.clf).generate(events.x[:, 0], events.y)


def test_random_changes_are_what_they_say(events):
    x = events.x
    run = {kind: RandomEvents(events.clf, 12, 1, kind).generate(x, events.y) for kind in (
        "delete", "insert", "polarity", "hot_pixel", "burst", "time_warp")}  # fmt: skip
    right = events.clf.predict(x).argmax(1) == events.y
    assert (run["delete"] <= x).all()
    for kind in ("insert", "hot_pixel", "burst"):
        assert (run[kind] >= x).all()
    for kind in ("delete", "insert"):
        assert ((run[kind] != x).reshape(len(x), -1).sum(1)[right] == 12).all()
    assert np.array_equal(run["polarity"].sum(2), x.sum(2))
    for before, after in zip(x[right], run["hot_pixel"][right], strict=True):
        changed = (before != after).any(0)
        assert (after[:, changed] == 1).all()
    for before, after in zip(x[right], run["burst"][right], strict=True):
        assert (before != after).any((1, 2, 3)).sum() <= 1


def test_time_warps_are_monotone_and_the_identity_at_one():
    x = torch.randint(0, 2, (2, 7, 3), generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(warp_time(x, torch.ones(2)), x)
    late = torch.eye(7).double()[:, :, None]
    for kappa in (0.5, 2.0):
        places = warp_time(late, torch.full((7,), kappa)).argmax(1).flatten()
        assert bool((places.diff() >= 0).all())
        assert places[[0, -1]].tolist() == [0, 6]


@pytest.mark.parametrize(
    "bad", [{"kind": "flop"}, {"kind": "delete", "delete": False}, {"kind": "insert", "add": False},
            {"kind": "time_warp", "most": 3}]
)  # fmt: skip
def test_impossible_random_changes_are_refused(events, bad):
    with pytest.raises(ValueError, match="expected"):
        RandomEvents(events.clf, **bad)


def test_the_same_pattern_is_on_every_recording(events):
    attack = UniversalEventPerturbation(events.clf, k=8, max_iter=6)
    x, y = events.more
    x_adv = attack.generate(x, y)
    pattern = attack.pattern
    assert (pattern != 0).sum() <= 8
    right = ~attack.last_run.initially_wrong
    expected = np.where(pattern > 0, 1, np.where(pattern < 0, 0, x)).astype(np.float32)
    assert np.array_equal(x_adv[right], expected[right])
    assert np.array_equal(attack.apply(x), expected)
    chance = RandomEvents(events.clf, k=8, max_iter=1)
    chance.generate(x, y)
    assert attack.last_run.success.sum() > chance.last_run.success.sum()
    with pytest.raises(RuntimeError, match="has not run"):
        _ = UniversalEventPerturbation(events.clf).pattern


@pytest.mark.parametrize("shape", ["square", "circle"])
def test_outside_the_patch_nothing_changes(events, shape):
    attack = EventPatch(events.clf, side=4, location=(2, 3), shape=shape, max_iter=6)
    x_adv = attack.generate(events.x, events.y)
    changed = (x_adv != events.x).any((0, 1, 2))
    outside = np.ones((8, 8), dtype=bool)
    outside[2:6, 3:7] = False
    assert not changed[outside].any()
    assert changed.any()
    if shape == "circle":
        assert not changed[2, 3]
    assert PatchArea(4).contains(events.x, x_adv).all()


def test_places_are_drawn_per_sample(events):
    x_adv = EventPatch(events.clf, side=2, max_iter=6).generate(events.x, events.y)
    places = {
        tuple(np.argwhere((a != b).any((0, 1)))[0]) for a, b in zip(events.x, x_adv, strict=True) if (a != b).any()
    }
    assert len(places) > 1


def test_patches_project_onto_their_busiest_window():
    x = torch.zeros(1, 2, 2, 5, 5)
    far = x.clone()
    far[..., 0, 0] = 1.0
    far[0, 0, 0, 4, 4] = 1.0
    point = PatchArea(2).project(x, far)
    assert float(point.sum()) == 4.0
    assert PatchArea(2).contains(x, point).item()
    assert not PatchArea(2).contains(x, far).item()
    assert PatchArea(5).usage(x, far).item() == 5
    assert repr(PatchArea(2)) == "PatchArea(2 x 2 pixels)"


@pytest.mark.parametrize("bad", [{"side": -1}, {"shape": "star"}, {"eps_step": 0}, {"eps_step": 2}])
def test_bad_patches_are_refused(events, bad):
    with pytest.raises(ValueError, match="expected"):
        EventPatch(events.clf, **bad)
    with pytest.raises(ValueError, match="on the sensor"):
        EventPatch(events.clf, location=(8, 0)).generate(events.x)


def test_a_patch_without_pixels_changes_nothing_and_needs_pixels():
    clean, other = torch.zeros(2, 3, 1, 4, 4), torch.ones(2, 3, 1, 4, 4)
    assert torch.equal(PatchArea(0).project(clean, other), clean)
    assert PatchArea(0).usage(clean, clean).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"grids \[N, T, C, H, W\]\. Fix: give the frames their pixel axes"):
        PatchArea(2).usage(clean.flatten(2), other.flatten(2))
