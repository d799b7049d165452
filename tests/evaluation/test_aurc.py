"""The area under a security curve: by hand, by scipy, and paired."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from art_snn import Comparison
from art_snn.evaluation.aurc import areas


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=2, max_size=6))
def test_the_mean_area_is_the_area_of_the_mean(rows):
    budgets = np.cumsum(np.arange(len(rows))) / 7
    curve = {float(eps): np.array(row) for eps, row in zip(budgets, rows, strict=True)}
    assert areas(curve).mean() == pytest.approx(trapezoid(np.mean(rows, axis=1), budgets) / budgets[-1])


def test_what_is_never_broken_has_area_one():
    curve = {0.0: np.ones(4, dtype=bool), 0.3: np.ones(4, dtype=bool)}
    np.testing.assert_array_equal(areas(curve), np.ones((1, 4)))


def test_without_a_clean_point_there_is_no_area():
    with pytest.raises(ValueError, match="0 and at least one more"):
        areas({0.1: np.ones(3)})


def result(seeds=1, n=200):
    rng = np.random.default_rng(0)
    skill = {"a": 1.0, "b": 0.4}
    hard = rng.random((seeds, n)) * 0.3
    clean = {m: np.ones((seeds, n), dtype=bool) for m in skill}
    under = {(m, "x", eps): hard * s > eps for m, s in skill.items() for eps in (0.1, 0.2)}
    return Comparison(list(skill), ["x"], [0.1, 0.2], clean, under, {m: [] for m in skill})


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_comparison_gives_areas_and_their_paired_difference(seeds):
    found = result(seeds)
    for model in found.models:
        shares = [1.0, found.accuracy(model, None, 0.1).value, found.accuracy(model, None, 0.2).value]
        area = found.aurc(model)
        assert area.value == pytest.approx(trapezoid(shares, [0, 0.1, 0.2]) / 0.2)
        assert 0 <= area.low < area.value < area.high <= 1
    gap = found.aurc("a", "b")
    assert gap.value == pytest.approx(found.aurc("a").value - found.aurc("b").value)
    assert gap.shown
    assert gap.reversed().high == -gap.low
    apart = found.aurc("a"), found.aurc("b")
    assert gap.high - gap.low < sum(one.high - one.low for one in apart)
    assert not found.aurc("a", "a").shown
