import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2, t

from art_snn.evaluation.paired import difference, holm, mcnemar


def networks(rng, seeds, samples, spread, gap=0.0):
    """Outcomes of two families of networks on shared samples; each training seed shifts the skill of its network."""
    hard = rng.normal(0, 1.5, samples)

    def family(skill):
        logit = skill + hard + rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 1, (seeds, samples))
        return rng.random((seeds, samples)) < 1 / (1 + np.exp(-logit))

    return family(0.3 + gap), family(0.3)


def test_equal_models_differ_by_nothing():
    outcome = np.random.default_rng(0).random((3, 40)) < 0.5
    same = difference(outcome, outcome)
    assert (same.value, same.resampled, same.p, same.interval_p, same.shown) == (0, (0, 0), (1, 1, 1), 1, False)
    assert same.high == -same.low == pytest.approx(t.ppf(0.975, 39) * np.sqrt(2 / 41 / 42))


def test_one_seed_is_bonett_and_prices_interval():
    a, b = np.r_[[1] * 9, [0] * 91].astype(bool), np.r_[[0] * 9, [1] * 3, [0] * 88].astype(bool)
    first, second = (9 + 1) / 102, (3 + 1) / 102
    half = t.ppf(0.975, 99) * np.sqrt((first + second - (first - second) ** 2) / 101)
    found = difference(a, b)
    assert found.high - found.value == pytest.approx(half, rel=1e-3)
    assert found.value - found.low == pytest.approx(half, rel=1e-3)


def test_where_seeds_dominate_the_interval_is_students():
    a = np.zeros((3, 5000), dtype=bool)
    for s, share in enumerate((0.4, 0.5, 0.6)):
        a[s, : int(share * 5000)] = True
    found = difference(a, np.zeros_like(a))
    half = t.ppf(0.975, 2) * np.std([0.4, 0.5, 0.6], ddof=1) / np.sqrt(3)
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - half, abs=0.01)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_interval_touches_zero_at_its_own_level(seeds):
    a, b = networks(np.random.default_rng(7), seeds, 200, 0.2, gap=0.4)
    found = difference(a, b)
    edge = difference(a, b, level=1 - found.interval_p)
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-6)


def test_the_difference_changes_sign_with_the_order():
    a, b = networks(np.random.default_rng(1), 3, 60, 0.3, gap=1.0)
    one, other = difference(a, b), difference(b, a)
    assert one.value == -other.value
    assert one.value == pytest.approx(a.mean() - b.mean())
    assert one.low == pytest.approx(-other.high, abs=0.01)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_tail(pairs):
    a, b = np.array(pairs).T
    first, second = int((a & ~b).sum()), int((b & ~a).sum())
    tail = 2 * binom.cdf(min(first, second), first + second, 0.5)
    assert mcnemar(a, b) == pytest.approx(min(1.0, tail))


def test_mcnemar_nears_the_continuity_corrected_chi_square_on_many_samples():
    a = np.r_[np.ones(1200), np.zeros(1100), np.ones(5000)].astype(bool)
    b = np.r_[np.zeros(1200), np.ones(1100), np.ones(5000)].astype(bool)
    assert mcnemar(a, b) == pytest.approx(chi2.sf((1200 - 1100 - 1) ** 2 / 2300, 1), rel=0.01)


def test_holm_on_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_the_raw_and_the_bonferroni_values(p):
    adjusted = holm(p)
    assert all(raw <= value <= min(1.0, len(p) * raw) + 1e-12 for raw, value in zip(p, adjusted, strict=True))
    ranked = [adjusted[i] for i in np.argsort(p, kind="stable")]
    assert ranked == sorted(ranked)


def test_the_bootstrap_agrees_with_the_standard_error_on_one_seed():
    a, b = networks(np.random.default_rng(2), 1, 400, 0.0, gap=0.5)
    delta = a.astype(int) - b.astype(int)
    half = 1.96 * delta.std(ddof=1) / np.sqrt(delta.size)
    shown = difference(a, b)
    assert shown.high - shown.value == pytest.approx(half, rel=0.08)
    assert shown.value - shown.low == pytest.approx(half, rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "samples", "spread"), [(1, 150, 0.0), (3, 150, 1.0), (5, 150, 1.0)])
def test_the_interval_covers_what_it_says(seeds, samples, spread):
    rng = np.random.default_rng(3)
    hits = [difference(*networks(rng, seeds, samples, spread), replicates=600, seed=i) for i in range(1500)]
    covered = np.mean([one.low <= 0 <= one.high for one in hits])
    assert 0.935 <= covered <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6])
def test_networks_that_differ_in_seed_only_are_rarely_told_apart(spread):
    rng = np.random.default_rng(4)
    trials = [difference(*networks(rng, 3, 150, spread), replicates=400, seed=i).shown for i in range(1000)]
    assert np.mean(trials) < 0.05


def test_one_seed_cannot_tell_a_lucky_training_from_a_better_method():
    rng = np.random.default_rng(5)
    one = [difference(*networks(rng, 1, 400, 0.8), replicates=300, seed=i).shown for i in range(60)]
    three = [difference(*networks(rng, 3, 400, 0.8), replicates=300, seed=i).shown for i in range(60)]
    assert np.mean(one) > 0.3 > np.mean(three)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="evaluate both models on the same samples"):
        difference([True], [True, False])
    with pytest.raises(ValueError, match="outcomes of shapes"):
        difference([], [])
