"""Do the intervals cover what they say, and how often does the verdict see a difference that is none?

Simulated networks: sample n has a difficulty, network s a skill of its own (its training seed), and every pair some
noise; a family of networks differs from another by ``gap``. Many studies are drawn at once. Prints the tables of
``docs/statistics.md``: ``python benchmarks/intervals.py``, two minutes on one core.
"""

import numpy as np

from art_snn.evaluation.bootstrap import Term, bootstrap_means
from art_snn.evaluation.paired import half_length, variances
from art_snn.evaluation.statistics import proportion, seed_spread
from art_snn.evaluation.verdict import paired_tests

STUDIES = 2000
GRID = (0.0, 0.5, 1.0)
"""Budgets, in units of difficulty."""


def outcomes(rng, studies, seeds, samples, spread, gap=0.0, ease=0.3, budget=0.0):
    """Right answers ``[studies, S, N]`` of two families on shared samples."""
    hard = ease - budget + rng.normal(0, 1.5, (studies, 1, samples))
    found = []
    for skill in (gap, 0.0):
        logit = hard + skill + rng.normal(0, spread, (studies, seeds, 1)) + rng.normal(0, 1, (studies, seeds, samples))
        found.append(rng.random(logit.shape) < 1 / (1 + np.exp(-logit)))
    return found


def truth(rng, spread, gap, ease, draws=4_000_000):
    """Expected accuracy of the two families."""
    hard = ease + rng.normal(0, np.sqrt(1.5**2 + 1 + spread**2), draws)
    return tuple(float((1 / (1 + np.exp(-(hard + skill)))).mean()) for skill in (gap, 0.0))


def covered(rng, seeds, samples, spread, gap=0.0, ease=0.3, studies=STUDIES):
    """Share of studies whose interval of the difference holds the true difference."""
    first, second = truth(rng, spread, gap, ease)
    hits = 0
    for _ in range(studies):
        a, b = outcomes(rng, 1, seeds, samples, spread, gap, ease)
        delta = a[0].astype(float) - b[0]
        hits += abs(delta.mean() - (first - second)) <= half_length(variances(delta), delta.shape, 0.975)
    return hits / studies


def bootstrap_covered(rng, seeds, samples, spread, studies=STUDIES // 4):
    """The same for the percentiles of the hierarchical bootstrap alone."""
    hits = 0
    for i in range(studies):
        a, b = outcomes(rng, 1, seeds, samples, spread)
        low, high = np.quantile(bootstrap_means([Term(a[0].astype(float) - b[0])], i, 500), (0.025, 0.975))
        hits += low <= 0 <= high
    return hits / studies


def wilson_covered(rng, samples, ease, studies=STUDIES):
    """Share of studies whose Wilson interval of one network's accuracy holds the expected accuracy."""
    expected = truth(rng, 0.0, 0.0, ease)[1]
    _, right = outcomes(rng, studies, 1, samples, 0.0, 0.0, ease)
    found = [proportion(row[0]) for row in right]
    return float(np.mean([one.low <= expected <= one.high for one in found]))


def spread_covered(rng, seeds, samples, spread, studies=STUDIES):
    """Share of studies whose Student interval over seeds holds the accuracy expected on these very samples."""
    hits = 0
    for _ in range(studies):
        hard = 0.3 + rng.normal(0, 1.5, samples)
        skill = rng.normal(0, spread, (400, 1))
        expected = (1 / (1 + np.exp(-(hard + skill)))).mean()
        right = rng.random((seeds, samples)) < 1 / (1 + np.exp(-(hard + rng.normal(0, spread, (seeds, 1)))))
        hits += abs(right.mean() - expected) <= seed_spread(right)
    return hits / studies


def false_verdicts(rng, seeds, samples, spread, models, studies=500):
    """Share of studies in which any pair of models that differ in training seed only is told apart at any budget."""
    wrong = 0
    for i in range(studies):
        hard = rng.normal(0, 1.5, samples)
        skill = rng.normal(0, spread, (models, seeds, 1))
        noise = rng.normal(0, 1, (models, seeds, samples))
        curves = {f"m{k}": {eps: hard + skill[k] + noise[k] + 0.5 > eps for eps in GRID} for k in range(models)}
        wrong += any(test.shown for test in paired_tests(curves, seed=i, replicates=500))
    return wrong / studies


def main() -> None:
    rng = np.random.default_rng(0)
    print("| seeds S | samples N | spread over seeds | true difference | interval covers | bootstrap alone |")
    print("|---|---|---|---|---|---|")
    for seeds, samples, spread, gap in (
        (1, 200, 0.0, 0.0), (1, 200, 0.0, 1.0), (1, 1000, 0.0, 0.0), (2, 200, 0.3, 0.0), (3, 200, 0.0, 0.0),
        (3, 200, 0.1, 0.0), (3, 200, 0.3, 0.0), (3, 200, 1.0, 0.0), (3, 200, 0.3, 1.0), (3, 1000, 0.1, 0.0),
        (3, 1000, 0.3, 0.0), (3, 1000, 1.0, 0.0), (5, 200, 0.0, 0.0), (5, 200, 0.3, 0.0), (5, 1000, 0.3, 1.0),
        (5, 1000, 1.0, 0.0),
    ):  # fmt: skip
        first, second = truth(rng, spread, gap, 0.3)
        alone = f"{100 * bootstrap_covered(rng, seeds, samples, spread):.1f} %" if gap == 0 else "-"
        share = 100 * covered(rng, seeds, samples, spread, gap)
        print(
            f"| {seeds} | {samples} | {spread} | {100 * (first - second):.1f} | {share:.1f} % | {alone} |", flush=True
        )
    print("\n| samples N | accuracy | Wilson covers |\n|---|---|---|")
    for samples, ease in ((100, 0.3), (200, 0.3), (200, 3.0), (1000, 0.3), (1000, -3.0)):
        share = 100 * wilson_covered(rng, samples, ease)
        print(f"| {samples} | {100 * truth(rng, 0.0, 0.0, ease)[1]:.1f} | {share:.1f} % |", flush=True)
    print("\n| seeds S | samples N | spread over seeds | Student's over seeds covers |\n|---|---|---|---|")
    for seeds, samples, spread in ((3, 200, 0.3), (3, 1000, 1.0), (5, 200, 0.3)):
        share = 100 * spread_covered(rng, seeds, samples, spread)
        print(f"| {seeds} | {samples} | {spread} | {share:.1f} % |", flush=True)
    print("\n| seeds S | samples N | spread over seeds | models | false verdicts |\n|---|---|---|---|---|")
    for seeds, samples, spread, models in (
        (1, 200, 0.0, 2), (1, 200, 0.0, 4), (3, 200, 0.0, 2), (3, 200, 0.3, 2), (3, 200, 1.0, 2), (3, 200, 0.3, 4),
        (3, 200, 1.0, 4), (3, 1000, 1.0, 2), (3, 1000, 1.0, 4), (5, 200, 0.3, 4), (5, 1000, 1.0, 4),
    ):  # fmt: skip
        share = 100 * false_verdicts(rng, seeds, samples, spread, models)
        print(f"| {seeds} | {samples} | {spread} | {models} | {share:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
