"""What the cases are run on: the same digits, seen by two spiking codes and by a plain network of the same layers."""

from __future__ import annotations

import copy
from collections import OrderedDict
from functools import cache
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, Latency
from art_snn.data import load
from art_snn.defenses.postprocessor import Softmax
from art_snn.networks import ann_twin, mlp
from art_snn.networks.twin import plain_layers
from art_snn.seeding import seeded_globals

VICTIMS = ("ann", "direct", "latency")
"""A plain ``PyTorchClassifier``; ``SNNClassifier`` with direct code (4 steps) and with latency code (8 steps)."""

CLASSES, HIDDEN, EPOCHS = 10, 48, 6
SHAPES = {
    "images": (1, 8, 8),
    "color": (3, 8, 8),
    "large": (1, 16, 16),
    "last": (8, 8, 3),
    "video": (4, 8, 8, 3),
    "table": (16,),
}
"""Grey digits; the same twice as large; in three channels, first or last; as four equal frames, channels last; as means
of 4 x 4 pixels, the first of them binary.
"""

Array = np.ndarray[Any, np.dtype[Any]]


class Plain(nn.Module):
    """The twin as a user of ART would write it: torch's own layers, one attribute each, no cast of the input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        for number, part in enumerate(body.children()):
            self.add_module(f"layer{number}", part)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for part in self.children():
            x = part(x)
        return x


def data(kind: str) -> tuple[Array, Array, Array, Array]:
    """Training and test samples of one of :data:`SHAPES`, with index labels."""
    digits = load("digits")
    return _as(kind, digits.x_train), digits.y_train, _as(kind, digits.x_test), digits.y_test


def _as(kind: str, x: Array) -> Array:
    if kind == "large":
        x = np.kron(x, np.ones((1, 1, 2, 2)))
    elif kind == "color":
        x = np.repeat(x, 3, axis=1)
    elif kind == "last":
        x = np.repeat(x.transpose(0, 2, 3, 1), 3, axis=3)
    elif kind == "video":
        x = np.repeat(np.repeat(x[:, :, :, :, None], 4, axis=1), 3, axis=4)
    elif kind == "table":
        x = x.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
        x[:, 0] = x[:, 5] > 0.5
    return np.ascontiguousarray(x, dtype=np.float32)


@cache
def network(victim: str, kind: str = "images") -> nn.Module:
    """A trained network; cases get copies."""
    encoder = Latency(T=8) if victim == "latency" else Direct(T=4)
    net: nn.Module = mlp((int(np.prod(SHAPES[kind])), 1, 1), CLASSES, hidden=(HIDDEN,), encoder=encoder)
    if victim == "ann":
        net = Plain(nn.Sequential(OrderedDict(plain_layers(ann_twin(net).body).named_children())))  # type: ignore[arg-type]
    x, y, _, _ = data(kind)
    x, y = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    with seeded_globals(0):
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x), generator=generator).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
    return net.eval()


def classifier(victim: str, kind: str = "images", probabilities: bool = False, **options: Any) -> PyTorchClassifier:
    """A fresh ART classifier around a copy of the trained network.

    :param probabilities: softmax behind the logits, for what reads the output as probabilities.
    """
    net = copy.deepcopy(network(victim, kind))
    settings: dict[str, Any] = {
        "clip_values": (0.0, 1.0), "device_type": "cpu", "optimizer": torch.optim.Adam(net.parameters(), lr=1e-3),
        "postprocessing_defences": Softmax() if probabilities else None,
        "channels_first": kind not in ("last", "video"), **options,
    }  # fmt: skip
    cls = PyTorchClassifier if victim == "ann" else SNNClassifier
    return cls(net, nn.CrossEntropyLoss(), SHAPES[kind], CLASSES, **settings)
