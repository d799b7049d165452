"""Transforms in front of a classifier and inside a network, and what attacks see of them."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.attacks import SNNAutoPGD
from art_snn.coding import EventFrames, Latency, SpikeTransform, Transformed, spike_transform
from art_snn.defenses.preprocessor import BackgroundActivityFilter, RefractoryFilter, SpikePreprocessor
from art_snn.evaluation.flags import CHECKS, Evidence
from art_snn.networks import mlp

T, H = 5, 6


class Thinned(SpikeTransform):
    is_stochastic = True

    def transform(self, s):
        return s * (self.draws.uniform(len(s), s[0]) < 0.6)


def events(n=6, seed=0):
    return (np.random.default_rng(seed).random((n, T, 2, H, H)) < 0.06).astype(np.float32)


def classifier(transform=None, kind=SNNClassifier):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(2), nn.Linear(2 * H * H, 4))
    net = SpikingNetwork(EventFrames(T), body)
    defences = None if transform is None else [SpikePreprocessor(transform)]
    return kind(
        net, nn.CrossEntropyLoss(), (T, 2, H, H), 4, clip_values=(0.0, 1.0), preprocessing_defences=defences,
        device_type="cpu",
    )  # fmt: skip


def test_in_front_of_the_classifier_it_equals_inside_the_network():
    outside = classifier(BackgroundActivityFilter(2, 1))
    plain = classifier()
    code = Transformed(EventFrames(T), BackgroundActivityFilter(2, 1))
    inside = SNNClassifier(
        SpikingNetwork(code, plain.model.body), nn.CrossEntropyLoss(), (T, 2, H, H), 4, clip_values=(0.0, 1.0),
        device_type="cpu",
    )  # fmt: skip
    x, y = events(), np.arange(6) % 4
    np.testing.assert_array_equal(outside.predict(x), inside.predict(x))
    np.testing.assert_allclose(outside.loss_gradient(x, y), inside.loss_gradient(x, y), rtol=1e-5)
    assert not np.array_equal(outside.predict(x), plain.predict(x))


def test_a_rebuilt_classifier_keeps_it():
    ours, rebuilt = classifier(RefractoryFilter(1)), classifier(RefractoryFilter(1), PyTorchClassifier)
    x, y = events(), np.eye(4)[np.arange(6) % 4]
    np.testing.assert_allclose(ours.loss_gradient(x, y), rebuilt.loss_gradient(x, y), rtol=1e-5)
    assert FastGradientMethod(rebuilt, eps=0.1).generate(x).shape == x.shape


def test_a_hidden_gradient_raises_e7_and_stops_a_gradient_attack():
    x = events(40)
    hidden, honest = (classifier(BackgroundActivityFilter(2, 1, backward=b)) for b in ("none", "smooth"))
    y = honest.predict(x).argmax(1)
    assert CHECKS["E7"].judge(Evidence(hidden, x, y, 0.3)).raised
    assert not CHECKS["E7"].judge(Evidence(honest, x, y, 0.3)).raised
    assert not hidden.loss_gradient(x, y).any()
    hit = [
        (clf.predict(FastGradientMethod(clf, eps=0.3).generate(x, y)).argmax(1) != y).mean() for clf in (hidden, honest)
    ]
    assert hit[0] == 0
    assert hit[1] > 0.5


def test_native_attacks_draw_a_random_preprocessor_anew_and_vote():
    clf = classifier(Thinned())
    x = events(10)
    y = classifier().predict(x).argmax(1)
    runs = []
    for batch_size in (10, 3):
        attack = SNNAutoPGD(clf, eps=0.3, max_iter=4, batch_size=batch_size, seed=1)
        runs.append(attack.generate(x, y))
        assert (attack.record.forwards[~attack.record.initially_wrong] >= 10).all()
    np.testing.assert_array_equal(*runs)


def test_a_decorated_function_is_a_transform():
    @spike_transform(backward="through")
    def halved(s):
        return 0.5 * s

    x = torch.rand(2, 1, 4)
    code = Transformed(Latency(T=4), halved)
    assert torch.equal(code(x), 0.5 * Latency(T=4)(x))
    assert "halved" in repr(halved)


def test_a_transformed_code_carries_every_gradient_of_its_code():
    net = mlp((1, 8, 8), 10, encoder=Transformed(Latency(T=4), spike_transform("identity")(lambda s: s.roll(1, 0))))
    x = torch.rand(2, 1, 8, 8).requires_grad_(True)
    (slope,) = torch.autograd.grad(net(x).sum(), x)
    assert (slope != 0).any()


def test_a_function_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match="one value per cell"):
        spike_transform()(lambda s: s[:1])(torch.zeros(3, 1, 2))


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: SpikePreprocessor(lambda s: s), TypeError),
        (lambda: Transformed(Latency(4), lambda s: s), TypeError),
        (lambda: spike_transform("sideways")(lambda s: s), ValueError),
        (lambda: SpikePreprocessor(RefractoryFilter())(np.zeros((2, 3), dtype=np.float32)), ValueError),
    ],
)
def test_wrong_use_names_the_fix(make, error):
    with pytest.raises(error, match="Fix:"):
        make()
