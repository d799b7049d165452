import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct
from art_snn.networks import cnn, mlp


@pytest.fixture(scope="session")
def digits():
    """``x_train, y_train, x_test, y_test``: 8 x 8 digits in [0, 1]."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.images[order] / 16).astype(np.float32)[:, None]
    y = data.target[order]
    return x[:1200], y[:1200], x[1200:1400], y[1200:1400]


@pytest.fixture(scope="session")
def few(digits):
    """Eighty digits and their labels."""
    return digits[0][:80], digits[1][:80]


@pytest.fixture(scope="session")
def classify():
    """A factory of untrained classifiers; two calls make equal ones."""

    def make(neuron="lif", encoder=None, norm=False, lr=2e-3, hidden=16, optimizer=torch.optim.Adam):
        encoder = Direct(T=4) if encoder is None else copy.deepcopy(encoder)
        if norm:
            net = cnn((1, 8, 8), 10, channels=(4,), hidden=hidden, encoder=encoder, neuron=neuron)
        else:
            net = mlp((1, 8, 8), 10, hidden=(hidden,), encoder=encoder, neuron=neuron)
        return SNNClassifier(
            net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer(net.parameters(), lr=lr), clip_values=(0.0, 1.0),
            device_type="cpu",
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def same_weights():
    """Whether two classifiers have the same weights, bit for bit."""

    def same(one, other):
        a, b = one.model.state_dict(), other.model.state_dict()
        return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)

    return same
