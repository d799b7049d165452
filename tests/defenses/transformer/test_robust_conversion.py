"""Robust conversion as an ART transformer."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from art.defences.transformer import Transformer
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.conversion import fine_tune
from art_snn.defenses.transformer import RobustConversion

EPS = 0.1


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    return (data.images[order] / 16).astype(np.float32)[:, None], data.target[order]


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 32),
        nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip


def classify(model, **kwargs):
    kwargs = {"clip_values": (0.0, 1.0), **kwargs}
    return PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, **kwargs)


@pytest.fixture(scope="module")
def source(digits):
    """Trained adversarially, with the package's own loop."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = network()
    x, y = torch.tensor(digits[0][:1200]), torch.tensor(digits[1][:1200])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(8):
        fine_tune(model.train(), zip(x.split(64), y.split(64), strict=True), optimizer, eps=EPS, seed=epoch)
    return classify(model.eval())


@pytest.mark.parametrize("loss", ["trades", "mart"])
def test_converts_and_keeps_robustness(source, digits, loss):
    x, y = digits
    before = {name: value.clone() for name, value in source.model.state_dict().items()}
    defense = RobustConversion(source, T=4, eps=EPS, loss=loss, lr=5e-3)
    assert isinstance(defense, Transformer)
    assert not defense.is_fitted
    defense.fit(x[:320], np.eye(10)[y[:320]], batch_size=64, nb_epochs=3)
    assert defense.is_fitted
    snn = defense(x)
    assert isinstance(snn, SNNClassifier)
    assert snn.model.T == 4
    assert all(torch.equal(value, before[name]) for name, value in source.model.state_dict().items())
    test, label = x[1200:1400], y[1200:1400]
    moved = FastGradientMethod(snn, eps=EPS).generate(test, label)
    calm, left = ((snn.predict(z).argmax(1) == label).mean() for z in (test, moved))
    assert calm > 0.85
    assert calm > left > 0.6


def test_same_seed_same_network(source, digits):
    made = []
    for _ in range(2):
        defense = RobustConversion(source, T=2, eps=EPS, seed=3)
        defense.fit(digits[0][:64], digits[1][:64], nb_epochs=1)
        made.append(defense().predict(digits[0][:8]))
    np.testing.assert_array_equal(*made)


def test_mistakes_are_explained(source, digits):
    with pytest.raises(ValueError, match="fit first"):
        RobustConversion(source)()
    with pytest.raises(ValueError, match="labels"):
        RobustConversion(source).fit(digits[0])
    with pytest.raises(ValueError, match="did you mean 'trades'"):
        RobustConversion(source, loss="trade")
    with pytest.raises(ValueError, match="at least 0"):
        RobustConversion(source, eps=-0.1)
    with pytest.raises(TypeError, match="PyTorchClassifier"):
        RobustConversion(network())
    with pytest.raises(ValueError, match="clip values"):
        RobustConversion(classify(network(), clip_values=None))
    with pytest.raises(ValueError, match="raw inputs"):
        RobustConversion(classify(network(), preprocessing=(0.5, 0.5)))
    defense = RobustConversion(source)
    defense.set_params(eps=0.2)
    assert defense.eps == 0.2
