"""Event filters on grids against their definitions, event by event."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.defenses.preprocessor import (
    BackgroundActivityFilter,
    QuantizedCorrelationFilter,
    RefractoryFilter,
    TemporalSmoothing,
)
from art_snn.defenses.preprocessor.filters import neighbor_support, refractory_keep


def grid(seed=0, share=0.15, shape=(8, 2, 2, 5, 6)):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share).float()


def naive_background(s, window, radius, early):
    kept = torch.zeros_like(s)
    events = [tuple(e) for e in s.nonzero().tolist()]
    for t, n, c, y, x in events:
        company = any(
            m == n and 0 <= t - u < window and (b, a) != (y, x) and abs(b - y) <= radius and abs(a - x) <= radius
            for u, m, _, b, a in events
        )
        kept[t, n, c, y, x] = float(company or (early == "keep" and t < window))
    return kept


def naive_refractory(s, period, update):
    kept, last = torch.zeros_like(s), {}
    for t in range(len(s)):
        now = {(n, y, x) for n, _, y, x in s[t].nonzero().tolist()}
        for n, c, y, x in s[t].nonzero().tolist():
            kept[t, n, c, y, x] = float(t - last.get((n, y, x), -math.inf) > period)
        for pixel in now:
            free = t - last.get(pixel, -math.inf) > period
            if update == "all" or free:
                last[pixel] = t
    return kept


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.sampled_from([1, 2, 5, math.inf]), st.integers(1, 3), st.sampled_from(["drop", "keep"]))
def test_background_activity_is_what_it_says(seed, window, radius, early):
    s = grid(seed, shape=(6, 1, 2, 4, 5))
    kept = BackgroundActivityFilter(window, radius, early)(s)
    assert torch.equal(kept, naive_background(s, window, radius, early))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.sampled_from([0, 1, 2.5, 4]), st.sampled_from(["all", "kept"]))
def test_the_refractory_period_is_what_it_says(seed, period, update):
    s = grid(seed, 0.4, (7, 2, 2, 2, 3))
    assert torch.equal(RefractoryFilter(period, update)(s), naive_refractory(s, period, update))


@pytest.mark.parametrize(
    "same",
    [
        RefractoryFilter(0),
        TemporalSmoothing(0.0),
        BackgroundActivityFilter(math.inf, early="keep"),
    ],
    ids=repr,
)
def test_at_one_setting_it_is_the_identity(same):
    s = grid(1)
    assert torch.equal(same(s), s)


def test_an_isolated_event_goes_and_the_later_of_two_neighbors_stays():
    s = torch.zeros(4, 1, 1, 3, 6)
    s[0, 0, 0, 1, 1] = s[1, 0, 0, 1, 2] = s[2, 0, 0, 1, 5] = 1
    kept = BackgroundActivityFilter(window=3, radius=1)(s)
    assert kept.nonzero().tolist() == [[1, 0, 0, 1, 2]]


def test_a_second_pass_keeps_no_more():
    keep = BackgroundActivityFilter(window=2, radius=1)
    once = keep(grid(2, 0.05))
    twice = keep(once)
    assert (twice <= once).all()
    assert twice.sum() < once.sum()


@pytest.mark.parametrize("update", ["all", "kept"])
def test_the_refractory_filter_is_idempotent(update):
    keep = RefractoryFilter(2, update)
    once = keep(grid(3, 0.4))
    assert torch.equal(keep(once), once)


def test_counts_keep_their_value():
    s = grid(4, 0.3) * 3
    kept = BackgroundActivityFilter(window=3)(s)
    assert set(kept.unique().tolist()) == {0.0, 3.0}


def test_samples_do_not_notice_each_other():
    s = grid(5)
    for keep in (BackgroundActivityFilter(2), RefractoryFilter(1), QuantizedCorrelationFilter(2)):
        assert torch.equal(torch.cat([keep(s[:, :1]), keep(s[:, 1:])], 1), keep(s))


def test_the_quantized_filter_at_block_one_is_background_activity():
    s = grid(6)
    assert torch.equal(QuantizedCorrelationFilter(1, 2, 2)(s), BackgroundActivityFilter(3, 2)(s))


def test_a_pixel_that_always_fires_is_not_believed():
    s = torch.zeros(8, 1, 1, 3, 3)
    s[:, 0, 0, 1, 1] = 1
    s[::2, 0, 0, 1, 0] = 1
    believing, wary = (QuantizedCorrelationFilter(2, 3, 1, limit)(s) for limit in (math.inf, 2))
    assert believing[:, 0, 0, 1, 1].sum() == 8
    assert wary[:, 0, 0, 1, 1].sum() == 4
    assert wary[:4].equal(believing[:4])


@pytest.mark.parametrize(
    ("backward", "expected"), [("keep", "mask"), ("identity", "ones"), ("none", "zeros"), ("smooth", "smooth")]
)
def test_the_gradient_is_the_one_that_was_named(backward, expected):
    s = grid(7, 0.25)
    keep = BackgroundActivityFilter(window=2, radius=1, sharpness=3.0, backward=backward)
    point = s.clone().requires_grad_(True)
    out = keep(point)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    (slope,) = torch.autograd.grad((out * weight).sum(), point)
    assert torch.equal(out.detach(), keep(s))
    again = s.clone().requires_grad_(True)
    support = neighbor_support(again, 2, 1)
    soft = (again * torch.sigmoid(3.0 * (support - 0.5)) * weight).sum()
    wanted = {
        "mask": lambda: weight * (support > 0.5),
        "ones": lambda: weight,
        "zeros": lambda: torch.zeros_like(weight),
        "smooth": lambda: torch.autograd.grad(soft, again)[0],
    }[expected]()
    torch.testing.assert_close(slope, wanted)
    assert keep.obfuscates == (backward == "none")


def test_smoothing_is_linear_with_its_exact_gradient():
    smooth = TemporalSmoothing(0.6)
    s = grid(8).double().requires_grad_(True)
    assert torch.autograd.gradcheck(smooth, (s[:3, :1, :1, :2, :2].detach().requires_grad_(True),))
    torch.testing.assert_close(smooth(s).sum(0), (s * (1 - 0.6 ** torch.arange(8, 0, -1).view(-1, 1, 1, 1, 1))).sum(0))


def test_the_filters_take_a_single_step_and_silence():
    for keep in (BackgroundActivityFilter(2), RefractoryFilter(1), QuantizedCorrelationFilter(2), TemporalSmoothing()):
        assert keep(torch.zeros(1, 2, 2, 3, 3)).sum() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackgroundActivityFilter(window=-1), "positive window"),
        (lambda: BackgroundActivityFilter(radius=0), "radius of at least 1"),
        (lambda: RefractoryFilter(-1), "period of 0 or more"),
        (lambda: RefractoryFilter(1, "sometimes"), "'all' or 'kept'"),
        (lambda: TemporalSmoothing(1.0), r"\[0, 1\)"),
        (lambda: QuantizedCorrelationFilter(0), "block >= 1"),
        (lambda: BackgroundActivityFilter(backward="through"), "one of 'smooth'"),
        (lambda: BackgroundActivityFilter()(torch.zeros(2, 1, 4)), "filter event grids"),
        (lambda: RefractoryFilter()(-torch.ones(2, 1, 1, 2, 2)), "0, 1 or counts"),
    ],
)
def test_wrong_use_names_the_fix(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_refractory_keep_is_the_same_for_arrays_of_any_type():
    s = grid(9, 0.5)
    assert np.array_equal(refractory_keep(s, 1).numpy(), refractory_keep(s.double(), 1).float().numpy())
