"""Small victims for what goes wrong in ART without a word."""

import warnings

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.errors import RangeWarning
from art_snn.testing import tiny


class Linear(nn.Module):
    """Two classes, one plane: the best L-infinity perturbation is known."""

    def __init__(self, weights):
        super().__init__()
        self.fc = nn.Linear(len(weights), 2, bias=False)
        with torch.no_grad():
            self.fc.weight.copy_(torch.stack([weights, -weights]))

    def forward(self, x):
        return self.fc(x.flatten(1))


def wrap(net, shape, classes, **options):
    settings = {"clip_values": (0.0, 1.0), "device_type": "cpu", **options}
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), shape, classes, **settings)


@pytest.fixture(scope="session")
def plane():
    """One large and many small weights, and the classifier."""
    weights = torch.tensor([4.0] + [0.05] * 63)
    return weights.numpy(), wrap(Linear(weights), (1, 8, 8), 2, clip_values=(-1.0, 1.0))


@pytest.fixture(scope="session")
def spiking():
    """A trained directly coded network, and samples that it gets right."""
    clf = tiny.classifier(tiny.direct())
    x, y = tiny.samples(64)
    right = clf.predict(x).argmax(1) == y
    return clf, x[right][:16], y[right][:16]


@pytest.fixture
def far_out():
    """Attacks may ask far outside the clip values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RangeWarning)
        yield


@pytest.fixture
def plain():
    return wrap


@pytest.fixture
def onehot():
    return lambda y, classes=10: np.eye(classes, dtype=np.float32)[y]
