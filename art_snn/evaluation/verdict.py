r"""What may be said about two models: paired tests at every budget, and the sentence they allow.

For every pair of models and every budget above 0, outcomes in the per-sample worst case are compared on the same
samples: the difference in accuracy with the interval of :mod:`art_snn.evaluation.paired`, and exact McNemar p-values,
one per training seed. Those of several seeds are combined to :math:`\min(1, 2 \bar p)`, which is valid however they
depend on each other; but they speak of these networks, so with several seeds the p-value is the larger of that and of
the level at which the interval, which knows the spread over seeds, would touch 0. All p-values of a comparison, over
pairs and budgets, are adjusted together by Holm's method.

One model is called more robust only if the interval and the bootstrap exclude 0 *and* the adjusted p-value is below
5 %. With one training seed the sentence speaks of two networks, not of the methods that made them.

Sources: McNemar 1947; Holm 1979; Vovk and Wang, "Combining p-values via averaging", Biometrika 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from art_snn.evaluation.bootstrap import REPLICATES
from art_snn.evaluation.paired import Difference, difference, holm

Array = np.ndarray[Any, np.dtype[Any]]
LEVEL = 0.05


@dataclass(frozen=True)
class PairedTest:
    """Two models under one budget.

    :param first: name of one model.
    :param second: name of the other.
    :param eps: the budget.
    :param difference: accuracy of the first minus that of the second, with its interval and p-values.
    :param p: of the whole family of networks, see the module's text.
    :param adjusted: adjusted for all pairs and budgets.
    """

    first: str
    second: str
    eps: float
    difference: Difference
    p: float
    adjusted: float

    @property
    def shown(self) -> bool:
        """Whether a difference is shown, by the interval and by the adjusted p-value."""
        return self.difference.shown and self.adjusted < LEVEL

    def sentence(self) -> str:
        """What may be said."""
        better, worse = (self.first, self.second) if self.difference.value >= 0 else (self.second, self.first)
        gap = self.difference if self.difference.value >= 0 else self.difference.reversed()
        where = f"at eps = {self.eps:.4g}"
        if not self.shown:
            return f"{better} and {worse}: no difference is shown {where} ({gap}, p = {self.adjusted:.2g})."
        if self.difference.seeds > 1:
            seeds = f"{self.difference.seeds} training seeds"
            return f"{better} is more robust than {worse} {where}: {gap}, p = {self.adjusted:.2g}, {seeds}."
        return (
            f"This {better} network is more robust than this {worse} network {where}: {gap}, p = {self.adjusted:.2g}. "
            "One training seed each: nothing is said of others trained alike."
        )

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "first": self.first, "second": self.second, "eps": self.eps, "difference": self.difference.record(),
            "p": self.p, "adjusted": self.adjusted, "shown": self.shown, "sentence": self.sentence(),
        }  # fmt: skip


def paired_tests(
    outcomes: Mapping[str, Mapping[float, Array]], *, seed: int = 0, replicates: int = REPLICATES
) -> list[PairedTest]:
    """All pairs of models at all budgets, in order.

    :param outcomes: worst-case outcomes by model and budget, booleans ``[N]`` or ``[S, N]``.
    :param seed: seed of the bootstrap.
    :param replicates: resamplings of it.
    :raises ValueError: if the shapes differ.

    >>> right, wrong = np.ones(20, dtype=bool), np.zeros(20, dtype=bool)
    >>> [test] = paired_tests({"a": {0.1: right}, "b": {0.1: wrong}})
    >>> test.shown, test.difference.value
    (True, 1.0)
    """
    found = []
    for first, second in combinations(outcomes, 2):
        for eps in outcomes[first]:
            gap = difference(outcomes[first][eps], outcomes[second][eps], seed=seed, replicates=replicates)
            found.append((first, second, eps, gap, _combined(gap)))
    adjusted = holm([p for *_, p in found])
    return [PairedTest(*one, after) for one, after in zip(found, adjusted, strict=True)]


def _combined(gap: Difference) -> float:
    """One p-value for all seeds."""
    return gap.p[0] if gap.seeds == 1 else max(min(1.0, 2 * float(np.mean(gap.p))), gap.interval_p)
