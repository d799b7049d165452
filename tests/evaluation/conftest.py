"""Small trained models on real digits, made once per session."""

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import data
from art_snn.coding import Direct, Latency, Poisson
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.flags import Plan
from art_snn.evaluation.seeding import seeded_globals
from art_snn.networks import ann_twin, mlp

SMALL = Plan(probes=32, samples=8, steps=12, random_steps=2, queries=20, nes_samples=60, nes_points=2, grid=3, points=3)


@pytest.fixture(scope="session", autouse=True)
def small_plan():
    """What a comparison asks is tested here; how hard it looks is tested with the canaries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("art_snn.evaluation.cells.DEFAULT", SMALL)
        yield SMALL


def train(net, digits, epochs=8):
    from art.estimators.classification import PyTorchClassifier

    kind = SNNClassifier if hasattr(net, "encoder") else PyTorchClassifier
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    classifier = kind(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0))
    with seeded_globals(0):
        classifier.fit(digits.x_train, digits.y_train, batch_size=64, nb_epochs=epochs)
    return classifier


@pytest.fixture(scope="session")
def digits():
    return data.load("digits")


@pytest.fixture(scope="session")
def samples(digits):
    x, y, _ = digits.select(40, seed=0)
    return x, y


@pytest.fixture(scope="session")
def snn(digits):
    return train(mlp((1, 8, 8), 10, hidden=(64,), encoder=Direct(T=4)), digits)


@pytest.fixture(scope="session")
def ann(digits):
    return train(ann_twin(mlp((1, 8, 8), 10, hidden=(64,))), digits)


@pytest.fixture(scope="session")
def poisson(digits):
    return train(mlp((1, 8, 8), 10, hidden=(64,), encoder=Poisson(T=4)), digits)


@pytest.fixture(scope="session")
def latency(digits):
    return train(mlp((1, 8, 8), 10, hidden=(64,), encoder=Latency(T=8)), digits)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
