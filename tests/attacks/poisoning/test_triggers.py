"""Triggers: what they change, and that they change nothing else."""

import pickle

import numpy as np
import pytest
import torch
from art.attacks.poisoning import PoisoningAttackBackdoor
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.attacks.poisoning import (
    DynamicTrigger,
    FlashTrigger,
    FrameAutoencoder,
    MovingTrigger,
    SmartTrigger,
    StaticTrigger,
    StrobingTrigger,
)
from art_snn.attacks.poisoning.dynamic import add_pattern

TRIGGERS = [
    StaticTrigger(0.2), StaticTrigger(0.2, (1, 0), "middle"), StaticTrigger(0.2, place="random", seed=4),
    MovingTrigger(0.2), SmartTrigger(0.2), SmartTrigger(0.2, activity="least", code="commonest", of="dataset"),
    StrobingTrigger(0.2, start=1, on=2, gap=1, length=5), FlashTrigger(start=2, length=1),
    DynamicTrigger(FrameAutoencoder(2), 0.02),
]  # fmt: skip


def recordings(samples=4, seed=0):
    return (np.random.default_rng(seed).random((samples, 9, 2, 16, 16)) < 0.05).astype(np.float32)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda t: type(t).__name__)
def test_every_trigger_is_a_pure_picklable_function(trigger):
    x = recordings()
    before = x.copy()
    y = trigger(x)
    assert np.array_equal(x, before)
    assert y.dtype == x.dtype
    assert set(np.unique(y)) <= {0.0, 1.0}
    assert (y != x).reshape(len(x), -1).any(1).all()
    assert np.array_equal(pickle.loads(pickle.dumps(trigger))(x), y)  # noqa: S301
    poisoned, labels = PoisoningAttackBackdoor(trigger).poison(x, np.eye(10)[3], broadcast=True)
    assert np.array_equal(poisoned, y)
    assert (labels.argmax(1) == 3).all()


@pytest.mark.parametrize(
    "trigger", [t for t in TRIGGERS if getattr(t, "of", "sample") == "sample"], ids=lambda t: type(t).__name__
)
def test_a_sample_does_not_depend_on_its_batch(trigger):
    x = recordings()
    assert np.array_equal(trigger(x), np.concatenate([trigger(row[None]) for row in x]))


def test_a_static_square_is_where_it_should_be():
    x = recordings()
    y = StaticTrigger(0.2, (1, 0), "top_left")(x)
    assert (y[:, :, 0, :3, :3] == 1).all()
    assert (y[:, :, 1, :3, :3] == 0).all()  # the code also deletes
    outside = np.ones((16, 16), dtype=bool)
    outside[:3, :3] = False
    assert np.array_equal(y[..., outside], x[..., outside])


def test_a_moving_square_takes_three_places_in_turn():
    y = MovingTrigger(0.2, place="bottom_right")(np.zeros((1, 9, 2, 16, 16)))
    columns = [sorted(set(np.nonzero(frame[1])[1])) for frame in y[0]]
    assert columns == [[13, 14, 15], [8, 9, 10], [3, 4, 5]] * 3  # every frame, the last one too


def test_frames_without_a_trigger_are_untouched():
    x = recordings()
    y = StrobingTrigger(0.2, start=1, on=2, gap=1, length=5)(x)
    changed = (y != x).any((0, 2, 3, 4))
    assert changed.tolist() == [False, True, True, False, True, True, False, False, False]
    flash = FlashTrigger(start=2, length=1)(x)
    assert (flash[:, 2, 1] == 1).all()
    assert (flash[:, 2, 0] == 0).all()
    assert np.array_equal(np.delete(flash, 2, 1), np.delete(x, 2, 1))


def test_a_smart_trigger_finds_its_mask_and_the_rare_code():
    x = np.zeros((2, 3, 2, 9, 9), dtype=np.float32)
    x[0, :, 1, :3, :3] = 1  # most activity upper left, on events
    x[1, :, 0, 6:, 6:] = 1  # ... lower right, off events
    y = SmartTrigger(0.12, masks=3)(x)
    assert np.array_equal(np.nonzero((y != x).any((1, 2)))[0], np.sort(np.nonzero((y != x).any((1, 2)))[0]))
    assert not (y != x)[0, ..., 3:, :].any()
    assert not (y != x)[1, ..., :6, :].any()
    assert y[0, :, 0].sum() == 3  # one cell a frame now holds the code (1, 0), which was not there
    assert y[1, :, 1].sum() == 3
    together = SmartTrigger(0.12, masks=3, of="dataset", activity="least")(x)
    assert (together != x).any()
    assert not (together != x)[..., :3, :3].any()  # active in one of them


def test_a_smart_walk_takes_small_steps():
    y = SmartTrigger(0.05, masks=1)(np.zeros((1, 30, 2, 24, 24)))
    places = [np.argwhere(frame.any(0))[0] for frame in y[0]]
    steps = np.abs(np.diff(places, axis=0))
    assert steps.max() <= 2
    assert steps.max() > 0


@given(gamma=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_binary_pattern_adds_the_promised_number_of_events(gamma, seed):
    rng = torch.Generator().manual_seed(seed)
    x = (torch.rand(3, 4, 2, 5, 5, generator=rng) < 0.2).float()
    y = add_pattern(x, torch.rand(x.shape, generator=rng) + 0.01, gamma, "binary")
    empty = (x == 0).flatten(1).sum(1)
    assert bool((y >= x).all())
    assert (y - x).flatten(1).sum(1).tolist() == [min(int(gamma * 200), int(room)) for room in empty]


def test_what_clamping_takes_away():
    x = torch.tensor([[0.0, 1.0]])
    a = torch.tensor([[0.5, 0.5]])
    assert add_pattern(x, a, 0.1, "real").tolist() == [[pytest.approx(0.05), pytest.approx(1.05)]]
    assert add_pattern(x, a, 0.1, "clamp").tolist() == [[pytest.approx(0.05), 1.0]]
    pattern = a.clone().requires_grad_()
    add_pattern(torch.zeros(1, 2), pattern, 0.5, "binary").sum().backward()
    assert pattern.grad.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: StaticTrigger(0.0), lambda: StaticTrigger(polarity=(0, 2)), lambda: StaticTrigger(place="left"),
        lambda: SmartTrigger(masks=0), lambda: SmartTrigger(code="any"), lambda: StrobingTrigger(on=0),
        lambda: DynamicTrigger(FrameAutoencoder(), 2.0), lambda: DynamicTrigger(FrameAutoencoder(), kind="soft"),
        lambda: StaticTrigger()(np.zeros((2, 1, 8, 8))), lambda: StaticTrigger()(-np.ones((1, 1, 2, 4, 4))),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(ValueError, match="Fix"):
        make()
