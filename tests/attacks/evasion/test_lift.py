import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from art_snn.attacks.evasion.lift import bin_edges, lift
from art_snn.coding.frames import event_bins
from art_snn.data import SaccadeCamera, event_grids, saccades
from art_snn.data.events import make_events, to_frames
from art_snn.data.recordings import CAMERA, FRAMES
from art_snn.threats import EventBudget, SpikeFlips

SPAN = (0, CAMERA.duration)


@pytest.fixture(scope="module")
def recordings():
    return saccades(load_digits().images[:4, None] / 16.0, SaccadeCamera())


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_lifted_grid_comes_back(recordings, binary, seed):
    for one in recordings:
        before = to_frames(one, FRAMES, CAMERA.size, binary=binary, span=SPAN)
        threat = SpikeFlips(20, most=1 if binary else math.inf)
        noise = np.random.default_rng(seed).normal(0, 2, before.shape)
        after = threat.project(before[None], before[None] + noise)[0]
        raw = lift(one, before, after, SPAN, binary=binary)
        assert np.array_equal(to_frames(raw, FRAMES, CAMERA.size, binary=binary, span=SPAN), after)
        added, removed = int((after > before).sum()), int((after < before).sum())
        used = EventBudget(math.inf, math.inf, size=CAMERA.size).usage(one, raw)
        assert used["insert"][0] == added
        assert used["delete"][0] >= removed
        if not binary:
            assert used["delete"][0] == removed
        assert EventBudget(added, used["delete"][0], size=CAMERA.size).contains(one, raw).all()


def test_nothing_changed_is_the_recording(recordings):
    before = event_grids(recordings)[0]
    assert np.array_equal(lift(recordings[0], before, before, SPAN), recordings[0])


def test_new_events_keep_the_refractory_time_or_say_that_they_cannot():
    one = make_events([50], [0], [0], [1])
    before = to_frames(one, 1, (1, 1), binary=True, span=(0, 100))
    after = np.ones_like(before)
    raw = lift(one, before, after, (0, 100), refractory=40)
    assert EventBudget(1, size=(1, 1), refractory=40).contains(one, raw).all()
    with pytest.raises(ValueError, match="room in the bin"):
        lift(one, before, after, (0, 100), refractory=60)


def test_foreign_frames_are_refused():
    one = make_events([50], [0], [0], [1])
    before = to_frames(one, 2, (1, 1), binary=True, span=(0, 100))
    with pytest.raises(ValueError, match="its own frames"):
        lift(one, before * 0, before, (0, 100))
    with pytest.raises(ValueError, match="two grids"):
        lift(one, before, before[:1], (0, 100))


def test_edges_and_floor_agree():
    for T, span in ((3, (0, 10)), (7, (5, 1000)), (9, (0, 300_000))):
        edges = bin_edges(T, span)
        for t in range(span[0], min(span[1], span[0] + 300)):
            frame = int(event_bins(torch.tensor([t]), T, span=span))
            assert edges[frame] <= t < edges[frame + 1]
