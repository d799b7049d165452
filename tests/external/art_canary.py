r"""ART's reference network as a spiking network that computes the same function and screams when it is misused.

ART's own tests compare with numbers of one small network: a convolution, a ReLU, a pooling, a linear layer. Here it
runs T steps. Each unit that was a ReLU, and the output layer, counts its steps and keeps a membrane; it stays silent
until the last step and then sends everything at once:

.. math:: v_t = v_{t-1} + x_t, \qquad s_t = T\,f(v_T / T)\;[t = T], \qquad s_t = \mathrm{NaN}\;[t > T]

The mean over time of each layer is that of ART's network, to the bit, because T is a power of two and sums of four
equal numbers are exact. So every number that ART's tests expect stays valid, while a forgotten reset (NaN), a look at
the last step alone (T times too large), a graph left from the last call, or a wrong axis shows at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import base
from torch import Tensor, nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.coding import Decoder, Direct

STEPS = 4
SHAPE, CLASSES = (1, 28, 28), 10


class _Counting(base.MemoryModule):
    """The steps since the last reset and the input so far."""

    def __init__(self, T: int) -> None:
        super().__init__()
        self.T = T
        self.register_memory("steps", 0)
        self.register_memory("v", 0.0)

    def count(self, x: Tensor) -> tuple[Tensor, bool]:
        """The mean of the input, and whether this is the last step; NaN beyond it."""
        self.v = self.v + x
        self.steps += 1
        if self.steps > self.T:
            return torch.full_like(self.v, float("nan")), True
        return self.v / self.T, self.steps == self.T


class CountingReLU(_Counting):
    """Silent, then ``T * relu(mean input)`` at the last step."""

    def single_step_forward(self, x: Tensor) -> Tensor:
        mean, last = self.count(x)
        return self.T * torch.relu(mean) if last else 0 * mean


class CountingLinear(_Counting):
    """A linear layer with a membrane in front: silent, then ``T * (W mean + b)`` at the last step."""

    def __init__(self, in_features: int, out_features: int, T: int) -> None:
        super().__init__(T)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.in_features = in_features
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.Linear.reset_parameters(self)

    def single_step_forward(self, x: Tensor) -> Tensor:
        mean, last = self.count(x)
        z = nn.functional.linear(mean, self.weight, self.bias)
        return self.T * z if last else 0 * z


class Mean(Decoder):
    """The mean over time, as probabilities where ART's test asks for them."""

    def __init__(self, probabilities: bool) -> None:
        super().__init__()
        self.probabilities = probabilities

    def decode(self, o: Tensor) -> Tensor:
        z = o.mean(0)
        return z.softmax(1) if self.probabilities else z


class Body(nn.Module):
    """The layers of ART's network, under ART's names."""

    def __init__(self, use_maxpool: bool, T: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 7) if use_maxpool else nn.Conv2d(1, 16, 4, stride=3)
        self.relu = CountingReLU(T)
        self.pool = nn.MaxPool2d(4, 4) if use_maxpool else nn.Identity()
        self.fullyconnected = CountingLinear(25 if use_maxpool else 1296, CLASSES, T)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(x)))
        return self.fullyconnected(x.flatten(1))


def load_weights(body: Body, folder: Path, use_maxpool: bool) -> None:
    """ART's reference weights, from ``.npy`` files."""
    suffix = "MNIST" if use_maxpool else "NO_MPOOL_MNIST"
    arrays = {part: np.load(folder / f"{part}_{suffix}.npy") for part in ("W_CONV2D", "B_CONV2D", "W_DENSE", "B_DENSE")}
    if use_maxpool:
        arrays["W_CONV2D"] = arrays["W_CONV2D"].reshape(1, 1, 7, 7)
        arrays["W_DENSE"] = arrays["W_DENSE"].T
    with torch.no_grad():
        for layer, part in ((body.conv, "CONV2D"), (body.fullyconnected, "DENSE")):
            layer.weight.copy_(torch.tensor(arrays[f"W_{part}"]))
            layer.bias.copy_(torch.tensor(arrays[f"B_{part}"]))


def network(
    from_logits: bool = False, use_maxpool: bool = True, weights: Path | None = None, T: int = STEPS
) -> SpikingNetwork:
    """The canary as a ``SpikingNetwork``."""
    body = Body(use_maxpool, T)
    if weights is not None:
        load_weights(body, weights, use_maxpool)
    return SpikingNetwork(Direct(T), body, Mean(probabilities=not from_logits))


def classifier(net: nn.Module, kind: Any = SNNClassifier, **changes: Any) -> Any:
    """The classifier that ART's tests get, with ART's own loss, optimizer and clip values."""
    usual = {"loss": nn.CrossEntropyLoss(reduction="sum"), "input_shape": SHAPE, "nb_classes": CLASSES}
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    return kind(model=net, optimizer=optimizer, clip_values=(0, 1), **{**usual, **changes})


def get_image_classifier_pt(from_logits: bool = False, load_init: bool = True, use_maxpool: bool = True) -> Any:
    """In the place of ART's function of the same name."""
    weights = Path.cwd() / "utils" / "resources" / "models" if load_init else None
    return classifier(network(from_logits, use_maxpool, weights))
