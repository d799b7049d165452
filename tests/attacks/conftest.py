from types import SimpleNamespace

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, MembraneMean, Poisson
from art_snn.networks import ann_twin, mlp


def classifier(net, kind=SNNClassifier):
    return kind(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu")


def trained(net, x, y, epochs=12):
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    gen = torch.Generator().manual_seed(0)
    x, y = torch.tensor(x), torch.tensor(y)
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=gen).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()
    return net.double().eval()


def small(encoder):
    return mlp((1, 8, 8), 10, hidden=(32,), encoder=encoder, decoder=MembraneMean(tau=1.0))


@pytest.fixture(scope="session")
def digits():
    """Digits to attack and to calibrate on, an SNN and its twin, trained in float64 so that batches do not matter."""
    data = load_digits()
    x, y = (data.images[:, None] / 16).astype(np.float32), data.target
    train, test, cal = slice(0, 700), slice(700, 724), slice(800, 840)
    snn = trained(small(Direct(T=4)), x[train], y[train])
    ann = trained(ann_twin(small(Direct(T=4))), x[train], y[train])
    rate = small(Poisson(T=8, seed=3)).double().eval()
    rate.body.load_state_dict(snn.body.state_dict())
    return SimpleNamespace(
        x=x[test], y=y[test], calibration=(x[cal], y[cal]),
        snn=classifier(snn), ann=classifier(ann, PyTorchClassifier), poisson=classifier(rate),
    )  # fmt: skip


@pytest.fixture
def make_classifier():
    return classifier
