"""Intervals of measured accuracies (scipy does the work)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class Proportion:
    """A share of samples with its 95 % Wilson interval."""

    successes: int
    samples: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def proportion(outcomes: Any) -> Proportion:
    r"""Share of true entries with its 95 % Wilson interval.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    :param outcomes: booleans, one per sample.
    :raises ValueError: if there are none.

    >>> print(proportion([True] * 8 + [False] * 2))
    80.0 [49.0, 94.3]
    """
    outcomes = np.asarray(outcomes, dtype=bool)
    if outcomes.size == 0:
        raise ValueError("got no samples; expected at least one. Fix: select samples to evaluate on.")
    hits, n = int(outcomes.sum()), int(outcomes.size)
    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return Proportion(hits, n, hits / n, float(interval.low), float(interval.high))
