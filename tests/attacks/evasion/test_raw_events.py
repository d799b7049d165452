"""An attack on frames, carried over to the recording and judged there."""

import math
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import GumbelEventAttack, HammingFW, lift
from art_snn.data import event_grids, saccades
from art_snn.data import load as data
from art_snn.data.recordings import CAMERA
from art_snn.networks import load
from art_snn.threats import EventBudget

MODEL = Path(__file__).parents[3] / "benchmarks" / "models" / "digits_events_snn.safetensors"


@pytest.mark.parametrize("kind", [HammingFW, GumbelEventAttack])
def test_add_only_attacks_fool_through_the_raw_recording_within_its_budget(kind):
    net = load(MODEL)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (9, 2, 16, 16), 10, clip_values=(0.0, 1.0), device_type="cpu")
    y = data("digits").y_test[:4]
    recordings = saccades(data("digits").x_test[:4], CAMERA)
    x = event_grids(recordings)
    attack = kind(clf, k=60, max_iter=15, delete=False)
    x_adv = attack.generate(x, y)
    span = (0, CAMERA.duration)
    raw = [lift(one, *pair, span) for one, *pair in zip(recordings, x, x_adv, strict=True)]
    budget = EventBudget(insert=60, size=CAMERA.size)
    assert budget.contains(recordings, raw).all()
    assert np.array_equal(budget.usage(recordings, raw)["insert"], attack.last_run.usage)
    assert np.array_equal(event_grids(raw), x_adv)
    fooled = clf.predict(event_grids(raw)).argmax(1) != y
    assert np.array_equal(fooled, attack.last_run.success | attack.last_run.initially_wrong)
    assert attack.last_run.success.any()
    assert not EventBudget(insert=math.inf, size=(4, 4)).contains(recordings, raw).any()
