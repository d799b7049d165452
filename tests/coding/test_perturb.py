"""Random changes of a train: identities, laws, and independence of the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare

from art_snn.coding.draws import SeededDraws
from art_snn.coding.perturb import drop_frames, drop_spikes, jitter, time_warp

SHAPE = (6, 4, 2, 3)
ALL = {
    "jitter": lambda s, d: jitter(s, 2, d),
    "laplace": lambda s, d: jitter(s, 0.7, d, "laplace"),
    "drop_spikes": lambda s, d: drop_spikes(s, 0.6, d),
    "drop_frames": lambda s, d: drop_frames(s, 3, d),
    "time_warp": lambda s, d: time_warp(s, 1.0, d),
}


def train(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


@pytest.mark.parametrize(
    "same",
    [
        lambda s, d: jitter(s, 0, d),
        lambda s, d: jitter(s, 0.0, d, "laplace"),
        lambda s, d: drop_spikes(s, 1.0, d),
        lambda s, d: drop_frames(s, len(s), d),
        lambda s, d: time_warp(s, 0.0, d),
    ],
)
def test_identities_bit_for_bit(same):
    s = train()
    assert torch.equal(same(s, SeededDraws(0)), s)


@pytest.mark.parametrize("name", ALL)
def test_draws_belong_to_the_sample_and_to_the_seed(name):
    s, change = train(), ALL[name]
    whole = change(s, SeededDraws(3))
    draws = SeededDraws(3)
    assert torch.equal(whole, torch.cat([change(one, draws) for one in s.split(1, dim=1)], 1))
    assert not torch.equal(whole, change(s, SeededDraws(4)))
    assert set(whole.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("J", [1, 2, 3])
def test_uniform_law_away_from_the_borders(J):
    s = torch.zeros(11, 1, 4000)
    s[5] = 1.0
    at = jitter(s, J, SeededDraws(0)).argmax(0).flatten() - 5
    assert int(at.abs().max()) == J
    assert chisquare(np.bincount((at + J).numpy(), minlength=2 * J + 1)).pvalue > 1e-3


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_laplace_law(scale):
    p, n = math.exp(-1 / scale), 20000
    s = torch.zeros(61, 1, n)
    s[30] = 1.0
    at = (jitter(s, scale, SeededDraws(1), "laplace").argmax(0).flatten() - 30).numpy()
    sizes = np.arange(-3, 4)
    expected = (1 - p) / (1 + p) * p ** np.abs(sizes)
    seen = np.array([(at == k).sum() for k in sizes] + [(np.abs(at) > 3).sum()])
    assert chisquare(seen, n * np.append(expected, 1 - expected.sum())).pvalue > 1e-3


def test_jitter_keeps_spikes_unless_they_meet_and_stays_in_line():
    one = torch.zeros(8, 5, 7)
    one[3] = 1.0
    assert torch.equal(jitter(one, 20, SeededDraws(0)).sum(0), one.sum(0))
    s = train(1, (8, 50, 7))
    moved = jitter(s, 1, SeededDraws(0))
    assert bool((moved.sum(0) <= s.sum(0)).all())
    assert bool((moved.sum(0) < s.sum(0)).any())
    assert bool(((moved.sum(0) > 0) == (s.sum(0) > 0)).all())


def test_dropout_counts_are_binomial():
    s = torch.ones(10, 3000, 1)
    counts = drop_spikes(s, 0.7, SeededDraws(0)).sum(0).flatten().numpy().astype(int)
    expected = binom.pmf(np.arange(11), 10, 0.7) * 3000
    seen = np.bincount(counts, minlength=11)
    assert chisquare(np.append(seen[4:], seen[:4].sum()), np.append(expected[4:], expected[:4].sum())).pvalue > 1e-3
    assert bool((drop_spikes(train(), 0.5, SeededDraws(0)) <= train()).all())
    assert drop_spikes(train(), 0.0, SeededDraws(0)).sum() == 0


def test_exactly_k_frames_and_every_choice_alike():
    kept = drop_frames(torch.ones(4, 6000, 2), 2, SeededDraws(0))
    assert bool((kept[..., 0] == kept[..., 1]).all())
    assert bool((kept.sum(0) == 2).all())
    choice = (kept[..., 0] * torch.tensor([1.0, 2, 4, 8])[:, None]).sum(0).numpy().astype(int)
    counts = np.bincount(choice, minlength=16)
    assert (counts > 0).sum() == 6
    assert chisquare(counts[counts > 0]).pvalue > 1e-3


def test_warp_is_monotone_with_fixed_ends():
    T, n = 11, 200
    times = torch.stack([time_warp(_spike(t, T, n), 1.0, SeededDraws(0)).argmax(0).flatten() for t in range(T)])
    assert bool((times[1:] >= times[:-1]).all())
    assert bool((times[0] == 0).all())
    assert bool((times[-1] == T - 1).all())
    assert float((times - torch.arange(T)[:, None]).abs().max()) == round((T - 1) / math.pi)


def _spike(t: int, T: int, n: int) -> torch.Tensor:
    s = torch.zeros(T, n, 1)
    s[t] = 1.0
    return s


def test_gradient_is_that_of_the_place_a_spike_goes_to():
    s = torch.zeros(5, 1, 1, requires_grad=True)
    weights = torch.tensor([1.0, 10, 100, 1000, 10000]).view(-1, 1, 1)
    grad = torch.autograd.grad((jitter(s, 1, SeededDraws(2)) * weights).sum(), s)[0]
    for t in range(5):
        hot = torch.zeros(5, 1, 1)
        hot[t] = 1.0
        assert grad[t] == (jitter(hot, 1, SeededDraws(2)) * weights).sum()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: jitter(s, -1, SeededDraws(0)), "J=-1"),
        (lambda s: jitter(s, 1.5, SeededDraws(0)), "whole number"),
        (lambda s: jitter(s, 1, SeededDraws(0), "normal"), "law='uniform'"),
        (lambda s: jitter(s + 0.2, 1, SeededDraws(0)), "encoder\\(x\\) instead of x"),
        (lambda s: time_warp(s + 0.2, 0.5, SeededDraws(0)), "binary"),
        (lambda s: time_warp(s, 1.5, SeededDraws(0)), "strength=1.5"),
        (lambda s: drop_spikes(s, 1.2, SeededDraws(0)), "probability in \\[0, 1\\]"),
        (lambda s: drop_spikes(s, float("nan"), SeededDraws(0)), "probability"),
        (lambda s: drop_frames(s, 7, SeededDraws(0)), "0..6"),
        (lambda s: drop_spikes(s[0, 0, 0], 0.5, SeededDraws(0)), r"\[T, N, \*\]"),
    ],
)
def test_wrong_use_names_the_fix(call, text):
    with pytest.raises(ValueError, match=text):
        call(train())
