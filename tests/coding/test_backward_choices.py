"""Every backward choice against its formula, in float64."""

import pytest
import torch

from art_snn.coding import (
    Burst,
    EarlyBurst,
    LateBurst,
    Latency,
    Poisson,
    RankOrder,
    RateSyn,
    SignedPoisson,
    SpikeCamera,
    WeightedPhase,
    spike_bin,
)  # fmt: skip
from art_snn.coding.latency import soft_slope
from art_snn.coding.timing import Timing

LEVELS = (torch.arange(256) / 255).double()


def pulled_back(code, x, g):
    """dL/dx for L = sum_t g_t s_t."""
    leaf = x.clone().requires_grad_(True)
    return torch.autograd.grad((code(leaf) * g).sum(), leaf)[0]


def at(g: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """g at a step per pixel, zero outside 0..T-1."""
    T = g.shape[0]
    value = g.gather(0, index.clamp(0, T - 1)[None])[0]
    return torch.where((index < 0) | (index >= T), 0.0, value)


@pytest.fixture(params=[2, 5, 8, 10])
def setup(request):
    T = request.param
    g = torch.randn(T, 256, generator=torch.Generator().manual_seed(T)).double()
    return T, g


def test_latency_floor_shift(setup):
    T, g = setup
    tau = spike_bin(LEVELS, T)
    expected = (T / 2) * (at(g, tau - 1) - at(g, tau + 1))
    expected = torch.where(tau == 0, T * (g[0] - g[1]), expected)
    assert torch.allclose(pulled_back(Latency(T), LEVELS, g), expected)
    assert torch.isclose(expected[0], (T / 2) * g[T - 1, 0])


def test_latency_linear_shift(setup):
    T, g = setup
    tau = spike_bin(LEVELS, T, "linear")
    expected = ((T - 1) / 2) * (at(g, tau - 1) - at(g, tau + 1))
    expected = torch.where(tau == 0, (T - 1) * (g[0] - g[1]), expected)
    expected = torch.where(tau == T - 1, (T - 1) * (g[T - 2] - g[T - 1]), expected)
    assert torch.allclose(pulled_back(Latency(T, "linear"), LEVELS, g), expected)


@pytest.mark.parametrize("convention", ["floor", "linear", "log"])
def test_polarity_reverses_the_gradient(setup, convention):
    T, g = setup
    for backward in ("shift", "soft_latency"):
        bright = pulled_back(Latency(T, convention, backward=backward), LEVELS, g)
        dark = pulled_back(Latency(T, convention, polarity="dark_first", backward=backward), 1 - LEVELS, g)
        assert torch.allclose(bright, -dark)


def test_window_shift(setup):
    T, g = setup
    tau = spike_bin(LEVELS, T)
    n = T - tau
    formulas = {
        EarlyBurst: at(g, n) + at(g, n - 1),
        RateSyn: at(g, tau - 1) + at(g, tau),
        LateBurst: at(g, tau.clamp(max=T - 1)) + at(g, tau.clamp(max=T - 1) + 1),
    }
    for code, total in formulas.items():
        assert torch.allclose(pulled_back(code(T), LEVELS, g), (T / 2) * total)
        assert pulled_back(code(T), LEVELS, g).all(), "black pixels are most of a digit"


def test_window_edge_is_the_derivative_of_the_soft_edge(setup):
    T, g = setup
    t = torch.arange(T).double().view(T, 1)
    offsets = {EarlyBurst: t, RateSyn: T - 1 - t, LateBurst: T - t}
    for code, offset in offsets.items():
        x = LEVELS.clone().requires_grad_(True)
        (expected,) = torch.autograd.grad((torch.sigmoid(x * T - offset) * g).sum(), x)
        assert torch.allclose(pulled_back(code(T, backward="edge"), LEVELS, g), expected)


@pytest.mark.parametrize("kwargs", [{}, {"convention": "linear"}, {"convention": "linear", "zero": "silent"}])
def test_soft_latency_is_the_derivative_of_the_soft_spike(setup, kwargs):
    T, _ = setup
    timing = Timing(T, **kwargs)
    silent = timing.zero_is_silent
    h = 1e-6

    def soft(v):
        slots = torch.arange(T + silent).double().view(-1, 1)
        centre = (1 - v) * timing.span - (0.5 if timing.convention == "floor" else 0.0)
        return torch.softmax(-((slots - centre) ** 2) / (2 * 0.7**2), 0)[:T]

    numeric = (soft(LEVELS + h) - soft(LEVELS - h)) / (2 * h)
    assert torch.allclose(soft_slope(LEVELS, timing), numeric, atol=1e-7)
    g = torch.randn(T, 256, generator=torch.Generator().manual_seed(0)).double()
    code = Latency(T, timing.convention, zero=timing.zero, backward="soft_latency")
    assert torch.allclose(pulled_back(code, LEVELS, g), (numeric * g).sum(0), atol=1e-5)


SILENT_AT_ZERO = [RateSyn, EarlyBurst, Latency, Burst, RankOrder, Poisson, WeightedPhase]


@pytest.mark.parametrize("code", SILENT_AT_ZERO)
def test_a_silent_pixel_can_be_switched_on_unless_masked(code):
    T = 8
    x = torch.zeros(1, 3).double()
    if code is RankOrder:
        x = torch.tensor([[0.1, 0.5, 0.52]]).double()
    g = torch.randn(T, 1, 3, generator=torch.Generator().manual_seed(4)).double()
    for backward in code.backwards:
        grad = pulled_back(code(T, backward=backward), x, g)
        if backward == "none":
            assert not grad.any()
        elif backward != "masked":
            assert grad.all(), backward
        elif code is not RankOrder:
            assert not grad.any()


@pytest.mark.parametrize("code", [Latency, RateSyn, EarlyBurst, LateBurst, Burst])
def test_the_shift_has_the_sign_of_the_finite_difference(code):
    """On a linear readout, with the step that moves one spike; where the difference is not zero."""
    T = 10
    encoder = code(T)
    h = 1 / 5 if code is Burst else 1 / T
    g = torch.randn(T, 256, generator=torch.Generator().manual_seed(6)).double()
    inside = (h + 0.001 < LEVELS) & (1 - h - 0.001 > LEVELS)
    loss = lambda x: (encoder(x) * g).sum(0)  # noqa: E731
    difference = loss((LEVELS + h).clamp(max=1)) - loss((LEVELS - h).clamp(min=0))
    grad = pulled_back(encoder, LEVELS, g)
    assert (torch.sign(grad) == torch.sign(difference))[inside].all()
    assert torch.allclose(grad[inside], (difference / (2 * h))[inside])


def test_identity_sums_and_masked_multiplies(setup):
    T, g = setup
    for code in (Latency, EarlyBurst, RateSyn, LateBurst):
        assert torch.allclose(pulled_back(code(T, backward="identity"), LEVELS, g), g.sum(0))
        spikes = code(T)(LEVELS)
        assert torch.allclose(pulled_back(code(T, backward="masked"), LEVELS, g), (g * spikes).sum(0))


def test_phase_weights_give_the_decoded_value_slope_one():
    code = WeightedPhase(12, period=6, clip=True, backward="weighted")
    x = LEVELS.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(code.decode(code(x)).sum(), x)
    assert torch.allclose(grad, torch.ones_like(grad))


def test_scaled_identities():
    x = torch.rand(2, 4).double()
    g = torch.randn(6, 2, 4).double()
    assert torch.allclose(pulled_back(SpikeCamera(6, gain=0.25), x, g), 0.25 * g.sum(0))
    assert torch.allclose(pulled_back(SignedPoisson(6, reach=2.0), x, g), 0.5 * g.sum(0))


def test_camera_gradient_of_a_video_goes_to_its_frame():
    video = torch.rand(2, 6, 3).double().requires_grad_(True)
    g = torch.randn(6, 2, 3).double()
    (grad,) = torch.autograd.grad((SpikeCamera(6, video=True)(video) * g).sum(), video)
    assert torch.allclose(grad, 0.5 * g.transpose(0, 1))


def test_edl_gradient_is_scaled_by_the_range_of_the_image():
    x = torch.tensor([[0.2, 0.3, 0.45, 0.7]]).double()
    g = torch.randn(8, 1, 4).double()
    stretched = (x - 0.2) / 0.5
    narrow, wide = (pulled_back(Latency(8, "edl"), value, g) for value in (x, stretched))
    assert torch.allclose(narrow, wide / 0.5)


def test_a_dropped_pixel_gets_the_gradient_of_appearing():
    g = torch.randn(8, 1).double()
    grad = pulled_back(Latency(8, drop_below=0.5), torch.tensor([0.1]).double(), g)
    assert torch.allclose(grad, 4.0 * g[4])


def test_rank_gradient_moves_ranks_apart():
    """Raising a pixel in the gap makes it fire earlier: the gradient of its own early slot is positive."""
    x = torch.tensor([[0.1, 0.5, 0.9, 0.45]]).double()
    g = torch.zeros(4, 1, 4).double()
    g[0, 0, 3] = 1.0
    grad = pulled_back(RankOrder(4, kappa=0.2), x, g)
    assert grad[0, 3] > 0
    assert grad[0, 2] < 0
    assert abs(grad.sum().item()) < 1e-9


def test_averaging_draws_takes_the_variance_down_as_one_over_n():
    """The gradient of a squared readout of a Bernoulli code: variance of the mean of n draws is 1/n of one."""
    code = Poisson(4, seed=0)
    x = torch.full((4000, 1), 0.3).double()

    def draws(n):
        total = 0
        for _ in range(n):
            leaf = x.clone().requires_grad_(True)
            total = total + torch.autograd.grad((code(leaf).mean(0) ** 2).sum(), leaf)[0]
        return (total / n).var().item()

    one, sixteen = draws(1), draws(16)
    exact = 4 * 0.3 * 0.7 / 4
    assert abs(one / exact - 1) < 0.1
    assert abs(16 * sixteen / one - 1) < 0.15
