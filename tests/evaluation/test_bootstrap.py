"""The fast bootstrap is the plain one: by enumeration of everything that can be drawn."""

import time
from itertools import product

import numpy as np
import pytest

from art_snn.evaluation.bootstrap import Term, bootstrap_means

MANY = 60_000
FAR = np.sqrt(np.log(2 / 1e-9) / (2 * MANY))
"""An empirical distribution of so many draws is farther than this from its own with probability 1e-9."""


def enumerated(values, draws=1):
    """Every replicate that the plain algorithm can draw, all equally likely; ``values [S, N, D]``."""
    seeds, samples, _ = values.shape
    found = []
    for w in product(range(seeds), repeat=seeds):
        for m in product(range(samples), repeat=samples):
            cells = [values[s, n] for s in w for n in m]
            picks = product(*(product(cell, repeat=draws) for cell in cells))
            found += [np.mean([np.mean(pick) for pick in chosen]) for chosen in picks]
    return np.array(found)


def distance(drawn, exact):
    points = np.unique(np.round(np.concatenate([drawn, exact]), 9))
    below = [np.searchsorted(np.sort(np.round(one, 9)), points, "right") / len(one) for one in (drawn, exact)]
    return np.abs(below[0] - below[1]).max()


@pytest.mark.parametrize(
    "values", [[[1, 0, -1], [1, 1, 0]], [[0, 0, 1, 1]], [[1, 1, 1], [1, 1, 1]], [[0.25, 0.5, 0.25], [1.0, 0.0, 1.0]]]
)
def test_two_levels_equal_the_enumeration(values):
    values = np.array(values, dtype=float)
    drawn = bootstrap_means([Term(values)], seed=1, replicates=MANY)
    assert distance(drawn, enumerated(values[..., None])) < FAR


@pytest.mark.parametrize("seeds", [1, 2])
def test_three_levels_equal_the_enumeration(seeds):
    draws = np.array([[[1, 0], [1, 1]], [[0, 0], [0, 1]]], dtype=float)[:seeds]
    drawn = bootstrap_means([Term(draws.mean(2), 2)], seed=2, replicates=MANY)
    assert distance(drawn, enumerated(draws, 2)) < FAR
    assert distance(bootstrap_means([Term(draws.mean(2))], seed=2, replicates=MANY), enumerated(draws, 2)) > FAR


def test_two_models_share_seeds_and_samples_but_not_draws():
    a = np.array([[[1, 0], [1, 1]]], dtype=float)
    b = np.array([[[1], [0]]], dtype=float)
    drawn = bootstrap_means([Term(a.mean(2), 2), Term(b.mean(2), 1, -1)], seed=3, replicates=MANY)
    exact = enumerated(a - b, 2)
    assert distance(drawn, exact) < FAR


def test_the_variance_is_that_of_crossed_levels():
    values = (np.random.default_rng(0).random((4, 30)) < 0.6).astype(float)
    drawn = bootstrap_means([Term(values)], replicates=MANY)
    centred = values - values.mean()
    seeds, samples = centred.mean(1), centred.mean(0)
    rest = (centred - seeds[:, None] - samples) ** 2
    exact = (seeds**2).mean() / 4 + (samples**2).mean() / 30 + rest.mean() / 120
    assert drawn.mean() == pytest.approx(values.mean(), abs=5 * np.sqrt(exact / MANY))
    assert drawn.var() == pytest.approx(exact, rel=5 * np.sqrt(2 / MANY))


def test_ten_thousand_samples_and_replicates_take_no_time():
    rng = np.random.default_rng(0)
    values = (rng.random((3, 10_000)) < 0.6).astype(float) - (rng.random((3, 10_000)) < 0.5)
    start = time.process_time()
    assert len(bootstrap_means([Term(values)])) == 10_000
    assert time.process_time() - start < 2
