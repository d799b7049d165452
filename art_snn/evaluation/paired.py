r"""Paired comparison of two models: the same samples, the same attacks, several training seeds.

With :math:`D_{sn} = a_{sn} - b_{sn} \in \{-1, 0, 1\}` for training seed :math:`s` and sample :math:`n`, the difference
in accuracy is :math:`\bar D`. Seeds and samples are different sources of error, and both are resampled:

.. math:: \bar D^*_r = \sum_{sn} w^r_s D_{sn} v^r_n, \qquad
    w^r \sim \mathrm{Mult}(S)/S, \quad v^r \sim \mathrm{Mult}(N)/N.

Percentiles of a bootstrap over a handful of seeds are too narrow: they divide by S instead of S - 1 and know no Student
tails. The interval is therefore the wider, on each side, of the percentile interval and of

.. math:: \bar D \pm t_{S-1, .975} \sqrt{s_{seeds}^2 / S + s_{samples}^2 / N},

whose two terms are the variances of the means over samples and over seeds. It covers what it says where the seeds
dominate, and more where they hardly matter. With one seed only samples are resampled (and :math:`t_{N-1}` is used): the
interval then speaks of these two trained networks, not of how they were trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest, t

from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]
LEVEL = 0.95
REPLICATES = 10_000
_CHUNK = 500


@dataclass(frozen=True)
class Difference:
    """Accuracy of one model minus that of another.

    :param value: the difference, in [-1, 1].
    :param low: lower end of its 95 % interval.
    :param high: upper end.
    :param p: exact McNemar p-values, one per seed.
    :param seeds: training seeds behind it.
    :param samples: samples per seed.
    """

    value: float
    low: float
    high: float
    p: tuple[float, ...]
    seeds: int
    samples: int

    @property
    def shown(self) -> bool:
        """Whether the interval excludes no difference."""
        return self.low > 0 or self.high < 0

    def reversed(self) -> Difference:
        """The same, seen from the other model."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}] points"

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "p": list(self.p)}


def difference(a: Any, b: Any, *, seed: int = 0, replicates: int = REPLICATES, level: float = LEVEL) -> Difference:
    """Difference in accuracy with its interval by the hierarchical paired bootstrap of the module's text.

    :param a: outcomes of one model, booleans ``[N]`` or ``[S, N]``.
    :param b: outcomes of the other on the same samples, in the same order.
    :param seed: seed of the resampling.
    :param replicates: resamplings.
    :param level: coverage of the interval, between 0 and 1.
    :raises ValueError: if the shapes differ or there are no samples.

    >>> same = [True, False, True, True]
    >>> difference(same, same).value, difference(same, same).p
    (0.0, (1.0,))
    """
    first, second = _outcomes(a, b)
    delta = first.astype(np.int64) - second.astype(np.int64)
    mean = float(delta.mean())
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(_replicates(delta, np.random.default_rng(seed), replicates), tails)
    student = _student(delta, tails[1])
    low, high = max(min(low, mean - student), -1.0), min(max(high, mean + student), 1.0)
    p = tuple(mcnemar(one, other) for one, other in zip(first, second, strict=True))
    return Difference(mean, float(low), float(high), p, *delta.shape)


def mcnemar(a: Any, b: Any) -> float:
    r"""Exact McNemar test on paired outcomes: :math:`\min(1, 2 P(\mathrm{Bin}(n_{10} + n_{01}, 1/2) \le \min))`.

    :param a: booleans ``[N]``.
    :param b: booleans ``[N]``, of the same samples.
    :return: the two-sided p-value; 1 where the models never disagree.
    :raises ValueError: if the shapes differ.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    0.0625
    """
    (first,), (second,) = _outcomes(a, b)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagree = only_first + only_second
    return float(binomtest(min(only_first, only_second), disagree, 0.5).pvalue) if disagree else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: p-values that may be compared with the level of the whole family.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _outcomes(a: Any, b: Any) -> tuple[Array, Array]:
    first, second = (np.atleast_2d(np.asarray(one, dtype=bool)) for one in (a, b))
    if first.shape != second.shape or first.ndim != 2 or first.size == 0:
        came = f"outcomes of shapes {first.shape} and {second.shape}"
        raise ValueError(explain(came, "two of one shape, [N] or [S, N]", "evaluate both models on the same samples"))
    return first, second


def _replicates(delta: Array, generator: np.random.Generator, replicates: int) -> Array:
    seeds, samples = delta.shape
    drawn = []
    for start in range(0, replicates, _CHUNK):
        size = min(_CHUNK, replicates - start)
        w = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds
        v = generator.multinomial(samples, np.full(samples, 1 / samples), size=size) / samples
        drawn.append(((w @ delta) * v).sum(1))
    return np.concatenate(drawn)


def _student(delta: Array, tail: float) -> float:
    """Half the length of Student's interval."""
    seeds, samples = delta.shape
    variance = float(delta.mean(0).var(ddof=1)) / samples if samples > 1 else 0.0
    if seeds > 1:
        variance += float(delta.mean(1).var(ddof=1)) / seeds
    return float(t.ppf(tail, seeds - 1 if seeds > 1 else max(samples - 1, 1)) * np.sqrt(variance))
