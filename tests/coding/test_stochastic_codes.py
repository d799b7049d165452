"""Bernoulli codes: mean, variance, distribution, independence, borders."""

import numpy as np
import torch
from scipy import stats

from art_snn.coding import Poisson, SignedPoisson


def test_mean_and_variance():
    T, n = 25, 4000
    for x in (0.1, 0.5, 0.9):
        rates = Poisson(T, seed=1)(torch.full((n, 1), x).double()).mean(0).flatten()
        assert abs(rates.mean().item() - x) < 4 * np.sqrt(x * (1 - x) / (T * n))
        assert abs(rates.var().item() / (x * (1 - x) / T) - 1) < 0.15


def test_counts_are_binomial():
    T, n, x = 8, 6000, 0.3
    counts = Poisson(T, seed=2)(torch.full((n, 1), x)).sum(0).flatten().long()
    seen = np.bincount(counts.numpy(), minlength=T + 1)
    expected = n * stats.binom.pmf(np.arange(T + 1), T, x)
    seen, expected = np.append(seen[:6], seen[6:].sum()), np.append(expected[:6], expected[6:].sum())
    assert stats.chisquare(seen, expected).pvalue > 1e-4


def test_borders():
    s = Poisson(200, seed=0)(torch.tensor([[0.0, 1.0]]).expand(1000, 2))
    assert not s[:, :, 0].any()
    assert s[:, :, 1].all()


def test_steps_pixels_and_samples_are_independent():
    s = Poisson(50, seed=3)(torch.full((60, 20), 0.5)).double() - 0.5
    rows = [(s[1:] * s[:-1]), (s[:, 1:] * s[:, :-1]), (s[:, :, 1:] * s[:, :, :-1])]
    for product in rows:
        assert abs(product.mean().item()) < 4 * 0.25 / np.sqrt(product.numel())


def test_signed_rate_saturates_at_reach():
    x = torch.tensor([-3.0, -1.0, 0.0, 0.5, 2.0]).double().view(1, -1).expand(3000, 5)
    code = SignedPoisson(10, reach=2.0, seed=4)
    mean = code.decode(code(x)).mean(0)
    assert torch.allclose(mean, torch.tensor([-2.0, -1.0, 0.0, 0.5, 2.0]).double(), atol=0.05)
    assert mean[2] == 0
