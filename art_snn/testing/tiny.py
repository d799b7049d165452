"""Tiny networks, trained on the bundled digits in a second or two, from fixed seeds, on the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from art_snn.coding import Direct, Encoder
from art_snn.conversion import QCFS, convert
from art_snn.data import Dataset, load
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.seeding import seeded_globals
from art_snn.networks import SpikingNetwork, ann_twin, mlp

Array = np.ndarray[Any, np.dtype[Any]]
SHAPE = (1, 8, 8)
CLASSES = 10
_BATCH = 128
_RATE = 5e-3


@cache
def digits() -> Dataset:
    """The bundled digits, read once."""
    return load("digits")


def samples(number: int = 64, seed: int = 0) -> tuple[Array, Array]:
    """Test images ``[N, 1, 8, 8]`` in [0, 1] and labels, balanced over the classes."""
    x, y, _ = digits().select(number, seed)
    return x, y


def fit(net: nn.Module, epochs: int = 8, eps: float = 0.0, x: Array | None = None, seed: int = 0) -> nn.Module:
    """Train on the digits; on three-step PGD examples where ``eps`` is not 0.

    :param net: any module, batch to logits.
    :param x: other inputs of the same samples, say event frames.
    :return: ``net`` in eval mode.
    """
    inputs = torch.tensor(digits().x_train if x is None else x)
    labels = torch.tensor(digits().y_train)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=_RATE)
    net.train()
    with seeded_globals(seed):
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs), generator=generator).split(_BATCH):
                batch = inputs[rows] if eps == 0 else perturbed(net, inputs[rows], labels[rows], eps, generator)
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(batch), labels[rows]).backward()
                optimizer.step()
    return net.eval()


def perturbed(net: nn.Module, x: Tensor, y: Tensor, eps: float, generator: torch.Generator, steps: int = 3) -> Tensor:
    """PGD from a random start, in steps of ``eps / 2``."""
    point = (x + eps * (2 * torch.rand(x.shape, generator=generator) - 1)).clamp(0, 1)
    for _ in range(steps):
        point.requires_grad_(True)
        grad = torch.autograd.grad(nn.functional.cross_entropy(net(point), y, reduction="sum"), point)[0]
        point = torch.clamp(point.detach() + eps / 2 * grad.sign(), x - eps, x + eps).clamp(0, 1)
    return point.detach()


@cache
def analog(eps: float = 0.0) -> nn.Module:
    """Linear, ReLU, Linear; adversarially trained where ``eps`` is not 0."""
    return fit(ann_twin(mlp(SHAPE, CLASSES, hidden=(64,))), epochs=8 if eps == 0 else 20, eps=eps)


def spiking(encoder: Encoder, epochs: int = 8, eps: float = 0.0) -> SpikingNetwork:
    """Linear, LIF, Linear behind a code."""
    net = mlp(SHAPE, CLASSES, hidden=(64,), encoder=encoder)
    fit(net, epochs, eps)
    return net


@cache
def direct() -> SpikingNetwork:
    """A directly coded network of four steps."""
    return spiking(Direct(T=4))


@cache
def converted() -> SpikingNetwork:
    """A network converted from QCFS activations."""
    source = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), QCFS(levels=8), nn.Linear(64, CLASSES))
    with torch.no_grad(), seeded_globals(0):
        for layer in (source[1], source[3]):
            layer.reset_parameters()  # type: ignore[operator]
    return convert(fit(source), T=8, calibration=torch.tensor(digits().x_train[:_BATCH]))


def classifier(net: nn.Module, **options: Any) -> PyTorchClassifier:
    """The ART classifier of a network: ``SNNClassifier`` where it is a ``SpikingNetwork``."""
    kind = SNNClassifier if isinstance(net, SpikingNetwork) else PyTorchClassifier
    settings = {"clip_values": (0.0, 1.0), "input_shape": SHAPE, "device_type": "cpu", **options}
    return kind(net, nn.CrossEntropyLoss(), nb_classes=CLASSES, **settings)
