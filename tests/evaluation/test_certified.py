"""Certified accuracy: abstentions and wrong classes count as errors, curves fall."""

from __future__ import annotations

import numpy as np
import pytest

from art_snn.evaluation.certified import certified_accuracy

PREDICTION, RADIUS, Y = [3, 1, -1, 0, 2], [2.0, 0.0, 0.0, 1.0, np.inf], [3, 1, 0, 2, 2]


def test_by_hand():
    curve = certified_accuracy(PREDICTION, RADIUS, Y, radii=[0, 1, 2, 9])
    assert [p.successes for p in curve.accuracy] == [3, 2, 2, 1]
    assert curve.abstained.successes == 1
    assert curve.at(2).low < 0.4 < curve.at(2).high


def test_an_abstention_is_an_error_even_for_class_zero():
    assert certified_accuracy([-1], [0.0], [0]).at(0.0).value == 0


def test_it_falls_with_the_radius():
    rng = np.random.default_rng(0)
    curve = certified_accuracy(rng.integers(-1, 3, 80), rng.integers(0, 6, 80), rng.integers(0, 3, 80))
    values = [p.value for p in curve.accuracy]
    assert values == sorted(values, reverse=True)
    assert curve.radii == [0, 1, 2, 3, 4, 5]


def test_plot_and_refusals():
    ax = certified_accuracy(PREDICTION, RADIUS, Y, unit="spikes moved").plot(label="g")
    assert ax.get_xlabel() == "spikes moved"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["g"]
    assert certified_accuracy(PREDICTION, RADIUS, Y).plot().get_legend() is None
    with pytest.raises(ValueError, match="one length"):
        certified_accuracy([1, 2], [0.0], [1])
    with pytest.raises(ValueError, match="radii="):
        certified_accuracy([1], [0.0], [1]).at(7)
