r"""The hierarchical bootstrap of a mean over training seeds, samples and evaluation draws.

One replicate, in plain words: draw S training seeds with replacement, draw N samples with replacement, and for each
drawn pair draw D evaluation draws with replacement; average. Seeds and samples are crossed, draws are nested in both:

.. math:: \bar v^* = \frac1{SN} \sum_{sn} w_s m_n \hat v_{sn}, \qquad
    w \sim \mathrm{Mult}(S), \quad m \sim \mathrm{Mult}(N), \quad
    w_s m_n D \hat v_{sn} \sim \mathrm{Bin}(w_s m_n D, v_{sn})

(deterministic models: :math:`\hat v = v`). Samples whose values agree in every network are exchangeable, so only the
number of drawn samples per *pattern* of values matters, :math:`\mathrm{Mult}(N; c_g / N)` for patterns of :math:`c_g`
samples. Outcomes of S networks have few patterns (at most :math:`3^S` for a difference), which makes ten thousand
replicates on ten thousand samples a matter of milliseconds, of exactly the same distribution. Draws of equal
:math:`v_{sn}` are one binomial for the same reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
REPLICATES = 10_000
_CELLS = 2_000_000
"""Numbers drawn at once."""


@dataclass(frozen=True)
class Term:
    """One model's part in a mean.

    :param values: means over draws ``[S, N]``; in [0, 1] where there are draws.
    :param draws: evaluation draws behind each value; 1: a deterministic model, whose values are exact.
    :param sign: 1, or -1 for what is subtracted.
    """

    values: Array
    draws: int = 1
    sign: int = 1


def bootstrap_means(terms: Sequence[Term], seed: int = 0, replicates: int = REPLICATES) -> Array:
    """Replicates of the mean of the signed sum of terms, over the same seeds and samples.

    :param terms: at least one, of equal shapes ``[S, N]``.
    :param seed: seed of the resampling.
    :param replicates: how many.
    :return: ``[replicates]``.

    >>> bootstrap_means([Term(np.ones((1, 4)))], replicates=3).tolist()
    [1.0, 1.0, 1.0]
    """
    generator = np.random.default_rng(seed)
    seeds, samples = terms[0].values.shape
    exact = [term.sign * term.values for term in terms if term.draws == 1]
    random = [term for term in terms if term.draws > 1]
    stacked = np.concatenate([*([np.sum(exact, axis=0)] if exact else []), *(term.values for term in random)])
    patterns, counts = np.unique(stacked, axis=1, return_counts=True)
    size = max(1, _CELLS // patterns.shape[1])
    found = []
    for start in range(0, replicates, size):
        drawn = min(size, replicates - start)
        w = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=drawn)
        m = generator.multinomial(samples, counts / samples, size=drawn).astype(float)
        total = (w * (m @ patterns[:seeds].T)).sum(1) if exact else np.zeros(drawn)
        for i, term in enumerate(random):
            values = patterns[(i + bool(exact)) * seeds :][:seeds]
            total += term.sign * _drawn(w, m, values, term.draws, generator)
        found.append(total / (seeds * samples))
    return np.concatenate(found)


def _drawn(w: Array, m: Array, values: Array, draws: int, generator: np.random.Generator) -> Array:
    """Sums over drawn seeds and samples of means of fresh draws, ``[R]``; equal values are drawn together."""
    total = np.zeros(len(m))
    for times, row in zip(w.T, values, strict=True):
        levels, which = np.unique(row, return_inverse=True)
        drawn = (m @ np.eye(len(levels))[which]).astype(np.int64)
        total += generator.binomial(times[:, None] * drawn * draws, levels).sum(1) / draws
    return total
