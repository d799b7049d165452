"""Every code at all 256 grey levels, as float32 pixels, against rational arithmetic."""

from decimal import Decimal, getcontext
from fractions import Fraction
from math import ceil, floor

import pytest
import torch

from art_snn.coding import (
    Burst,
    EarlyBurst,
    LateBurst,
    Latency,
    Population,
    Quantized,
    RateSyn,
    SpikeCamera,
    WeightedPhase,
    spike_bin,
)  # fmt: skip

STEPS = (1, 4, 5, 8, 10, 16, 20, 25, 32, 100)
LEVELS = [Fraction(k, 255) for k in range(256)]
PIXELS = (torch.arange(256) / 255).float()


def half_even(value: Fraction) -> int:
    return round(value)


def first_spike(s: torch.Tensor) -> list[int]:
    T = s.shape[0]
    return torch.where(s.any(0), s.argmax(0), T).tolist()


@pytest.mark.parametrize("T", STEPS)
def test_floor_and_linear_bins_are_exact(T):
    assert spike_bin(PIXELS, T).tolist() == [floor((1 - x) * T) for x in LEVELS]
    assert spike_bin(PIXELS, T, "linear").tolist() == [half_even((T - 1) * (1 - x)) for x in LEVELS]


@pytest.mark.parametrize("T", STEPS)
def test_log_bins_are_exact(T):
    getcontext().prec = 80
    alpha = Decimal(T - 1).exp() - 1
    expected = [
        int((T - 1 - (alpha * Decimal(k) / 255 + 1).ln()).to_integral_value(rounding="ROUND_HALF_EVEN"))
        for k in range(256)
    ]
    assert spike_bin(PIXELS, T, "log").tolist() == expected


def test_a_plain_float32_floor_is_not_exact():
    """The hazard is real: without the guard two levels at T = 10 land in another bin."""
    naive = torch.floor((1 - PIXELS) * 10).long().tolist()
    wrong = [k for k, x in enumerate(LEVELS) if naive[k] != floor((1 - x) * 10)]
    assert wrong == [153, 204]


@pytest.mark.parametrize("T", STEPS)
def test_window_codes_have_the_stated_spikes(T):
    tau = [floor((1 - x) * T) for x in LEVELS]
    count = [ceil(x * T) for x in LEVELS]
    rate, early, late = (code(T)(PIXELS) for code in (RateSyn, EarlyBurst, LateBurst))
    assert rate.sum(0).long().tolist() == count
    assert early.sum(0).long().tolist() == count
    assert late.sum(0).long().tolist() == [max(0, T - 1 - t) for t in tau]
    assert first_spike(rate) == tau == first_spike(Latency(T)(PIXELS))
    assert first_spike(early) == [0 if x > 0 else T for x in LEVELS]
    assert torch.equal(late[1:], rate[:-1])
    assert not late[0].any()
    for k, x in enumerate(LEVELS):
        assert early[:, k].tolist() == [float(Fraction(t, T) < x) for t in range(T)]


@pytest.mark.parametrize("T", [8, 10, 16])
def test_phase_digits_are_those_of_the_rational_number(T):
    s = WeightedPhase(T, clip=True)(PIXELS)
    expected = [min(floor(x * 2**T), 2**T - 1) for x in LEVELS]
    assert (s.double().T @ torch.tensor([2.0 ** (T - 1 - t) for t in range(T)]).double()).long().tolist() == expected


@pytest.mark.parametrize("T", [25, 32, 100])
def test_phase_digits_of_long_trains_are_those_of_the_float(T):
    s = WeightedPhase(T, clip=True)(PIXELS)
    for k in range(255):
        exact = Fraction(PIXELS[k].item())
        assert floor(exact * 2**T) == sum(int(bit) << (T - 1 - t) for t, bit in enumerate(s[:, k].tolist()))


def test_phase_of_known_values():
    words = {192: "11000000", 1: "00000001", 128: "10000000", 255: "11111111"}
    for value, word in words.items():
        s = WeightedPhase(8)(torch.tensor([value / 256]))
        assert "".join(str(int(bit)) for bit in s[:, 0]) == word


@pytest.mark.parametrize("T", [8, 10, 16, 20, 25, 32, 100])
def test_bursts_have_the_stated_count_and_interval(T):
    code = Burst(T, max_spikes=4)
    s = code(PIXELS)
    for k, x in enumerate(LEVELS):
        count = ceil(4 * x)
        interval = ceil((code.longest - 1) * (1 - x) + 1)
        assert s[:, k].nonzero().flatten().tolist() == [j * interval for j in range(count)]


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("gain", [0.5, 1.0])
def test_the_spike_camera_counts_exactly(T, gain):
    s = SpikeCamera(T, gain=gain)(PIXELS)
    counts = s.cumsum(0).long()
    for t in range(T):
        assert counts[t].tolist() == [floor(Fraction(gain) * x * (t + 1)) for x in LEVELS]


@pytest.mark.parametrize("T", STEPS)
def test_quantized_levels(T):
    assert (Quantized(T)(PIXELS)[0].double() * T).round().long().tolist() == [half_even(x * T) for x in LEVELS]


def test_published_conventions():
    s4nn = spike_bin(PIXELS, 256, "s4nn").tolist()
    assert s4nn == [floor(Fraction((255 - k) * 256, 255)) for k in range(256)]
    assert torch.allclose(Latency(256, "s4nn").decode(Latency(256, "s4nn")(PIXELS)), PIXELS)
    antlr = [floor(24 * (1 - x)) for x in LEVELS]
    assert spike_bin(PIXELS, 300, "antlr").tolist() == [300, *antlr[1:]]
    fires = Latency(300, "antlr", zero="fires")
    assert first_spike(fires(PIXELS)) == antlr


@pytest.mark.parametrize("T", STEPS)
def test_edl_scales_each_image_and_fires_the_dark_first(T):
    images = torch.stack([PIXELS, 0.2 + 0.5 * PIXELS])
    expected = [min(floor(x * T), T - 1) for x in LEVELS]
    s = Latency(T, "edl")(images)
    assert first_spike(s[:, 0]) == expected
    assert first_spike(Latency(T, "edl")(torch.full((1, 4), 0.3))[:, 0]) == [0] * 4
    if T <= 10:
        assert first_spike(s[:, 1]) == expected


@pytest.mark.parametrize("T", STEPS)
def test_polarity_mirrors_the_code(T):
    for convention in ("floor", "linear"):
        dark = Latency(T, convention, polarity="dark_first")(PIXELS)
        assert first_spike(dark) == [floor(x * T) if convention == "floor" else half_even((T - 1) * x) for x in LEVELS]


@pytest.mark.parametrize("T", STEPS)
def test_the_zero_rule_changes_black_pixels_only(T):
    for convention in ("floor", "linear", "log"):
        silent = Latency(T, convention, zero="silent")(PIXELS)
        fires = Latency(T, convention, zero="fires")(PIXELS)
        assert not silent[:, 0].any()
        assert first_spike(fires)[0] == T - 1
        assert torch.equal(silent[:, 1:], fires[:, 1:])


def test_pixels_below_the_floor_are_dropped():
    s = Latency(8, "linear", drop_below=0.25)(PIXELS)
    assert torch.equal(s.sum(0), (PIXELS >= 0.25).float())


@pytest.mark.parametrize("T", STEPS)
def test_population_latency_bins(T):
    code = Population(T, m=5)
    centres, std = [Fraction(2 * j - 3, 6) for j in range(1, 6)], 1 / 4.5
    s = code(PIXELS[:, None])
    for k in (0, 51, 128, 204, 255):
        for j, centre in enumerate(centres):
            r = torch.exp(torch.tensor(-(float(LEVELS[k] - centre) ** 2) / (2 * std**2), dtype=torch.double)).item()
            assert first_spike(s[:, k])[j] == min(round(T * (1 - r)), T)
