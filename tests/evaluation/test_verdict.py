"""The sentence: only what interval, adjusted p-value and number of seeds allow."""

import numpy as np
import pytest

from art_snn import Comparison
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.tables import FEW, limits
from art_snn.evaluation.verdict import paired_tests

GRID = (0.05, 0.1, 0.2)


def curves(rng, seeds, samples, spread, gap=0.0, models=2):
    """Worst-case outcomes of models that differ in training seeds (and the first in skill), falling with the budget."""
    hard = rng.normal(0, 1.5, samples)
    noise = rng.normal(0, 1, (models, seeds, samples))
    skill = rng.normal(0, spread, (models, seeds, 1))
    skill[0] += gap
    return {f"m{i}": {eps: (hard + skill[i] + noise[i] + 1.0 - 10 * eps > 0) for eps in GRID} for i in range(models)}


def test_a_clear_gain_is_said_with_its_seeds():
    tests = paired_tests(curves(np.random.default_rng(0), 5, 200, 0.1, gap=2.0))
    assert [test.shown for test in tests] == [True] * 3
    assert "m0 is more robust than m1 at eps = 0.1" in tests[1].sentence()
    assert "5 training seeds" in tests[1].sentence()


def test_one_seed_speaks_of_two_networks():
    [*_, test] = paired_tests(curves(np.random.default_rng(0), 1, 200, 0.0, gap=-2.0))
    assert test.shown
    assert "This m1 network is more robust than this m0 network" in test.sentence()
    assert "nothing is said of others" in test.sentence()
    assert test.difference.value < 0 < test.difference.reversed().low


def test_equal_outcomes_differ_by_nothing():
    same = curves(np.random.default_rng(0), 2, 50, 0.1)["m0"]
    for test in paired_tests({"a": same, "b": same}):
        assert (test.difference.value, test.p, test.adjusted, test.shown) == (0, 1, 1, False)
        assert "no difference is shown" in test.sentence()


def test_every_further_pair_and_budget_costs_significance():
    rng = np.random.default_rng(1)
    outcomes = curves(rng, 1, 60, 0.0, gap=0.8, models=6)
    alone = paired_tests({name: {0.1: outcomes[name][0.1]} for name in ("m0", "m1")})[0]
    among = next(t for t in paired_tests(outcomes) if (t.first, t.second, t.eps) == ("m0", "m1", 0.1))
    assert alone.p == among.p
    assert alone.adjusted == alone.p
    assert among.adjusted > 5 * alone.adjusted or among.adjusted == 1


def comparison(outcomes, flags=None):
    names = list(outcomes)
    under = {(name, "a", eps): row for name in names for eps, row in outcomes[name].items()}
    clean = {name: np.ones_like(outcomes[name][GRID[0]]) for name in names}
    return Comparison(names, ["a"], list(GRID), clean, under, {name: (flags or {}).get(name, []) for name in names})


def test_an_invalid_model_is_compared_with_nobody():
    outcomes = curves(np.random.default_rng(0), 3, 200, 0.1, gap=3.0)
    assert any("more robust" in line for line in comparison(outcomes).verdict())
    flagged = comparison(outcomes, {"m0": [Flag("E1", True, 1.0, 0.01, "no gradient")]})
    assert not any("more robust" in line for line in flagged.verdict())
    assert flagged.tests() == []


def test_of_three_models_the_first_and_the_last_are_compared_as_well():
    said = comparison(curves(np.random.default_rng(0), 3, 200, 0.1, gap=3.0, models=3)).verdict()
    ranked = [line.partition(":")[0] for line in said if "% left at eps" in line]
    pairs = [line for line in said if "no difference" in line or "more robust" in line]
    assert len(pairs) == 3
    assert ranked[0] in pairs[-1]
    assert ranked[-1] in pairs[-1]


def test_numbers_are_preliminary_until_an_adaptive_suite_ran():
    plain = comparison(curves(np.random.default_rng(0), 2, 50, 0.1))
    assert plain.verdict()[-1] == "Preliminary: no adaptive suite ran; add one with --preset standard."
    outcomes = {(model, "auto-standard", eps): row for (model, _, eps), row in plain.outcomes.items()}
    suite = Comparison(plain.models, ["auto-standard"], plain.eps, plain.clean, outcomes, plain.flags)
    assert not any("Preliminary" in line for line in suite.verdict())


@pytest.mark.parametrize(("seeds", "said"), [(1, "One training seed"), (2, "Two training seeds"), (3, None)])
@pytest.mark.parametrize("samples", [FEW - 1, FEW])
def test_what_few_seeds_and_samples_do_not_show(seeds, said, samples):
    result = comparison(curves(np.random.default_rng(0), seeds, 20, 0.1))
    result.records.append({"kind": "run", "samples": samples})
    lines = limits(result)
    assert [line for line in lines if "training seed" in line] == [line for line in lines if said and said in line]
    assert any("differences of a few points are noise" in line for line in lines) == (samples < FEW)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "spread", "models"), [(1, 0.0, 2), (3, 0.3, 2), (3, 0.3, 4), (5, 0.6, 3)])
def test_models_that_differ_in_seed_only_are_rarely_ranked(seeds, spread, models):
    rng = np.random.default_rng(6)
    wrong = 0
    for i in range(400):
        tests = paired_tests(curves(rng, seeds, 150, spread, models=models), seed=i, replicates=400)
        wrong += any(test.shown for test in tests)
    assert wrong / 400 < 0.05
