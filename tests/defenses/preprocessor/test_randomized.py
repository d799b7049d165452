"""Random transforms: identities at rest, seeded, keyed by sample, and visible to attacks as random."""

import pytest
import torch

from art_snn.coding import Latency, Transformed
from art_snn.coding.draws import keyed_draws
from art_snn.defenses.preprocessor import FrameDrop, SpikeDropout, SpikeJitter, SpikePreprocessor, TimeWarp
from art_snn.networks import mlp

T = 6
AT_REST = [SpikeJitter(0), SpikeDropout(1.0), FrameDrop(T, T), TimeWarp(0.0)]
AT_WORK = [SpikeJitter(2), SpikeJitter(0.7, "laplace"), SpikeDropout(0.5), FrameDrop(3, T), TimeWarp(1.0)]


def train(n=4):
    return (torch.rand(T, n, 2, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.4).float()


@pytest.mark.parametrize("transform", AT_REST, ids=repr)
def test_at_rest_nothing_changes_and_nothing_is_random(transform):
    assert torch.equal(transform(train()), train())
    assert not transform.is_stochastic
    assert not SpikePreprocessor(transform).is_stochastic


@pytest.mark.parametrize("transform", AT_WORK, ids=repr)
def test_at_work_the_stream_decides(transform):
    assert transform.is_stochastic
    transform.reseed(3)
    first, second = transform(train()), transform(train())
    assert not torch.equal(first, second)
    transform.reseed(3)
    assert torch.equal(transform(train()), first)
    with keyed_draws(transform, [5, 6, 7, 8]):
        together = transform(train())
    with keyed_draws(transform, [7]):
        assert torch.equal(transform(train()[:, 2:3]), together[:, 2:3])


@pytest.mark.parametrize("transform", AT_WORK, ids=repr)
def test_the_gradient_follows_the_draw(transform):
    s = train().requires_grad_(True)
    transform.reseed(1)
    out = transform(s)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad((out * weight).sum(), s)
    total = float((slope * s).detach().sum())
    merged = out.detach().sum() < transform.transform(s).detach().sum() or out.sum() < s.sum()
    assert total == pytest.approx(float((out * weight).sum()), abs=1e-4) or merged


def test_behind_a_code_the_network_is_stochastic_and_averages():
    net = mlp((1, 8, 8), 10, encoder=Transformed(Latency(T=T), SpikeJitter(1))).eval()
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert net.is_stochastic
    assert not torch.equal(net(x), net(x))
    net.reseed(2)
    singles = torch.stack([net(x) for _ in range(5)]).mean(0)
    net.reseed(2)
    net.votes = 5
    torch.testing.assert_close(net(x), singles)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpikeJitter(-1),
        lambda: SpikeJitter(0.5),
        lambda: SpikeDropout(1.2),
        lambda: FrameDrop(7, T),
        lambda: TimeWarp(2.0),
        lambda: SpikeJitter(1)(0.5 * train()),
        lambda: TimeWarp(0.5)(0.5 * train()),
    ],
)
def test_wrong_use_names_the_fix(make):
    with pytest.raises(ValueError, match="Fix:"):
        make()
