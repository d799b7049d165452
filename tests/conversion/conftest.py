"""A small convolutional network on real digits, trained once with ReLU and tuned once with quantized activations."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn.conversion import replace_activations


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def train(model, x, y, epochs, lr=5e-3):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval()


@pytest.fixture(scope="session")
def digits():
    """``x_train, y_train, x_test, y_test`` as tensors."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = torch.tensor((data.images[order] / 16).astype(np.float32))[:, None]
    y = torch.tensor(data.target[order])
    return x[:1200], y[:1200], x[1200:], y[1200:]


@pytest.fixture(scope="session")
def ann(digits):
    """The trained ReLU network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return train(small_cnn(), *digits[:2], epochs=12)


@pytest.fixture(scope="session")
def qnn(ann, digits):
    """The same network with quantized activations, tuned."""
    return train(replace_activations(ann, levels=8, calibration=digits[0][:256]), *digits[:2], epochs=2, lr=1e-3)
