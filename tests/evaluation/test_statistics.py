"""Intervals against the closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, sem, t

from art_snn.evaluation.statistics import proportion, seed_spread


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_equals_scipys(counts):
    hits, n = counts
    found = proportion([True] * hits + [False] * (n - hits))
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert found.value == hits / n
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_more_networks_are_not_more_samples():
    rows = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    one, two = proportion(rows[0]), proportion(np.repeat(rows[:1], 9, axis=0))
    assert (one.low, one.high) == (two.low, two.high)
    assert proportion(rows).value == 3 / 8


def test_spread_over_seeds_is_students():
    rows = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    expected = t.interval(0.95, 2, loc=0, scale=sem(rows.mean(1)))[1]
    assert seed_spread(rows) == pytest.approx(expected)
    assert seed_spread(rows[:1]) is None


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        proportion(np.zeros(0, dtype=bool))
