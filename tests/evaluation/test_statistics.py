"""Intervals against the closed form."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from art_snn.evaluation.statistics import proportion


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_equals_its_formula(counts):
    hits, n = counts
    z = 1.959963984540054
    p = hits / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = proportion([True] * hits + [False] * (n - hits))
    assert found.value == p
    assert found.low == pytest.approx(max(0.0, (centre - spread) / (1 + z * z / n)), abs=1e-9)
    assert found.high == pytest.approx(min(1.0, (centre + spread) / (1 + z * z / n)), abs=1e-9)


def test_no_samples_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        proportion(np.zeros(0, dtype=bool))
