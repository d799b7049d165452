"""Closed forms, monotonicity and refusals of the certificates; Clopper-Pearson against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from art_snn.coding import Direct, EventFrames, Latency, Poisson
from art_snn.coding.randomized import FrameDrop, SpikeDropout, SpikeJitter, TimeWarp
from art_snn.coding.transform import Transformed
from art_snn.threats.certificates import (
    BernoulliL1,
    ChangedFrames,
    DropoutEdits,
    JitterDelay,
    JitterMoves,
    certificate_of,
)
from art_snn.threats.smoothing_bounds import bernoulli_bound, clopper_pearson, jitter_bound, laplace_holds

probability = st.floats(0.5001, 0.99999)


@given(probability, st.integers(1, 12), st.integers(1, 6))
def test_moves_are_the_closed_form(p, J, k):
    expected = math.ceil(math.log(1.5 - p) / math.log(1 - k / (2 * J + 1))) - 1 if k < 2 * J + 1 else 0
    assert abs(JitterMoves(J, k).radius(p) - expected) <= (1 if near_tie(p, 1 - k / (2 * J + 1)) else 0)


def near_tie(p: float, factor: float) -> bool:
    m = math.log(1.5 - p) / math.log(factor) if factor > 0 else 0.0
    return abs(m - round(m)) < 1e-9


def test_a_tie_is_not_certified():
    """(1 - 1/5)^1 = 0.8 = 3/2 - 0.7 exactly: floor would say 1."""
    assert JitterMoves(2, 1).radius(0.7) == 0
    assert JitterMoves(2, 1).radius(0.7 + 1e-9) == 1
    assert JitterDelay(2).radius(0.7) == 0
    assert DropoutEdits(0.2).radius(0.7) == 0
    assert ChangedFrames(1, 5).radius(0.7) == 0
    assert not BernoulliL1(1).holds(0.7, 0.2)


@given(probability, probability, st.integers(1, 40))
def test_radii_grow_with_p_and_shrink_with_T(p, q, T):
    low, high = sorted((p, q))
    kinds = [
        BernoulliL1(T), JitterMoves(3), JitterDelay(3), DropoutEdits(0.3),
        ChangedFrames(1, T), JitterMoves(1.3, 2, "laplace"), JitterDelay(1.3, "laplace"),
    ]  # fmt: skip
    for kind in kinds:
        assert kind.radius(low) <= kind.radius(high)
    assert BernoulliL1(T + 1).radius(p) < BernoulliL1(T).radius(p)
    assert BernoulliL1(T).holds(p, BernoulliL1(T).radius(p))
    assert (p - 0.5) / T - 1e-9 <= BernoulliL1(T).radius(p) <= p - 0.5


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5])
def test_nothing_is_certified_at_one_half(p):
    for kind in (
        BernoulliL1(4),
        JitterMoves(2),
        DropoutEdits(0.2),
        JitterDelay(1, "laplace"),
    ):
        assert kind.radius(p) == 0


@given(st.integers(1, 8), st.integers(0, 5), st.integers(0, 12), st.integers(0, 6))
def test_joint_budgets_are_the_worst_case_by_enumeration(J, k, D, m):
    def worst(left: int, delay: int, top: int) -> float:
        if left == 0 or delay == 0:
            return 1.0
        return min((1 - min(1, a / (2 * J + 1))) * worst(left - 1, delay - a, a) for a in range(min(top, delay) + 1))

    assert jitter_bound(J, k, D, m) == pytest.approx(1 - worst(m, D, k), abs=1e-9)


def test_numbers_of_the_specification():
    assert BernoulliL1(4).radius(1.0) == pytest.approx(0.159, abs=5e-4)
    assert BernoulliL1(8).radius(1.0) == pytest.approx(0.083, abs=5e-4)
    assert bernoulli_bound(1.0, 3) == 1.0
    limit = 2.0 * math.log(1 / (2 * 0.1))
    assert laplace_holds(2.0, math.floor(limit), 0.9)
    assert not laplace_holds(2.0, limit, 0.9)


@given(st.integers(1, 500), st.floats(1e-6, 0.4), st.data())
def test_clopper_pearson_is_the_beta_quantile_and_covers(n, alpha, data):
    k = data.draw(st.integers(0, n))
    low = clopper_pearson(k, n, alpha)
    exact = binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, method="exact").low
    assert low == pytest.approx(exact, abs=1e-9)
    assert k == 0 or binom.sf(k - 1, n, low) <= alpha * (1 + 1e-6) + 1e-12


def test_infinite_radii_are_honest():
    assert DropoutEdits(0.0).radius(0.9) == math.inf
    assert DropoutEdits(1.0).radius(0.9) == 0
    assert JitterMoves(0).radius(0.9) == 0
    assert JitterMoves(0.0, law="laplace").radius(0.9) == 0


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Poisson(4), BernoulliL1),
        (Transformed(Latency(4), SpikeJitter(1)), JitterMoves),
        (Transformed(EventFrames(4), SpikeDropout(0.5)), DropoutEdits),
        (Transformed(EventFrames(4), FrameDrop(2, 4)), ChangedFrames),
    ],
)
def test_the_certificate_follows_the_code(code, kind):
    assert isinstance(certificate_of(code), kind)


@pytest.mark.parametrize(
    ("code", "kwargs", "text"),
    [
        (Latency(4), {}, "deterministic.*Transformed\\(Latency"),
        (Direct(4), {}, "deterministic"),
        (Transformed(Poisson(4), SpikeJitter(1)), {}, "random itself"),
        (Transformed(Latency(4), TimeWarp(0.5)), {}, "whose bounds are known"),
        (Transformed(Latency(4), SpikeJitter(1)), {"unit": "l2"}, "unit='moves'"),
        (Transformed(Latency(4), SpikeJitter(1)), {"jitter": 0}, "jitter=1"),
    ],
)
def test_no_certificate_without_a_bound(code, kwargs, text):
    with pytest.raises(ValueError, match=text):
        certificate_of(code, **kwargs)


@pytest.mark.parametrize(
    "call", [lambda: SpikeJitter(-1), lambda: SpikeDropout(1.5), lambda: SpikeDropout(-0.1), lambda: FrameDrop(-1, 4)]
)
def test_parameters_out_of_range(call):
    with pytest.raises(ValueError, match="Fix: pass"):
        call()


@pytest.mark.parametrize(("k", "n", "alpha"), [(5, 4, 0.1), (0, 0, 0.1), (1, 2, 0.0), (1, 2, 1.0)])
def test_clopper_pearson_refuses(k, n, alpha):
    with pytest.raises(ValueError, match="Fix"):
        clopper_pearson(k, n, alpha)
