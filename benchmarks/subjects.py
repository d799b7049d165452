"""The networks that are measured, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from art_snn import SpikingNetwork
from art_snn.coding import MembraneMean
from art_snn.networks import cnn, mlp


class Plain(nn.Module):
    """A spiking network as one writes it with SpikingJelly alone: reset, encode, multi-step body, read out."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.encoder, self.body, self.decoder = net.encoder, net.body, net.decoder

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]``."""
        functional.reset_net(self.body)
        z: Tensor = self.decoder(self.body(self.encoder(x)))
        return z


def input_gradient(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        point = x.clone().requires_grad_(True)
        return torch.autograd.grad(model(point).logsumexp(1).sum(), point)[0]

    return run


def prediction(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.no_grad():
            return model(x)

    return run


def vgg11(encoder: Any) -> SpikingNetwork:
    """VGG-11 for images of 32 x 32."""
    layers: list[nn.Module] = []
    planes = 3
    for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if width == "pool":
            layers.append(layer.AvgPool2d(2, step_mode="m"))
            continue
        layers += [layer.Conv2d(planes, width, 3, padding=1, bias=False, step_mode="m")]
        layers += [layer.BatchNorm2d(width, step_mode="m")]
        layers += [
            neuron.LIFNode(decay_input=False, detach_reset=True, surrogate_function=surrogate.ATan(), step_mode="m")
        ]
        planes = width
    layers += [layer.Flatten(step_mode="m"), layer.Linear(512, 10, step_mode="m")]
    return SpikingNetwork(encoder, nn.Sequential(*layers), MembraneMean())


NETWORKS: dict[str, tuple[Callable[[Any], SpikingNetwork], tuple[int, ...], int]] = {
    "mlp": (lambda code: mlp((1, 28, 28), 10, encoder=code), (64, 1, 28, 28), 9),
    "cnn": (lambda code: cnn((1, 28, 28), 10, encoder=code), (64, 1, 28, 28), 9),
    "vgg-11": (vgg11, (4, 3, 32, 32), 5),
}


def made(name: str, code: Any) -> tuple[SpikingNetwork, Tensor]:
    build, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    return build(code).eval().requires_grad_(False), torch.rand(shape)
