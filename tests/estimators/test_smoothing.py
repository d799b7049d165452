"""The smoothed classifier: two samples, abstention, draws that belong to the sample, ART's contract."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.defences.preprocessor import SpatialSmoothingPyTorch
from art.estimators.certification.randomized_smoothing.randomized_smoothing import RandomizedSmoothingMixin
from torch import nn
from torch.nn import functional as F

from art_snn.coding import EventFrames, Latency, MeanCurrent, Poisson, Transformed, jitter
from art_snn.coding.draws import SeededDraws
from art_snn.coding.randomized import SpikeDropout, SpikeJitter
from art_snn.estimators import SmoothedSNN
from art_snn.networks import SpikingNetwork, mlp

X = np.random.default_rng(0).random((3, 1, 8, 8)).astype(np.float32)


def smoothed(encoder=None, **kwargs) -> SmoothedSNN:
    encoder = Transformed(Latency(T=6), SpikeJitter(1)) if encoder is None else encoder
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = mlp((1, 8, 8), 10, encoder=encoder)
    return SmoothedSNN(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), **kwargs)


def coin(**kwargs) -> SmoothedSNN:
    """Class 0 where the one bit of the code is 1: its probability is the pixel."""
    layer = nn.Linear(1, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0], [0.0]]))
        layer.bias.copy_(torch.tensor([0.0, 0.5]))
    net = SpikingNetwork(Poisson(T=1), layer, MeanCurrent())
    return SmoothedSNN(net, nn.CrossEntropyLoss(), (1,), 2, clip_values=(0.0, 1.0), **kwargs)


def test_it_is_a_smoothed_classifier_of_art():
    clf = smoothed()
    assert isinstance(clf, RandomizedSmoothingMixin)
    votes = clf.predict(X)
    assert votes.shape == (3, 10)
    assert votes.dtype == np.float32
    np.testing.assert_allclose(votes.sum(1), 1, rtol=1e-6)


def test_draws_belong_to_the_sample_not_to_the_batch():
    clf = smoothed()
    whole = clf.certified(X, n=150)
    again = smoothed().certified(X[::-1], n=150, batch_size=7)
    np.testing.assert_array_equal(whole.counts, again.counts[::-1])
    np.testing.assert_array_equal(clf.certify(X, n=150)[1], whole.radius)
    other = smoothed(seed=1).certified(X, n=150)
    assert (other.counts != whole.counts).any()


def test_the_draws_are_those_of_the_code():
    clf = smoothed()
    clf._draws = SeededDraws(5)
    trains = clf._noisy_samples(X[0], 40)
    code = Latency(T=6)(torch.as_tensor(X[:1])).expand(-1, 40, -1, -1, -1)
    np.testing.assert_array_equal(trains, jitter(code, 1, SeededDraws(5)).transpose(0, 1).numpy())


def test_the_chosen_class_is_counted_not_the_largest_of_the_second_sample(monkeypatch):
    clf = coin()
    votes = iter([np.array([60, 40]), np.array([300, 700])])
    monkeypatch.setattr(clf, "_prediction_counts", lambda *args: next(votes))
    found = clf.certified(np.array([[0.5]], dtype=np.float32), n=1000)
    assert found.prediction.tolist() == [-1]
    assert found.p_lower[0] < 0.35


def test_errors_of_an_undecided_sample_stay_below_alpha():
    """At probability one half any certificate is wrong; counting the maximum would double the errors."""
    x, alpha, runs = np.array([[0.5]], dtype=np.float32), 0.2, 300
    wrong = sum(
        int(coin_run.certified(x, n=101).prediction[0] >= 0)
        for coin_run in (coin(seed=seed, alpha=alpha, sample_size=1) for seed in range(runs))
    )
    assert wrong / runs < alpha + 3 * (alpha * (1 - alpha) / runs) ** 0.5


def test_abstention_and_radius():
    clf = coin()
    found = clf.certified(np.array([[0.5], [1.0], [0.0]], dtype=np.float32), n=1000)
    assert found.prediction.tolist() == [-1, 0, 1]
    assert found.radius[0] == 0
    assert found.p_lower[1] == pytest.approx(0.001 ** (1 / 1000))
    np.testing.assert_allclose(found.radius[1:], found.p_lower[1:] - 0.5, atol=1e-9)
    more = clf.certified(np.array([[1.0]], dtype=np.float32), n=5000)
    assert more.radius[0] > found.radius[1]
    assert clf.predict(np.array([[0.5]], dtype=np.float32), is_abstain=True).sum() == 0


def test_the_gradient_is_that_of_the_expected_softmax():
    clf, y = smoothed(), np.array([1, 2, 3])
    clf.model.eot = 5
    clf.model.reseed()
    got = clf.loss_gradient(X, y)
    clf.model.reseed()
    clf.model.eot = 1
    x = torch.as_tensor(X).requires_grad_(True)
    mean = torch.stack([F.softmax(clf.model(x), 1) for _ in range(5)]).mean(0)
    loss = F.nll_loss(mean.log(), torch.as_tensor(y))
    np.testing.assert_allclose(got, torch.autograd.grad(loss, x)[0].numpy(), rtol=1e-4, atol=1e-8)
    assert clf.model.eot == 1


def test_art_attacks_run_on_it():
    clf = smoothed(sample_size=10)
    clf.model.eot = 3
    x_adv = ProjectedGradientDescent(clf, eps=0.1, max_iter=2, verbose=False).generate(X, np.array([1, 2, 3]))
    assert 0 < np.abs(x_adv - X).max() <= 0.1 + 1e-6


def test_copies_and_clones():
    clf = smoothed(unit="delay", alpha=0.01)
    clone = pickle.loads(pickle.dumps(clf))  # noqa: S301
    np.testing.assert_array_equal(clone.certified(X, n=50).counts, clf.certified(X, n=50).counts)
    assert clone.certificate == clf.certificate
    assert clf.get_params()["unit"] == "delay"


def test_a_given_train_is_smoothed_at_the_spike_edge():
    s = (np.random.default_rng(1).random((2, 6, 1, 8, 8)) < 0.3).astype(np.float32)
    net = mlp((1, 8, 8), 10, encoder=Transformed(EventFrames(6), SpikeDropout(0.3)))
    clf = SmoothedSNN(net, nn.CrossEntropyLoss(), (6, 1, 8, 8), 10, clip_values=(0.0, 1.0))
    assert clf.certified(s, n=50).counts.sum() == 100
    edge = smoothed().at_spikes()
    assert isinstance(edge.model.encoder, Transformed)
    assert edge.model.is_stochastic
    with pytest.raises(ValueError, match="binary=True"):
        clf.certified(s * 0.5, n=10)


def test_identities_of_the_smoothed_network():
    plain = mlp((1, 8, 8), 10, encoder=Latency(T=6))
    for change in (SpikeJitter(0), SpikeDropout(1.0)):
        same = SpikingNetwork(Transformed(Latency(T=6), change), plain.body, plain.decoder)
        assert torch.equal(same(torch.as_tensor(X)), plain(torch.as_tensor(X)))


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"encoder": Latency(T=6)}, "deterministic"),
        ({"alpha": 0.0}, "alpha=0.001"),
        ({"sample_size": 0}, "sample_size=100"),
        ({"seed": -1}, "seed=0"),
        ({"unit": "l2"}, "unit='moves'"),
    ],
)
def test_wrong_use_names_the_fix(kwargs, text):
    with pytest.raises(ValueError, match=text):
        smoothed(**kwargs)


def test_wrong_parameters_later():
    clf = smoothed()
    with pytest.raises(ValueError, match="n=10_000"):
        clf.certify(X, n=0)
    with pytest.raises(ValueError, match="alpha"):
        clf.set_params(alpha=2.0)
    assert clf.alpha == 0.001


def test_nothing_stands_before_the_random_code():
    """A certificate is about the input of the code."""
    with pytest.raises(ValueError, match=r"preprocessors before the random code.*Fix: apply the preprocessor"):
        smoothed(preprocessing_defences=SpatialSmoothingPyTorch(channels_first=True))
