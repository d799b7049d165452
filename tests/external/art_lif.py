"""A trained network of LIF neurons in the place of ART's reference network: it really spikes.

The canary computes ART's own function, so every number stays valid. This network computes another one: a test that
asserts a number of the reference weights fails with it, and a test that asserts what an attack or a defence does to any
good classifier has to pass.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from art_canary import CLASSES, SHAPE, STEPS, classifier
from sklearn.datasets import load_iris
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn import SpikingNetwork
from art_snn.coding import Decoder, Direct, MembraneMean
from art_snn.networks import ann_twin, cnn

EPOCHS, BATCH, RATE = 4, 64, 3e-3
FLOWERS, KINDS, UNITS = (4,), 3, 64


class Probabilities(Decoder):
    """The softmax of the mean membrane, where ART's test asks for probabilities."""

    def decode(self, o: Tensor) -> Tensor:
        return MembraneMean().decode(o).softmax(1)


def images(from_logits: bool = True) -> SpikingNetwork:
    """Direct current, a convolution and a hidden layer of LIF neurons, four steps."""
    net = cnn(SHAPE, CLASSES, channels=(8,), encoder=Direct(STEPS))
    return net if from_logits else SpikingNetwork(net.encoder, net.body, Probabilities())


def flowers() -> SpikingNetwork:
    """One hidden layer of LIF neurons for ART's table of iris flowers."""
    return SpikingNetwork(
        Direct(STEPS), nn.Sequential(nn.Linear(*FLOWERS, UNITS), neuron.LIFNode(), nn.Linear(UNITS, KINDS))
    )


def _trained(net: Any, name: str, load_init: bool) -> Any:
    if load_init:
        net.load_state_dict(torch.load(Path(os.environ["ART_TRAINED_SNN"]) / name, weights_only=True))
    return net


def get_image_classifier_pt(from_logits: bool = False, load_init: bool = True, use_maxpool: bool = True) -> Any:
    """In the place of ART's function of the same name; there is one network, with pooling or without."""
    return classifier(_trained(images(from_logits), "lif.pt", load_init))


def relu_image_classifier_pt(from_logits: bool = False, load_init: bool = True, use_maxpool: bool = True) -> Any:
    """The same layers with ReLU and without time, trained alike, in ART's own classifier: what fails with this one too
    asks for ART's weights, and not for a network without spikes.
    """
    net = _trained(ann_twin(images()), "relu.pt", load_init)
    return classifier(net if from_logits else nn.Sequential(net, nn.Softmax(1)), PyTorchClassifier)


def get_image_classifier_pt_functional() -> Any:
    """In the place of ART's: an untrained network."""
    return classifier(images(), loss=nn.CrossEntropyLoss())


def get_tabular_classifier_pt(load_init: bool = True) -> Any:
    """In the place of ART's, which has three linear layers and nothing between them."""
    net = _trained(flowers(), "lif-iris.pt", load_init)
    return classifier(net, loss=nn.CrossEntropyLoss(), input_shape=FLOWERS, nb_classes=KINDS)


def _fit(net: Any, x: Tensor, y: Tensor, epochs: int) -> Any:
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * -(-len(x) // BATCH))
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _right(net: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        return float((torch.cat([net(part).argmax(1) for part in x.split(500)]) == y).double().mean())


def _mnist(home: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with np.load(home / ".art" / "data" / "mnist.npz") as data:
        x, x_test = (torch.tensor(data[f"x_{part}"][:, None] / 255, dtype=torch.float32) for part in ("train", "test"))
        y, y_test = (torch.tensor(data[f"y_{part}"].astype(np.int64)) for part in ("train", "test"))
    return x, y, x_test, y_test


def train(work: Path, home: Path) -> dict[str, float]:
    """Train on MNIST and on iris once, keep the weights in ``work`` and what they reach in ``lif.json``."""
    facts = work / "lif.json"
    if facts.exists():
        return dict(json.loads(facts.read_text()))
    x, y, x_test, y_test = _mnist(home)
    found: dict[str, float] = {"steps": STEPS}
    for name, net in (("lif", images()), ("relu", ann_twin(images()))):
        torch.save(_fit(net, x, y, EPOCHS).state_dict(), work / f"{name}.pt")
        found[name] = _right(net, x_test, y_test)
    table = load_iris()
    rows, kinds = torch.tensor(table.data / table.data.max(), dtype=torch.float32), torch.tensor(table.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = flowers()
    torch.save(_fit(small, rows, kinds, 400).state_dict(), work / "lif-iris.pt")
    found["iris"] = _right(small, rows, kinds)
    facts.write_text(json.dumps(found))
    return found
