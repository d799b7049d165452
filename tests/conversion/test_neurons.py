"""Exactness of the neurons, and what calibration of them promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.conversion import COSIF, SRPIF, ConvertedIF, SpikingActivation, count_error, qcfs
from art_snn.conversion.neurons import integrate, offset_start


def away_from_ties(shape, T, dtype, seed):
    """Currents in [-1, 2] thresholds, 1e-4 of a threshold away from the edges of the bins."""
    z = torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 3 - 1
    place = z * T + 0.5
    near = (place - place.round()).abs() < 1e-4 * T
    return torch.where(near, z + 2.5e-4, z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("T", [1, 2, 3, 4, 5, 8, 16, 32])
def test_rate_is_the_activation_at_T_equal_L(T, dtype):
    z = away_from_ties((20_000,), T, dtype, seed=T)
    threshold = torch.tensor(1.7, dtype=dtype)
    layer = SpikingActivation(ConvertedIF(), threshold, T).to(dtype)
    currents = (z * threshold).repeat(T, 1)
    count = (layer(currents) / threshold).view(T, -1).round().sum(0)
    wanted = (qcfs(z * threshold, threshold, T) * T / threshold).round()
    assert int((count != wanted).sum()) == 0


@pytest.mark.parametrize("T", [2, 4, 8])
def test_ties_fire_as_the_floor_rounds(T):
    z = (torch.arange(0, T + 1, dtype=torch.double) - 0.5) / T  # z T + 1/2 is whole, and exact in binary
    spikes = ConvertedIF()(z.repeat(T, 1))
    assert torch.equal(spikes.sum(0), torch.floor(z * T + 0.5).clamp(0, T))


@pytest.mark.parametrize(("T", "L"), [(4, 8), (8, 4), (3, 16)])
def test_mean_error_is_zero_for_other_T_and_half_a_bin_without_the_start(T, L):
    z = (torch.arange(100_000, dtype=torch.double) + 0.5) / 100_000
    rate = ConvertedIF()(z.repeat(T, 1)).mean(0)
    assert abs(float((rate - qcfs(z, 1.0, L)).mean())) < 1e-4
    biased = ConvertedIF(start=0.0)(z.repeat(T, 1)).mean(0)
    assert float((biased - qcfs(z, 1.0, L)).mean()) == pytest.approx(-1 / (2 * T), abs=1e-4)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_scaling_threshold_and_input_scales_the_output(factor):
    z = torch.rand(8, 100, dtype=torch.double) * 3 - 1
    one = SpikingActivation(ConvertedIF(), torch.tensor(1.5), 8).double()
    other = SpikingActivation(ConvertedIF(), torch.tensor(1.5 * factor), 8).double()
    assert torch.equal(other(z * factor), one(z) * factor)


KINDS = ("uniform", "normal", "own mean", "wide", "lattice")


def currents(kind, seed, T, N=20_000):
    generator = torch.Generator().manual_seed(seed)
    flat = torch.rand((T, N), generator=generator, dtype=torch.double)
    bell = torch.randn((T, N), generator=generator, dtype=torch.double)
    if kind == "own mean":
        return 0.5 * bell + 2 * torch.rand(N, generator=generator, dtype=torch.double) - 0.7
    return {
        "uniform": 4 * flat - 1.7, "normal": 0.8 * bell + 0.3, "wide": 2 * bell,
        "lattice": (9 * flat - 4).round() / 4,
    }[kind]  # fmt: skip


def misses(node, z):
    """Count errors of a run whose first part, if the neuron looks at one, is like the rest."""
    return count_error(z, node(z.repeat(2, 1))[len(z) :] if getattr(node, "pre", 0) else node(z)).abs()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("T", [1, 2, 3, 4, 8, 16, 32])
def test_calibration_never_raises_a_count_error(kind, T):
    z = currents(kind, T, T)
    plain, srp, cos = (misses(node, z) for node in (ConvertedIF(), SRPIF(pre=T), COSIF(pre=T)))
    assert bool((srp <= plain).all())
    assert bool((cos <= plain).all())
    if T > 1:
        assert srp.mean() < plain.mean()
        assert cos.mean() < plain.mean()
    if T in (2, 4, 8) and kind in ("uniform", "normal"):
        more = misses(COSIF(pre=T, iterations=3), z)
        assert more.mean() <= cos.mean()  # one iteration moves one spike; longer runs are off by several
        assert more.mean() < 0.1 * plain.mean()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("T", [1, 2, 3, 4, 8, 16])
def test_the_published_mask_helps_where_less_than_half_of_the_spikes_were_right(kind, T):
    z = currents(kind, T, T)
    spikes, residue = integrate(z, 0.5, lambda u: (u >= 0).to(u.dtype))
    fired, surplus = spikes.sum(0), count_error(z, spikes)
    over = (residue < 0) & (fired > 0)
    assert torch.equal(over, surplus > 0)
    plain, masked = misses(ConvertedIF(), z), misses(SRPIF(pre=T, tolerance=-1e-12, certain=False), z)
    assert torch.equal(masked > plain, over & (fired > 2 * surplus))
    assert bool((masked > plain).any()) == (T > 3)


def test_the_published_mask_is_for_few_steps():
    z = currents("uniform", 4, 4)
    assert misses(SRPIF(pre=4, certain=False), z).mean() < misses(ConvertedIF(), z).mean()
    z = currents("uniform", 16, 16)
    assert misses(SRPIF(pre=16, certain=False), z).mean() > misses(ConvertedIF(), z).mean()


@pytest.mark.parametrize("pre", [1, 2, 5, 12])
@pytest.mark.parametrize("T", [1, 4, 9])
def test_masking_changes_nothing_on_constant_currents(pre, T):
    z = away_from_ties((5_000,), 4 * pre * T, torch.double, seed=7)
    run = SRPIF(pre=pre)(z.repeat(pre + T, 1))
    assert torch.equal(run[pre:], ConvertedIF()(z.repeat(T, 1)))


def test_a_surplus_spike_of_a_silent_unit_shows_in_the_residual():
    z = currents("normal", 3, 4)
    spikes, residue = integrate(z, 0.5, lambda u: (u >= 0).to(u.dtype))
    wrong = (spikes.sum(0) > 0) & (count_error(z, spikes) == spikes.sum(0))
    assert int(wrong.sum()) > 100
    assert bool((residue[wrong] < 0).all())


@pytest.mark.parametrize("node", [SRPIF, COSIF])
def test_no_pre_steps_is_the_plain_neuron(node):
    z = currents("uniform", 1, 6)
    assert torch.equal(node(pre=0)(z), ConvertedIF()(z))


@pytest.mark.parametrize("T", [2, 4, 8])
def test_calibration_keeps_exactness_on_constant_input(T):
    z = away_from_ties((5_000,), T, torch.double, seed=9)
    start = offset_start(z.repeat(T, 1), steps=T)
    assert bool((start[z < 1] == 0.5).all())
    for node in (COSIF(pre=T), SRPIF(pre=T)):
        assert torch.equal(node(z.repeat(2 * T, 1))[T:].mean(0), qcfs(z, 1.0, T))


def test_hand_examples_of_the_offset():
    for z, start, count in (([1.2, -1.0, 0.0, -0.3], -0.5, 0), ([-0.4, -0.4, 0.0, 2.9], 1.5, 2)):
        train = torch.tensor(z, dtype=torch.double)[:, None]
        assert float(offset_start(train)) == pytest.approx(start)
        assert float(COSIF(pre=4)(torch.cat([train, train]))[4:].sum()) == count


def test_a_unit_that_always_fires_and_ends_high_is_pinned_on():
    strong = torch.full((4, 1), 2.0)
    start = offset_start(strong, steps=6)
    assert float(start) == 6.5
    weak_later = torch.cat([strong, torch.zeros(6, 1)])
    assert COSIF(pre=4)(weak_later)[4:].flatten().tolist() == [1.0] * 6


@pytest.mark.parametrize("certain", [True, False])
def test_masked_units_are_silent_after_the_first_part(certain):
    z = currents("normal", 5, 12)
    first, residue = integrate(z[:4], 0.5, lambda u: (u >= 0).to(u.dtype))
    out = SRPIF(pre=4, certain=certain)(z)
    assert torch.equal(out[:4], first)
    masked = (residue <= 1e-3) & ((0.5 + z[:4].sum(0) < 1) | (not certain))
    assert float(out[4:, masked].sum()) == 0
    assert torch.equal(out[4:, ~masked], ConvertedIF()(z[4:, ~masked]))


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="at least 5"):
        SRPIF(pre=4)(torch.zeros(4, 2))


def test_neurons_are_multi_step_only():
    with pytest.raises(ValueError, match="m"):
        ConvertedIF().step_mode = "s"


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10_000))
def test_counts_are_whole_and_bounded(T, seed):
    z = torch.randn((T, 20), generator=torch.Generator().manual_seed(seed)) * 3
    spikes = ConvertedIF()(z)
    assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    _, residue = integrate(z, 0.5, lambda u: (u >= 0).float())
    torch.testing.assert_close(residue, 0.5 + z.sum(0) - spikes.sum(0), atol=1e-4, rtol=1e-5)
