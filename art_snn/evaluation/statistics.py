r"""Intervals of measured accuracies.

Wilson's 95 % interval of a share :math:`\hat p` of n samples, with :math:`z = 1.96`:

.. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

Several networks judged on the same samples do not make more samples: their mean accuracy takes the place of
:math:`\hat p`, and n stays. How far networks of other training seeds spread is another error, :func:`seed_spread`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import norm, t


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
    """Share of true entries with its 95 % Wilson interval.

    :param outcomes: booleans, one per sample ``[N]``, or ``[S, N]`` for S networks on the same samples.
    :raises ValueError: if there are none.

    >>> print(proportion([True] * 8 + [False] * 2))
    80.0 [49.0, 94.3]
    >>> print(proportion([[True] * 8 + [False] * 2] * 3))
    80.0 [49.0, 94.3]
    """
    outcomes = np.asarray(outcomes, dtype=bool)
    if outcomes.size == 0:
        raise ValueError("got no samples; expected at least one. Fix: select samples to evaluate on.")
    hits, n = int(outcomes.sum()), int(outcomes.size)
    low, high = _wilson(hits / n, outcomes.shape[-1])
    return Proportion(hits, n, hits / n, low, high)


def _wilson(p: float, n: int) -> tuple[float, float]:
    z = float(norm.ppf(0.975))
    middle = p + z**2 / (2 * n)
    reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return (middle - reach) / scale if p > 0 else 0.0, (middle + reach) / scale if p < 1 else 1.0


def seed_spread(outcomes: Any) -> float | None:
    r"""Half the 95 % interval of the mean accuracy over training seeds, :math:`t_{.975, S-1}\, s / \sqrt S`.

    :param outcomes: booleans ``[S, N]``.
    :return: ``None`` for a single network, of which nothing can be said.

    >>> round(seed_spread([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]), 3)
    0.621
    """
    shares = np.atleast_2d(np.asarray(outcomes, dtype=bool)).mean(1)
    if len(shares) < 2:
        return None
    return float(t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / math.sqrt(len(shares)))
