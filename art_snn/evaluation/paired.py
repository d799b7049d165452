r"""Paired comparison of two models: the same samples, the same attacks, several training seeds.

With :math:`D_{sn} = a_{sn} - b_{sn} \in [-1, 1]` for training seed :math:`s` and sample :math:`n`, the difference in
accuracy is :math:`\bar D`. Seeds and samples are different sources of error; both count. With the variances of the
means over seeds, over samples, and of what neither explains,

.. math:: A = s_{seeds}^2 / S, \qquad B = s_{samples}^2 / N, \qquad E = s_{rest}^2 / (S N),

the interval is (its two parts add in quadrature, each with Student's quantile of its own number; E is in A already)

.. math:: \bar D \pm \sqrt{t_{S-1}^2\, A + t_{N-1}^2 \max(B - E, 0)}, \qquad \bar D \pm t_{N-1} \sqrt{B}
    \quad (S = 1).

:math:`s_{samples}^2` is taken with two more samples, one on each side (Bonett and Price): models that agree on every
sample are not known to agree on all others. With one seed the interval speaks of these two trained networks, not of how
they were trained. ``docs/statistics.md`` has its simulated coverage.

The percentile interval of the hierarchical bootstrap (:mod:`art_snn.evaluation.bootstrap`) stands beside it. It knows
no Student tails and divides by S instead of S - 1, so with a handful of seeds it is too narrow; but it assumes nothing
about shapes. A difference is *shown* only where both exclude zero.

Sources: Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
data", J. Educ. Behav. Stat. 2012; McNemar 1947; Holm 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, t

from art_snn.errors import explain
from art_snn.evaluation.bootstrap import REPLICATES, Term, bootstrap_means

Array = np.ndarray[Any, np.dtype[Any]]
LEVEL = 0.95
_SMALLEST = 1e-12
"""Below it a p-value is not told apart from zero."""


@dataclass(frozen=True)
class Difference:
    """Accuracy of one model minus that of another.

    :param value: the difference, in [-1, 1].
    :param low: lower end of its 95 % interval.
    :param high: upper end.
    :param p: exact McNemar p-values, one per seed (and evaluation draw).
    :param seeds: training seeds behind it.
    :param samples: samples per seed.
    :param resampled: ends of the bootstrap's percentile interval.
    :param interval_p: the level at which the interval would touch zero.
    """

    value: float
    low: float
    high: float
    p: tuple[float, ...]
    seeds: int
    samples: int
    resampled: tuple[float, float] = (-1.0, 1.0)
    interval_p: float = 1.0

    @property
    def shown(self) -> bool:
        """Whether interval and bootstrap exclude no difference."""
        low, high = self.resampled
        return min(self.low, low) > 0 or max(self.high, high) < 0

    def reversed(self) -> Difference:
        """The same, seen from the other model."""
        low, high = self.resampled
        return replace(self, value=-self.value, low=-self.high, high=-self.low, resampled=(-high, -low))

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}] points"

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "p": list(self.p), "resampled": list(self.resampled)}


def difference(a: Any, b: Any, *, seed: int = 0, replicates: int = REPLICATES, level: float = LEVEL) -> Difference:
    """Difference in accuracy with the intervals of the module's text.

    :param a: outcomes of one model, booleans ``[N]``, ``[S, N]``, or ``[S, N, D]`` over D evaluation draws of a random
        model, whose expected accuracy is then compared.
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
    terms = [Term(first.mean(2), first.shape[2]), Term(second.mean(2), second.shape[2], -1)]
    found = contrast(terms, seed=seed, replicates=replicates, level=level)
    wide = max(first.shape[2], second.shape[2])
    both = [np.repeat(one, wide, axis=2) if one.shape[2] < wide else one for one in (first, second)]
    p = tuple(mcnemar(both[0][s, :, d], both[1][s, :, d]) for s in range(len(first)) for d in range(wide))
    return replace(found, p=p)


def contrast(
    terms: Sequence[Term], *, bounds: tuple[float, float] = (-1.0, 1.0), seed: int = 0, replicates: int = REPLICATES,
    level: float = LEVEL,
) -> Difference:  # fmt: skip
    """Mean of a signed sum of terms with the intervals of the module's text, without tests.

    :param bounds: what the sum can be; (0, 1) for one model alone.
    """
    delta = np.sum([term.sign * term.values for term in terms], axis=0)
    mean = float(delta.mean())
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(bootstrap_means(terms, seed, replicates), tails)
    parts = variances(delta, bounds)
    reach = half_length(parts, delta.shape, tails[1])
    p = _touches(parts, delta.shape, abs(mean))
    first, last = max(mean - reach, bounds[0]), min(mean + reach, bounds[1])
    return Difference(mean, first, last, (), len(delta), delta.shape[1], (float(low), float(high)), p)


def variances(delta: Array, bounds: tuple[float, float] = (-1.0, 1.0)) -> tuple[float, float, float]:
    """Variances of the mean that come from seeds, from samples (smoothed), and from neither.

    :param delta: ``[S, N]``.
    :param bounds: values of the two samples that smooth.

    >>> seeds, samples, rest = variances(np.zeros((1, 98)))
    >>> seeds, round(samples, 6), rest
    (0.0, 0.000202, 0.0)
    """
    seeds, samples = delta.shape
    columns, rows = delta.mean(0), delta.mean(1)
    n = samples + 2
    spread = float(np.var([*columns, *bounds], ddof=1))
    if seeds == 1:
        return 0.0, spread / n, 0.0
    rest = delta - columns - rows[:, None] + delta.mean()
    freedom = (seeds - 1) * max(samples - 1, 1)
    return float(rows.var(ddof=1)) / seeds, spread / n, float((rest**2).sum()) / freedom / (seeds * samples)


def half_length(parts: tuple[float, float, float], shape: Sequence[int], tail: float) -> float:
    """Half the interval whose upper tail begins at ``tail``, from the parts of :func:`variances`."""
    (of_seeds, of_samples, rest), (seeds, samples) = parts, shape
    square = float(t.ppf(tail, max(samples - 1, 1))) ** 2 * max(of_samples - rest, 0.0)
    if seeds > 1:
        square += float(t.ppf(tail, seeds - 1)) ** 2 * of_seeds
    return float(np.sqrt(square))


def _touches(parts: tuple[float, float, float], shape: Sequence[int], size: float) -> float:
    """The two-sided level at which the interval around ``size`` begins at zero."""
    if size <= half_length(parts, shape, 0.5 + _SMALLEST):
        return 1.0
    if size >= half_length(parts, shape, 1 - _SMALLEST / 2):
        return _SMALLEST
    return float(brentq(lambda p: half_length(parts, shape, 1 - p / 2) - size, _SMALLEST, 1 - _SMALLEST))


def mcnemar(a: Any, b: Any) -> float:
    r"""Exact McNemar test on paired outcomes: :math:`\min(1, 2 P(\mathrm{Bin}(n_{10} + n_{01}, 1/2) \le \min))`.

    :param a: booleans ``[N]``.
    :param b: booleans ``[N]``, of the same samples.
    :return: the two-sided p-value; 1 where the models never disagree.
    :raises ValueError: if the shapes differ.

    >>> mcnemar([1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    0.0625
    """
    (first,), (second,) = (one[..., 0] for one in _outcomes(a, b))
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
    """Both as ``[S, N, D]``; the draws of one may be more than those of the other only where that has one."""
    first, second = (_draws_last(np.asarray(one, dtype=bool)) for one in (a, b))
    draws = {first.shape[2:], second.shape[2:]} - {(1,)}
    if first.ndim != 3 or first.shape[:2] != second.shape[:2] or first.size * second.size == 0 or len(draws) > 1:
        came = f"outcomes of shapes {np.shape(a)} and {np.shape(b)}"
        raise ValueError(explain(came, "two of one shape, [N] or [S, N]", "evaluate both models on the same samples"))
    return first, second


def _draws_last(outcomes: Array) -> Array:
    return outcomes if outcomes.ndim > 2 else np.atleast_2d(outcomes)[..., None]
