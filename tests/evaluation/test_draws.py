"""Expected accuracy over evaluation draws: never the best of them, never the worst."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from art_snn import Comparison
from art_snn.evaluation.attacks import attack_named
from art_snn.evaluation.cells import Measurement, Subject
from art_snn.evaluation.draws import pack, unpack, worst_draws
from art_snn.evaluation.paired import difference
from art_snn.evaluation.store import ResultStore


@given(arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 30))))
def test_packed_outcomes_come_back(outcomes):
    np.testing.assert_array_equal(unpack(pack(outcomes), outcomes.shape[1]), outcomes)


def test_one_attack_is_its_own_worst_case():
    outcomes = np.random.default_rng(0).random((6, 50)) < 0.5
    np.testing.assert_array_equal(worst_draws([outcomes]), outcomes)


def test_many_equal_attacks_are_no_worse_than_one():
    rng = np.random.default_rng(1)
    attacks = [rng.random((20, 4000)) < 0.5 for _ in range(8)]
    fair = worst_draws(attacks).mean()
    assert fair == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(80_000))
    assert np.min([a.mean(0) for a in attacks], axis=0).mean() < 0.4  # the best of eight estimates
    assert np.logical_and.reduce(attacks).mean() < 0.01


def test_a_better_attack_is_found_where_it_is_better():
    rng = np.random.default_rng(2)
    weak, strong = rng.random((20, 2000)) < 0.95, rng.random((20, 2000)) < 0.05
    assert worst_draws([weak, strong]).mean() == pytest.approx(0.05, abs=0.01)


def test_a_random_model_is_compared_by_its_expected_accuracy():
    rng = np.random.default_rng(3)
    random = rng.random((1, 300, 10)) < 0.6
    steady = rng.random(300) < 0.6
    found = difference(random, steady)
    assert found.value == pytest.approx(random.mean() - steady.mean())
    assert len(found.p) == 10
    assert found.low < found.value < found.high


def test_cells_keep_every_draw_of_a_random_model(poisson, ann, samples):
    x, y = samples[0], samples[1]
    result = Comparison(["poisson", "ann"], ["noise", "pgd"], [0.1], {}, {}, {})
    for name, classifier in (("poisson", poisson), ("ann", ann)):
        cells, subject = Measurement(x, y, ResultStore(None), 0), Subject(name, classifier)
        records = [cells.clean(subject), *(cells.attack(subject, attack_named(a), 0.1) for a in result.attacks)]
        result.records += records
        result.clean[name] = np.array(records[0]["correct"], dtype=bool)
    outcomes = unpack(result.records[0]["draws"], len(x))
    assert outcomes.shape == (20, len(x))
    assert result.expected("poisson", 0.0).value == pytest.approx(outcomes.mean())
    expected = result.expected("poisson", 0.1)
    assert result.expected("ann", 0.1) is None
    assert 0 <= expected.low < expected.value < expected.high <= 1
    under = [unpack(r["draws"], len(x)).mean() for r in result.records[:3]]
    assert expected.low < min(under) < expected.high
    assert not any("draws" in r for r in result.records if r["model"] == "ann")
