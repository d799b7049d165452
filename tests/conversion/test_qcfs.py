"""The quantized activation, its gradient, and its noise."""

import pytest
import torch

from art_snn.conversion import QCFS, EmpiricalNoise, GaussianNoise, UniformNoise, qcfs


@pytest.mark.parametrize("levels", [1, 3, 8])
def test_agrees_with_the_formula(levels):
    z = torch.linspace(-3, 5, 1001, dtype=torch.double)
    expected = 2.0 * (torch.floor(z * levels / 2.0 + 0.5) / levels).clamp(0, 1)
    assert torch.equal(qcfs(z, 2.0, levels), expected)


def test_gradient_support_and_threshold_gradient():
    threshold, L = 1.5, 4
    layer = QCFS(L, threshold).double()
    z = torch.tensor([-0.3, 0.1, 0.7, 1.4, 2.0], dtype=torch.double, requires_grad=True)
    h = layer(z)
    jacobian = torch.stack([torch.autograd.grad(one, layer.threshold, retain_graph=True)[0] for one in h])
    inside = (z > 0) & (z < threshold)
    expected = torch.where(inside, (h - z) / threshold, (z >= threshold).double())
    torch.testing.assert_close(jacobian, expected.detach())
    assert torch.autograd.grad(h.sum(), z)[0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("bad", [{"levels": 0}, {"levels": 2.5}, {"threshold": 0.0}, {"threshold": -1.0}])
def test_refuses_impossible_arguments(bad):
    with pytest.raises(ValueError, match="Fix:"):
        QCFS(**bad)


def test_a_threshold_that_training_drove_below_zero_is_an_error():
    layer = QCFS(4, 1.0)
    layer.threshold.data.fill_(-0.1)
    with pytest.raises(ValueError, match="positive, finite threshold"):
        layer(torch.zeros(1))


def test_no_noise_is_plain_and_eval_is_deterministic():
    z = torch.linspace(-2, 12, 501)
    assert torch.equal(QCFS(4, noise=UniformNoise(0.0)).train()(z), QCFS(4)(z))
    noisy = QCFS(4, noise=UniformNoise(0.3))
    assert not torch.equal(noisy.train()(z), QCFS(4)(z))
    assert torch.equal(noisy.eval()(z), QCFS(4)(z))


def test_noise_stays_in_range_and_lets_the_gradient_through():
    layer = QCFS(4, threshold=2.0, noise=GaussianNoise(0.3)).train()
    z = torch.linspace(-1, 3, 2001, requires_grad=True)
    h = layer(z)
    assert h.min() >= 0
    assert h.max() <= 2
    slope = torch.autograd.grad(h.sum(), z)[0]
    assert set(slope.unique().tolist()) == {0.0, 1.0}
    middle = (z > 0.9) & (z < 1.1)
    assert slope[middle].mean() > 0.7


def test_noise_does_not_touch_the_global_stream():
    before = torch.random.get_rng_state()
    GaussianNoise(1.0)(torch.zeros(3, 3))
    assert torch.equal(before, torch.random.get_rng_state())


def test_empirical_noise_reproduces_mean_and_variance():
    pool = torch.randn(500, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.05
    drawn = EmpiricalNoise(pool)(torch.zeros(100, 1000))
    assert abs(float(drawn.mean() - pool.mean())) < 4 * float(pool.std()) / 100_000**0.5
    assert float(drawn.std() / pool.std(correction=0)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", [UniformNoise, GaussianNoise])
def test_noise_refuses_negative_amounts(kind):
    with pytest.raises(ValueError, match="at least 0"):
        kind(-0.1)
