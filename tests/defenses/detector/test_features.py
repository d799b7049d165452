"""Timing features by hand, finite everywhere, with a gradient; recordings that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from spikingjelly.activation_based import functional

from art_snn.coding import Latency, Poisson
from art_snn.defenses.detector.features import decision_features, first_spike_shares, layer_features, timing_features
from art_snn.defenses.detector.gaussian import fit_gaussians
from art_snn.defenses.detector.roc import detection_curve
from art_snn.gradients import BPTR, PDSG, Surrogate
from art_snn.networks import mlp, recorded

X = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def net(encoder=None):
    return mlp((1, 4, 4), 3, hidden=(12, 8), encoder=encoder or Latency(T=6)).eval()


def by_hand(s: np.ndarray) -> list[float]:
    """One sample ``[T, n]``, with loops."""
    T, n = s.shape
    first = [next((t for t in range(T) if s[t, i]), None) for i in range(n)]
    edges = np.array_split(np.arange(T), min(4, T))
    gaps = [np.diff(np.flatnonzero(s[:, i])).mean() for i in range(n) if s[:, i].sum() > 1]
    rate = s.mean(0)
    return [
        rate.mean(), rate.std(), *(np.mean([f in part for f in first]) for part in edges),
        np.mean([f is None for f in first]), *s.mean(1), np.mean(gaps) if gaps else T,
    ]  # fmt: skip


@pytest.mark.parametrize(("T", "rate"), [(6, 0.4), (9, 0.1), (3, 0.0), (2, 1.0), (1, 0.5)])
def test_layer_features_are_those_of_loops(T, rate):
    s = (torch.rand(T, 5, 7, generator=torch.Generator().manual_seed(T)) < rate).float()
    got = torch.stack(layer_features(s), 1).numpy()
    np.testing.assert_allclose(got, [by_hand(one) for one in s.transpose(0, 1).numpy()], atol=2e-6)


def test_first_spikes_are_a_distribution():
    s = (torch.rand(7, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    first, never = first_spike_shares(s)
    assert torch.equal(first.sum(0) + never, torch.ones(3, 5))
    assert bool((first.argmax(0) == s.argmax(0))[s.sum(0) > 0].all())


def test_decision_by_hand():
    o = torch.zeros(5, 2, 2)
    o[:, 0, 0] = 1.0
    o[:, 1] = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 4.0], [0.0, 1.0], [9.0, 0.0]])
    decided, flips = decision_features(o)
    assert decided.tolist() == [0.0, 4.0]
    assert flips.tolist() == [0.0, 3.0]


@pytest.mark.parametrize(
    ("mode", "policy"), [("m", None), ("s", None), ("m", Surrogate("atan", 8.0)), ("m", PDSG()), ("m", BPTR())]
)
def test_a_recording_changes_nothing(mode, policy):
    body = net()
    functional.set_step_mode(body.body, mode)
    surrogates = [m.surrogate_function for m in body.modules() if hasattr(m, "surrogate_function")]
    x = X.clone().requires_grad_(True)
    plain = body(x)
    with body.gradient(policy) if policy is not None else torch.enable_grad():
        seen = recorded(body, x)
        gradient = torch.autograd.grad(seen.logits[:, 0].sum(), x, retain_graph=True)[0]
        same = torch.autograd.grad(body(x)[:, 0].sum(), x)[0]
    assert torch.equal(seen.logits, plain)
    assert torch.equal(gradient, same)
    assert [m.surrogate_function for m in body.modules() if hasattr(m, "surrogate_function")] == surrogates
    assert [tuple(s.shape) for s in seen.spikes.values()] == [(6, 4, 12), (6, 4, 8)]
    for name, v in seen.membranes.items():
        assert torch.equal((v >= 0).float(), seen.spikes[name])


def test_a_fast_network_is_recorded_whole():
    network = net()
    plain = recorded(network, X)
    network.fast, network.max_memory = True, 10_000
    fast = recorded(network, X)
    assert network.fast
    assert network.max_memory == 10_000
    assert all(torch.equal(fast.spikes[name], s) for name, s in plain.spikes.items())
    assert all(torch.equal(fast.membranes[name], v) for name, v in plain.membranes.items())


def test_surrogates_are_put_back_after_an_error():
    broken = net()
    before = [m.surrogate_function for m in broken.modules() if hasattr(m, "surrogate_function")]

    def fail(v):
        raise RuntimeError("inside a neuron")

    handle = before[1].register_forward_pre_hook(lambda module, args: fail(args))
    with pytest.raises(RuntimeError, match="inside a neuron"):
        recorded(broken, X)
    handle.remove()
    assert [m.surrogate_function for m in broken.modules() if hasattr(m, "surrogate_function")] == before


def test_features_have_a_gradient_and_stay_finite_when_all_is_silent():
    network = net()
    with torch.no_grad():
        for parameter in network.body.parameters():
            parameter.zero_()
    x = X.clone().requires_grad_(True)
    features = timing_features(recorded(network, x), with_code=True)
    gradient = torch.autograd.grad(features.sum(), x)[0]
    assert bool(torch.isfinite(features).all())
    assert bool(torch.isfinite(gradient).all())
    assert bool((gradient != 0).any())


def test_draws_of_a_random_network_are_averaged():
    network = net(Poisson(T=6))
    network.votes = 3
    with torch.no_grad():
        seen = recorded(network, X)
    assert seen.code.shape == (6, 4, 1, 4, 4)
    assert set((seen.code * 3).round().unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}


def test_distance_is_the_exponent_of_the_normal_density():
    generator = torch.Generator().manual_seed(3)
    f = torch.randn(80, 3, generator=generator, dtype=torch.double) * torch.tensor([1.0, 5.0, 0.1])
    y = torch.arange(80) % 2
    found = fit_gaussians(f, y, 2)
    scaled = ((f - f.mean(0)) / f.std(0)).numpy()
    own = LedoitWolf().fit(scaled[y.numpy() == 1])
    law = multivariate_normal(own.location_, own.covariance_)
    expected = -2 * (law.logpdf(scaled[:5]) - law.logpdf(own.location_)) / 3
    np.testing.assert_allclose(found.distance(f[:5], torch.ones(5).long()).numpy(), expected, rtol=1e-4)


def test_roc_by_counting():
    generator = np.random.default_rng(0)
    clean, attacked = generator.normal(size=200), generator.normal(1.0, size=150)
    curve = detection_curve(clean, attacked)
    assert curve.auc == pytest.approx(np.mean(attacked[:, None] > clean[None]))
    threshold = np.sort(clean)[-11]
    assert curve.tpr_at(0.05) == pytest.approx(np.mean(attacked > threshold))
    ax = curve.plot()
    assert ax.get_xscale() == "log"
    assert curve.plot(ax, label="again") is ax
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [f"detector (AUC {curve.auc:.3f})", f"again (AUC {curve.auc:.3f})"]
    with pytest.raises(ValueError, match="finite scores of both kinds"):
        detection_curve([], [1.0])
