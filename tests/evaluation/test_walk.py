"""The walk behind W2: ART's HopSkipJump, seeded, in float32, and ended where ART's would go on for ever."""

import numpy as np
import pytest
from art.attacks.evasion import HopSkipJump

from art_snn.evaluation.flags.blackbox import Walk
from art_snn.evaluation.seeding import seeded_globals
from art_snn.testing import tiny

OPTIONS = {"norm": np.inf, "max_iter": 2, "max_eval": 20, "init_eval": 10, "verbose": False}


@pytest.fixture
def pair():
    x, y = tiny.samples(4)
    start = np.random.default_rng(0).random(x[:1].shape).astype(np.float32)
    assert tiny.classifier(tiny.direct()).predict(start).argmax(1)[0] != y[0]
    return x[:1], start


def test_it_walks_as_arts_does(pair):
    x, start = pair
    with seeded_globals(0):
        ours = Walk(tiny.classifier(tiny.direct()), **OPTIONS).from_start(x, start.copy())
    with seeded_globals(0):
        arts = HopSkipJump(tiny.classifier(tiny.direct()), **OPTIONS).generate(x, x_adv_init=start.copy())
    assert np.array_equal(ours, arts)
    assert not np.array_equal(ours, x)


def test_a_plain_network_is_asked_in_its_own_precision(pair):
    x, start = pair
    moved = Walk(tiny.classifier(tiny.analog()), **OPTIONS).from_start(x, start)
    assert not np.array_equal(moved, x)


def test_a_walk_that_gets_stuck_ends_where_it_began(pair, monkeypatch):
    x, start = pair
    asked = []

    def never(self, samples, *args, **kwargs):
        asked.append(samples.dtype)
        return np.zeros(len(samples), dtype=bool)

    monkeypatch.setattr(HopSkipJump, "_adversarial_satisfactory", never)
    walk = Walk(tiny.classifier(tiny.direct()), **OPTIONS)
    assert np.array_equal(walk.from_start(x, start), x)
    assert len(asked) == 1000
    assert set(asked) == {np.dtype(np.float32)}
