"""Attacks that state another threat model than the ball in question are held against that one."""

import numpy as np
import pytest
import torch

from art_snn.attacks import SNNAutoPGD, SpikeRetiming
from art_snn.coding import EventFrames, Poisson
from art_snn.evaluation.flags import CHECKS, Evidence, Plan
from art_snn.evaluation.flags.spikes import spike_trials
from art_snn.networks import mlp
from art_snn.testing import tiny
from art_snn.threats import Retiming, SpikeFlips

PLAN = Plan(probes=8, samples=8, steps=3, queries=5, hops=0)
T = 5


@pytest.fixture(scope="module")
def frames():
    x, y = tiny.samples(8)
    return np.ascontiguousarray(Poisson(T=T, seed=0)(torch.tensor(x)).transpose(0, 1).numpy()), y


@pytest.fixture(scope="module")
def on_frames():
    return tiny.classifier(mlp(tiny.SHAPE, 10, hidden=(16,), encoder=EventFrames(T)), input_shape=(T, *tiny.SHAPE))


class Stated:
    """Changes the samples by a rule, and says that it keeps to a threat model."""

    def __init__(self, threat, change):
        self.threat, self.change = threat, change

    def generate(self, x, y):
        return self.change(x.copy())


def judged(classifier, samples, attack):
    facts = Evidence(classifier, *samples, 1.0, 0, PLAN, {"mine": lambda _: attack}, trials=[], clean=np.ones(8, bool))
    [trial] = facts.tested()
    return trial, CHECKS["E4"].judge(facts)


def rolled(steps):
    return lambda x: np.roll(x, steps, axis=1)


def emptied(x):
    x[:, 0] = 0
    return x


def merged(x):
    return np.concatenate([x[:, :1] + x[:, 1:2], 0 * x[:, :1], x[:, 2:]], axis=1)


def halved(x):
    return x / 2


def inverted(x):
    return 1 - x


@pytest.mark.parametrize(
    ("threat", "change", "legal"),
    [
        (Retiming(jitter=1), lambda x: x, True),
        (Retiming(jitter=T), rolled(1), True),
        (Retiming(jitter=1), rolled(2), False),  # the last steps come back in front, T - 2 steps early
        (Retiming(jitter=T), emptied, False),  # spikes of a line are lost
        (Retiming(jitter=T), merged, False),  # two spikes in one cell
        (Retiming(jitter=T, moves=1), rolled(1), False),
        (Retiming(delay=1), rolled(1), False),
        (SpikeFlips(10_000), inverted, True),
        (SpikeFlips(10_000), halved, False),  # not binary
        (SpikeFlips(3), inverted, False),
        (SpikeFlips(10_000, add=False), inverted, False),
    ],
)
def test_stated_threat_models_are_held(on_frames, frames, threat, change, legal):
    trial, flag = judged(on_frames, frames, Stated(threat, change))
    assert flag.raised == (not legal)
    assert (trial.details["outside"] == 0) == legal
    assert flag.details["stated"]["mine"]["threat"] == repr(threat)
    if not legal:
        assert f"mine left {threat!r}" in flag.text
        assert trial.used > 1


def test_a_native_attack_on_spikes_and_a_ball_of_its_own(on_frames, frames):
    trial, flag = judged(on_frames, frames, SpikeRetiming(on_frames, jitter=1, max_iter=3))
    assert not flag.raised
    assert trial.details["usage"]["jitter"] <= 1
    _, wide = judged(on_frames, frames, SNNAutoPGD(on_frames, norm=2, eps=1.0, max_iter=3))
    assert "L2" in wide.details["stated"]["mine"]["threat"]


def test_a_larger_ball_is_no_threat_model_of_its_own():
    classifier = tiny.classifier(tiny.analog())
    attacks = {"mine": lambda clf: SNNAutoPGD(clf, eps=0.2, max_iter=3)}
    flag = CHECKS["E4"].judge(Evidence(classifier, *tiny.samples(8), 0.1, 0, PLAN, attacks))
    assert flag.raised
    assert "mine used 2" in flag.text


def test_the_spike_edge_of_binary_codes_is_tried(on_frames, frames):
    facts = Evidence(on_frames, *frames, 0.1, 0, PLAN)
    assert [trial.name for trial in spike_trials(facts)] == ["spike retiming", "spike flips"]
    assert all(trial.used == 1.0 and not trial.error for trial in spike_trials(facts))
    latency = tiny.classifier(tiny.spiking(Poisson(T=3, seed=0), epochs=1))
    assert len(spike_trials(Evidence(latency, *tiny.samples(8), 0.1, 0, PLAN))) == 2
    assert spike_trials(Evidence(tiny.classifier(tiny.direct()), *tiny.samples(8), 0.1, 0, PLAN)) == []
    assert spike_trials(Evidence(tiny.classifier(tiny.analog()), *tiny.samples(8), 0.1, 0, PLAN)) == []
