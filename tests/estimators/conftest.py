"""Real digits and small trained networks, made once per session."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, Latency, Poisson
from art_snn.networks import mlp

CODES = {"direct": lambda: Direct(T=6), "latency": lambda: Latency(T=8), "poisson": lambda: Poisson(T=8, seed=0)}


@pytest.fixture(scope="session")
def digits():
    """``x_train, y_train, x_test, y_test``: 8 x 8 digits in [0, 1], shuffled with a fixed seed."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = (data.images[order] / 16).astype(np.float32)[:, None]
    y = data.target[order]
    return x[:1400], y[:1400], x[1400:1600], y[1400:1600]


def classify(net, lr=2e-3, **kwargs):
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    kwargs = {"clip_values": (0.0, 1.0), **kwargs}
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, **kwargs)


@pytest.fixture(scope="session")
def classifier():
    """A factory of untrained classifiers."""

    def make(code="direct", **kwargs):
        encoder = CODES[code]() if isinstance(code, str) else code
        return classify(mlp((1, 8, 8), 10, hidden=(32,), encoder=encoder), **kwargs)

    return make


@pytest.fixture(scope="session")
def trained_network(digits):
    """A factory of trained networks, hidden width 128; each code is trained once."""
    x, y, _, _ = digits
    made = {}

    def make(code):
        if code not in made:
            net = mlp((1, 8, 8), 10, hidden=(128,), encoder=CODES[code]())
            with torch.random.fork_rng():
                torch.manual_seed(0)
                classify(net).fit(x, y, batch_size=64, nb_epochs=10)
            made[code] = net.eval()
        return made[code]

    return make


@pytest.fixture
def trained(trained_network):
    """A classifier around a trained network, in the state it was left in after training, rewound."""

    def make(code="direct"):
        net = trained_network(code)
        net.encoder.backward = type(net.encoder).backwards[0]
        net.eot = net.votes = 1
        net.reseed()
        return classify(net)

    return make
