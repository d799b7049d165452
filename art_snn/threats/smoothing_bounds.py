r"""Bounds behind certificates: how far the law of a randomized spike code moves when its input is attacked.

Let :math:`Z(x)` be the randomized train and :math:`g(x) = \arg\max_c P(f(Z(x)) = c)`. If
:math:`\mathrm{TV}(Z(x), Z(x')) \le B` for every x' within a budget, then :math:`P(f(Z(x')) = A) \ge p_A - B`, and A
stays the winner there if

.. math:: B < p_A - \tfrac12 .

What happens to Z afterwards (clipping, merging, the network, the argmax) cannot raise the total variation. With
:math:`W = 2J + 1`:

=====================================  ==========================================================================
randomization, what changes            bound B
=====================================  ==========================================================================
Bernoulli code, T steps; pixels        :math:`1 - \prod_i (1 - |\delta_i|)^T \le 1 - (1 - \|\delta\|_1)^T`
uniform jitter; spikes by k_i steps    :math:`1 - \prod_i (1 - \min(1, k_i / W))`
spike dropout, q kept; r added or
removed, m moved                       :math:`1 - (1 - q)^{r + m}`
frame dropout, k of T kept; r frames   :math:`1 - \binom{T-r}{k} / \binom{T}{k}`
=====================================  ==========================================================================

Discrete Laplace jitter of scale b bounds the likelihood ratio instead: spikes may move by a total of D steps if
:math:`e^{D/b} (1 - p_A) < \frac12`.

A bound without T for the Bernoulli code, :math:`\|\delta\|_1 < p_A - \frac12`, is unsound for T > 1.

Source: bounds by coupling, derived in the documentation; the scheme is that of Cohen et al., ICML 2019, ablation that
of Levine and Feizi, AAAI 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import betaincinv

from art_snn.errors import explain

GUARD = 1e-12
"""What a bound has to spare, so that no rounding of float64 certifies a tie."""


_ENDLESS = 2**40


def clopper_pearson(successes: int, draws: int, alpha: float) -> float:
    """Lower confidence bound of a probability: below it with probability at most ``alpha``.

    :param successes: number of draws with the outcome, 0 to ``draws``.
    :param draws: number of independent draws, at least 1.
    :param alpha: probability of error, in (0, 1).
    :raises ValueError: if a number is out of range.

    >>> round(clopper_pearson(100, 100, 0.001), 4), clopper_pearson(0, 100, 0.001)
    (0.9333, 0.0)
    """
    if not 0 < alpha < 1:
        raise ValueError(explain(f"alpha={alpha!r}", "a probability of error in (0, 1)", "pass alpha=0.001"))
    if not 0 <= successes <= draws or draws < 1:
        came = f"{successes} successes in {draws} draws"
        raise ValueError(explain(came, "0 <= successes <= draws, draws >= 1", "draw more samples"))
    return float(betaincinv(successes, draws - successes + 1, alpha)) if successes else 0.0


def certifies(bound: float, p: float) -> bool:
    """Whether a total variation of at most ``bound`` cannot change a winner of probability at least ``p``.

    >>> certifies(0.2, 0.7), certifies(0.19, 0.7)
    (False, True)
    """
    return bound < p - 0.5 - GUARD


def bernoulli_bound(l1: float, T: int) -> float:
    """Total variation of two Bernoulli codes of T steps whose intensities are ``l1`` apart in the sum.

    >>> round(bernoulli_bound(0.1, 3), 3)
    0.271
    """
    return 1.0 if l1 >= 1 else -math.expm1(T * math.log1p(-l1))


def bernoulli_radius(p: float, T: int) -> float:
    r"""L1 radius on intensities, :math:`1 - (\frac32 - p)^{1/T}`; 0 where ``p`` certifies nothing.

    >>> round(bernoulli_radius(1.0, 4), 3), round(bernoulli_radius(1.0, 8), 3)
    (0.159, 0.083)
    """
    spared = p - 2 * GUARD
    return -math.expm1(math.log1p(0.5 - spared) / T) if spared > 0.5 else 0.0


def jitter_bound(J: int, jitter: float = math.inf, delay: float = math.inf, moves: float = math.inf) -> float:
    r"""Total variation under uniform jitter, when spikes move by at most ``jitter`` steps each, ``delay`` together,
    and at most ``moves`` of them.

    The logarithm of each factor :math:`1 - k_i/W` is concave in :math:`k_i`, so the worst case moves as few spikes as
    possible by as much as each may: :math:`a = \lfloor D/k \rfloor` by k, and one by what is left.

    >>> round(jitter_bound(2, jitter=1, moves=2), 3), round(jitter_bound(2, jitter=1, delay=2), 3)
    (0.36, 0.36)
    """
    width = 2 * J + 1
    each = min(jitter, delay, width)
    if each <= 0 or moves <= 0:
        return 0.0
    full = min(delay // each, moves) if math.isfinite(delay) else moves
    rest = delay - full * each if math.isfinite(delay) and full < moves else 0
    if each >= width:
        return 1.0
    logs = full * math.log1p(-each / width) + (math.log1p(-rest / width) if rest else 0.0)
    return -math.expm1(logs)


def dropout_bound(keep: float, edits: float) -> float:
    """Total variation under spike dropout, when ``edits`` spikes are added, removed or moved.

    >>> round(dropout_bound(0.1, 2), 3)
    0.19
    """
    if edits <= 0 or keep == 0:
        return 0.0
    return 1.0 if keep == 1 else -math.expm1(edits * math.log1p(-keep))


def frame_bound(T: int, keep_frames: int, frames: int) -> float:
    """Total variation under frame dropout, when ``frames`` of the T frames change.

    >>> frame_bound(4, 1, 1)
    0.25
    """
    frames = min(frames, T)
    untouched = math.comb(T - frames, keep_frames)
    whole = math.comb(T, keep_frames)
    return (whole - untouched) / whole


def laplace_holds(scale: float, delay: float, p: float) -> bool:
    r"""Whether discrete Laplace jitter of this scale certifies a total displacement: :math:`D < b \ln\frac1{2(1-p)}`.

    >>> laplace_holds(2.0, 3, 0.9), laplace_holds(2.0, 4, 0.9)
    (True, False)
    """
    if p <= 0.5:
        return False
    if delay <= 0 or p >= 1:
        return delay <= 0 or scale > 0
    return delay < -scale * (math.log(2) + math.log1p(-p)) - GUARD


def largest(holds: Callable[[int], bool]) -> float:
    """The largest whole number that holds, for a property that is lost once and for all; -1 if 0 does not, or inf.

    >>> largest(lambda n: n * n < 50), largest(lambda n: True), largest(lambda n: False)
    (7, inf, -1)
    """
    if not holds(0):
        return -1
    high = 1
    while holds(high):
        high *= 2
        if high > _ENDLESS:
            return math.inf
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
