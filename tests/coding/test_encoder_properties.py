"""What every encoder promises, on random input."""

import copy
import inspect

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from art_snn import coding
from art_snn.coding import (
    Burst,
    Delta,
    Direct,
    EarlyBurst,
    Encoder,
    EventFrames,
    Filtered,
    Frequency,
    Fusion,
    LateBurst,
    Latency,
    MeanOverTime,
    Poisson,
    Population,
    Quantized,
    RankOrder,
    RateSyn,
    SignedPoisson,
    SpikeCamera,
    Transformed,
    WeightedPhase,
    ZTime,
)  # fmt: skip

MAKERS = {
    "direct": Direct,
    "quantized": Quantized,
    "poisson": Poisson,
    "signed_poisson": SignedPoisson,
    "rate_syn": RateSyn,
    "early_burst": EarlyBurst,
    "late_burst": LateBurst,
    "floor": Latency,
    "linear": lambda T: Latency(T, "linear"),
    "log": lambda T: Latency(T, "log"),
    "edl": lambda T: Latency(T, "edl"),
    "dark": lambda T: Latency(T, polarity="dark_first", drop_below=0.1),
    "phase": lambda T: WeightedPhase(T, clip=True),
    "burst": lambda T: Burst(T, max_spikes=min(T, 4)),
    "rank": RankOrder,
    "population": lambda T: Population(T, m=4),
    "population_if": lambda T: Population(T, m=4, variant="if"),
    "population_bernoulli": lambda T: Population(T, m=4, variant="bernoulli"),
    "camera": SpikeCamera,
    "camera_random": lambda T: SpikeCamera(T, start="random"),
    "filtered": lambda T: Filtered(Latency(T), 2.0),
    "fusion": lambda T: Fusion([Direct(T), Latency(T), Poisson(T)]),
    "frequency": Frequency,
}
CHANNELS = {"population": 4, "population_if": 4, "population_bernoulli": 4, "fusion": 3}
MONOTONE = ("rate_syn", "early_burst", "late_burst")


def images(seed: int, n: int = 2, size: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (n, 1, size, size), generator=generator) / 255
    return torch.where(torch.rand(x.shape, generator=generator) < 0.2, x.round(), x)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=12, deadline=None)
@given(T=st.integers(1, 12), seed=st.integers(0, 10**6), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_shape_values_and_purity(name, T, seed, dtype):
    code = MAKERS[name](T)
    x = images(seed).to(dtype)
    before = x.clone()
    s = code(x)
    assert s.shape == (T, 2, CHANNELS.get(name, 1), 4, 4)
    assert s.dtype == dtype
    assert torch.isfinite(s).all()
    assert torch.equal(x, before)
    if code.is_binary:
        assert ((s == 0) | (s == 1)).all()
    assert torch.equal(s.transpose(0, 1).transpose(0, 1), s)
    if not code.is_stochastic:
        assert torch.equal(code(x), s)


@pytest.mark.parametrize("name", MAKERS)
def test_each_sample_on_its_own(name):
    """A sample's code depends on that sample only; a stochastic stream hands out the same numbers in any batching."""
    x = images(3, n=3)
    whole = MAKERS[name](6)(x)
    code = MAKERS[name](6)
    apart = torch.cat([code(x[n : n + 1]) for n in range(3)], dim=1)
    if name != "fusion":
        assert torch.equal(whole, apart) or name == "frequency"
    assert torch.allclose(whole, apart, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_the_gradient_leaves_the_spikes_alone(name):
    x = images(5)
    for backward in MAKERS[name](6).backwards:
        code, twin = MAKERS[name](6), MAKERS[name](6)
        code.backward = backward
        leaf = x.clone().requires_grad_(True)
        s = code(leaf)
        assert torch.equal(s.detach(), twin(x))
        (grad,) = torch.autograd.grad(
            (s * torch.randn(s.shape, generator=torch.Generator().manual_seed(0))).sum(), leaf
        )
        assert grad.shape == x.shape
        assert torch.isfinite(grad).all()
        if backward == "none":
            assert not grad.any()
        elif backward != "masked":
            assert grad.any()


def test_pixels_at_the_borders_keep_their_gradient():
    """Black and white pixels are most of a digit; torch's clamp would cut them off."""
    for name in ("floor", "early_burst", "poisson", "frequency", "phase"):
        x = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).double().expand(1, 1, 2, 2).clone().requires_grad_(True)
        s = MAKERS[name](6)(x)
        (grad,) = torch.autograd.grad((s * torch.arange(1.0, 7).view(6, 1, 1, 1, 1)).sum(), x)
        assert grad.all(), name


@pytest.mark.parametrize("name", [n for n in MAKERS if MAKERS[n](4).is_stochastic])
def test_seeds(name):
    x = torch.full((2, 1, 4, 4), 0.37)
    code, same = MAKERS[name](16), MAKERS[name](16)
    first = code(x)
    assert torch.equal(first, same(x))
    assert not torch.equal(first, code(x))
    twin = copy.deepcopy(code)
    assert torch.equal(code(x), twin(x))
    code.reseed(7)
    other = code(x)
    assert not torch.equal(other, first)
    code.reseed(7)
    assert torch.equal(code(x), other)
    state = torch.random.get_rng_state()
    code(x)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", [n for n in MAKERS if MAKERS[n](4).domain is not None])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, 1.01])
def test_domain_errors(name, bad):
    x = images(1)
    x[0, 0, 0, 0] = bad
    with pytest.raises(ValueError, match="Fix:"):
        MAKERS[name](4)(x)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="255"):
        Latency(4)(torch.zeros(1, 1, dtype=torch.uint8))


@pytest.mark.parametrize("name", MONOTONE)
@settings(max_examples=20, deadline=None)
@given(T=st.integers(1, 40), k=st.lists(st.integers(0, 255), min_size=2, max_size=2))
def test_brighter_pixels_lose_no_spike(name, T, k):
    low, high = sorted(k)
    s = MAKERS[name](T)(torch.tensor([low / 255, high / 255]))
    assert (s[:, 1] >= s[:, 0]).all()


@settings(max_examples=30, deadline=None)
@given(T=st.integers(2, 40), k=st.integers(0, 255), j=st.integers(0, 255))
def test_latency_is_monotone_and_moves_at_most_as_far_as_the_pixel(T, k, j):
    x = torch.tensor([k / 255, j / 255])
    for convention, span in (("floor", T), ("linear", T - 1)):
        tau = coding.spike_bin(x, T, convention)
        assert (tau[0] <= tau[1]) == (k >= j) or tau[0] == tau[1]
        distance = -(-abs(k - j) * span // 255)
        assert abs(int(tau[0] - tau[1])) <= distance


@pytest.mark.parametrize(
    "name", ["floor", "linear", "rate_syn", "early_burst", "phase", "burst", "camera", "quantized"]
)
@settings(max_examples=20, deadline=None)
@given(T=st.integers(4, 50), k=st.integers(0, 255))
def test_round_trip_within_the_stated_bound(name, T, k):
    x = torch.tensor([[k / 255]], dtype=torch.float64)
    code = MAKERS[name](T)
    error = (code.decode(code(x)) - x).item()
    bounds = {
        "floor": (0, 1 / T), "rate_syn": (0, 1 / T), "early_burst": (0, 1 / T),
        "linear": (-0.5 / (T - 1), 0.5 / (T - 1)), "phase": (-(2.0**-T), 0), "burst": (-0.125, 0.125),
        "camera": (-2 / T, 0), "quantized": (-0.5 / T, 0.5 / T),
    }  # fmt: skip
    low, high = bounds[name]
    assert low - 1e-9 <= error <= high + 1e-9


def test_exact_round_trips():
    x = images(9)
    assert torch.equal(Direct(5).decode(Direct(5)(x)), x)
    video = torch.rand(2, 5, 1, 4)
    assert torch.equal(EventFrames(5).decode(EventFrames(5)(video)), video)
    code = Filtered(Latency(20, "linear"), 3.0)
    assert torch.allclose(code.decode(code(x)), Latency(20, "linear").decode(Latency(20, "linear")(x)))


@pytest.mark.parametrize("variant", ["latency", "if", "bernoulli"])
def test_population_round_trip_is_within_one_standard_deviation(variant):
    m = 8
    code = Population(200, m=m, variant=variant)
    x = torch.linspace(0, 1, 101).view(101, 1)
    error = (code.decode(code(x)) - x).abs().max().item()
    assert error < 1 / (1.5 * (m - 2))


def test_population_decodes_silence_to_the_middle():
    assert Population(4, m=3).decode(torch.zeros(4, 2, 3)).tolist() == [[0.5], [0.5]]


def test_every_code_can_be_rebuilt_from_its_arguments():
    for name in coding.__all__:
        kind = getattr(coding, name)
        by_hand = (Encoder, Fusion, Filtered, MeanOverTime, Transformed, ZTime)
        if not (isinstance(kind, type) and issubclass(kind, Encoder)) or kind in by_hand:
            continue
        required = [p.name for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
        code = kind(**dict.fromkeys(required, 8))
        assert repr(kind(**code.config())) == repr(code)


def test_unknown_backward_names_the_choices():
    with pytest.raises(ValueError, match="'shift', 'identity', 'edge'"):
        EarlyBurst(4, backward="soft_latency")


def test_delta_reconstructs_within_one_threshold():
    generator = torch.Generator().manual_seed(0)
    moves = (torch.rand(3, 40, 2, 5, generator=generator) - 0.5) * 0.2
    x = (0.5 + moves.cumsum(1)).double()
    for signed in (False, True):
        code = Delta(40, threshold=0.1, signed=signed)
        s = code(x)
        assert s.shape == (40, 3, 2 if signed else 4, 5)
        assert (code.decode(s, start=x[:, 0]) - x).abs().max() <= 0.1 + 1e-6


def test_delta_of_a_still_image_warns():
    from art_snn.errors import ArtSnnWarning

    with pytest.warns(ArtSnnWarning, match="no change"):
        Delta(4)(torch.full((1, 4, 1), 0.5))
    with pytest.raises(ValueError, match="T=4"):
        Delta(4)(torch.rand(1, 1, 8, 8))


def test_delta_gradient_is_the_identity_on_the_reconstruction():
    x = torch.rand(1, 5, 1, 2, generator=torch.Generator().manual_seed(1)).double().requires_grad_(True)
    for signed in (False, True):
        code = Delta(5, threshold=0.2, signed=signed)
        events = code.encode(x)
        on = events if signed else events[:, :, :1] - events[:, :, 1:]
        (grad,) = torch.autograd.grad((0.2 * on).sum(), x)
        assert torch.allclose(grad, torch.ones_like(grad))


def test_rank_order_ignores_contrast_and_counts_evenly():
    x = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(2)).double()
    s = RankOrder(6)(x)
    for power in (0.3, 2.0, 5.0):
        assert torch.equal(RankOrder(6)(x**power), s)
    slots = s.flatten(2).sum(2)
    assert (s.sum(0) == 1).all()
    assert slots.max() - slots.min() <= 1
    order = torch.randperm(25, generator=torch.Generator().manual_seed(3))
    mixed = x.flatten(1)[:, order]
    assert torch.equal(RankOrder(6)(mixed), s.flatten(2)[:, :, order])


def test_receptive_fields_cover_the_range():
    from art_snn.coding.population import receptive_fields, responses

    x = torch.linspace(0, 1, 501).double().view(-1, 1)
    for m in (3, 4, 8, 20):
        r = responses(x, m)
        assert r.amax(1).min() >= 0.75
        centres = receptive_fields(m)[0]
        inside = centres[(centres >= 0) & (centres <= 1)]
        assert torch.allclose(responses(inside.view(-1, 1), m).amax(1), torch.ones(len(inside)).double())
        assert torch.allclose(r.flip(0), r.flip(1), atol=1e-12)


def test_fusion_blocks_and_refusals():
    x = images(4)
    parts = [Direct(5), Latency(5), EarlyBurst(5)]
    s = Fusion(parts)(x)
    for block, code in enumerate(parts):
        assert torch.equal(s[:, :, block : block + 1], code(x))
    leaf = x.clone().requires_grad_(True)
    weight = torch.randn(s.shape, generator=torch.Generator().manual_seed(0))
    (together,) = torch.autograd.grad((Fusion(parts)(leaf) * weight).sum(), leaf)
    single = [torch.autograd.grad((c(leaf) * weight[:, :, e : e + 1]).sum(), leaf)[0] for e, c in enumerate(parts)]
    assert torch.allclose(together, sum(single), atol=1e-5)
    with pytest.raises(ValueError, match="hides its gradient"):
        Fusion([Direct(5), Latency(5, backward="none")])
    assert Fusion([Direct(5), Latency(5, backward="masked")], accept_hiding=True).obfuscates
    with pytest.raises(ValueError, match="one T"):
        Fusion([Direct(5), Latency(6)])


def test_frequency_facts():
    x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    for mask in ("reference", "symmetric"):
        s = Frequency(4, widths=[8, 6, 4, 2], mask=mask)(x)
        assert torch.allclose(s[0], x, atol=1e-6)
        energy = (s**2).sum((2, 3, 4))
        assert (energy[1:] <= energy[:-1] + 1e-9).all()
        flat = Frequency(4, mask=mask)(torch.full((1, 1, 16, 16), 0.3).double())
        assert torch.allclose(flat, torch.full_like(flat, 0.3), atol=1e-6)
    odd = torch.rand(1, 1, 9, 9).double()
    for mask in ("reference", "symmetric"):
        assert torch.allclose(Frequency(1, mask=mask)(odd)[0], odd, atol=1e-6)
    from art_snn.coding.frequency import half_widths

    assert half_widths(8, 32) == [16, 14, 12, 10, 8, 6, 4, 2]
    assert half_widths(4, 64) == [32, 30, 28, 26]
    small = torch.rand(1, 1, 4, 4).double().requires_grad_(True)
    assert torch.autograd.gradcheck(Frequency(2, widths=[2, 1], mask="reference"), small)
    with pytest.raises(ValueError, match="one half-width per step"):
        Frequency(3, widths=[2, 1])


def test_the_filter_has_its_kernel():
    from art_snn.coding import psp

    impulse = torch.zeros(60, 1).double()
    impulse[0] = 1
    response = psp(impulse, 3.0).flatten()
    expected = torch.tensor([(2 / 3) ** j / 3 for j in range(60)]).double()
    assert torch.allclose(response, expected)
    assert abs(response.sum().item() - 1) < 1e-9
    train = (torch.rand(9, 2) < 0.4).float()
    assert torch.equal(psp(train, 1.0), train)
