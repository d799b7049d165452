from types import SimpleNamespace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import EventFrames, MembraneMean
from art_snn.networks import mlp

T = 6


def recordings(images):
    """Binary grids [N, T, 2, 8, 8]: bright pixels fire early in channel 1, dark edges late in channel 0."""
    x = torch.tensor(images / 16.0)[:, None, None]
    on = (torch.arange(T).view(1, T, 1, 1, 1) == ((1 - x) * T).floor()) & (x > 0.3)
    edge = (x - x.roll(1, -1)).abs()
    off = (torch.arange(T).view(1, T, 1, 1, 1) == (T - 1 - (edge * 3).floor()).clamp(0, T - 1)) & (edge > 0.4)
    return torch.cat([off, on], 2).float().numpy()


def classifier(net, shape=(T, 2, 8, 8), clip=(0.0, 1.0)):
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, 10, clip_values=clip, device_type="cpu")


@pytest.fixture(scope="session")
def events():
    """A network of event frames, trained in float64, and recordings it has not seen."""
    data = load_digits()
    x, y = recordings(data.images), data.target
    net = mlp((2, 8, 8), 10, hidden=(24,), encoder=EventFrames(T=T), decoder=MembraneMean(tau=1.0))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    gen = torch.Generator().manual_seed(0)
    inputs, labels = torch.tensor(x[:700]), torch.tensor(y[:700])
    for _ in range(12):
        for index in torch.randperm(700, generator=gen).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs[index]), labels[index]).backward()
            optimizer.step()
    clf = classifier(net.double().eval())
    test = slice(700, 708)
    return SimpleNamespace(x=x[test], y=y[test], clf=clf, more=(x[716:736], y[716:736]))


@pytest.fixture
def event_classifier():
    return classifier


@pytest.fixture(scope="session")
def unit(events):
    """One classifier of counts: the same network, without an upper clip value."""
    return classifier(events.clf.model, clip=None)
