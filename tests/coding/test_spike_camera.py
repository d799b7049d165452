"""Spike camera: intervals, read-outs and their bounds."""

from math import ceil, floor

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from art_snn.coding import TFI, TFP, SpikeCamera, tfi, tfp


@settings(max_examples=40, deadline=None)
@given(k=st.integers(20, 255), T=st.integers(40, 120), gain=st.sampled_from([0.5, 0.25, 1.0]))
def test_intervals_and_read_outs_of_a_constant_pixel(k, T, gain):
    x = k / 255
    s = SpikeCamera(T, gain=gain)(torch.tensor([x], dtype=torch.float64))[:, 0]
    times = s.nonzero().flatten()
    period = 1 / (gain * x)
    allowed = {floor(period + 1e-9), ceil(period - 1e-9)}
    assert {int(gap) for gap in times.diff()} <= allowed
    for window in (10, 33, T):
        assert abs(tfp(s, window).item() - gain * x) <= 1 / window + 1e-9
    value = tfi(s).item()
    bracketed = bool((times <= T // 2).any() and (times > T // 2).any())
    assert value == 0 if not bracketed else any(abs(value - 1 / gap) < 1e-9 for gap in allowed)


def test_brute_force_recursion():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 30, 4, generator=generator).double()
    code = SpikeCamera(30, gain=0.7, threshold=1.0, video=True)
    v = torch.zeros(3, 4).double()
    for t, s in enumerate(code(x)):
        v = v + 0.7 * x[:, t]
        fired = (v >= 1.0).double()
        v = v - fired
        assert torch.equal(s, fired)


def test_random_start_shifts_the_phase_only():
    x = torch.full((500, 1), 0.4).double()
    counts = SpikeCamera(50, start="random", seed=1)(x).sum(0)
    assert set(counts.flatten().tolist()) <= {10.0, 11.0}
    assert SpikeCamera(50, start="random").is_stochastic
    assert not SpikeCamera(50).is_stochastic


def test_tfi_without_two_spikes_is_zero():
    assert tfi(torch.tensor([0.0, 1.0, 0.0, 0.0])).item() == 0
    assert tfi(torch.zeros(5)).item() == 0


def test_tfi_gradient_moves_the_two_spikes():
    s = torch.tensor([0.0, 1, 0, 0, 0, 1, 0]).double().requires_grad_(True)
    (grad,) = torch.autograd.grad(tfi(s, at=2), s)
    slope = 1 / 16
    assert grad.tolist() == [-slope, 0, slope, 0, slope, 0, -slope]


def test_classes_and_errors():
    s = torch.rand(10, 2, 3).round()
    assert torch.equal(TFP(4, at=6)(s), s[3:7].mean(0))
    assert torch.equal(TFI(5)(s), tfi(s, 5))
    with pytest.raises(ValueError, match="window"):
        TFP(20)(s)
    with pytest.raises(ValueError, match="at="):
        TFI(10)(s)
    with pytest.raises(ValueError, match="gain"):
        SpikeCamera(10, gain=2.0)
