"""A digits classifier around any body, trained for seconds, and what it must survive."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, MembraneMean
from art_snn.networks import SpikingNetwork
from art_snn.testing import tiny


def classifier_of(body, T=6, epochs=0):
    net = SpikingNetwork(Direct(T), body, MembraneMean(tau=1.0))
    if epochs:
        tiny.fit(net, epochs=epochs)
    optimizer = torch.optim.Adam(net.parameters())
    return SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer, clip_values=(0.0, 1.0), device_type="cpu"
    )


@pytest.fixture
def classifier():
    return classifier_of


@pytest.fixture
def right():
    """Test digits that a classifier gets right."""

    def chosen(clf, number=24):
        x, y = tiny.samples(120)
        rows = np.flatnonzero(clf.predict(x).argmax(1) == y)[:number]
        return x[rows], y[rows]

    return chosen


@pytest.fixture(autouse=True)
def quiet():
    """The libraries warn about themselves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="(snntorch|norse|nir)")
        yield
