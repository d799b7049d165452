"""What a converted network takes: steps, firing rates, synaptic operations, all steps at inference included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.conversion.neurons import SpikingActivation
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork


@dataclass(frozen=True)
class StepCount:
    """Steps of one inference.

    :param pre: steps that pre-simulation or calibration looks at.
    :param read: steps that are read out, the T that publications quote.
    """

    pre: int
    read: int

    @property
    def total(self) -> int:
        """Steps until the answer is there."""
        return self.pre + self.read

    def __str__(self) -> str:
        return f"{self.total}" if not self.pre else f"{self.pre} + {self.read} = {self.total}"


def latency(net: SpikingNetwork) -> StepCount:
    """Steps of a converted network.

    :raises TypeError: if ``net`` was not converted.

    >>> from art_snn.conversion import QCFS, convert
    >>> model = nn.Sequential(nn.Linear(4, 8), QCFS(4, 1.0), nn.Linear(8, 2))
    >>> print(latency(convert(model, T=2, method="srp")))
    4 + 2 = 6
    """
    skip = getattr(net.decoder, "skip", None) if isinstance(net, SpikingNetwork) else None
    if skip is None or not any(isinstance(module, SpikingActivation) for module in net.modules()):
        fix = "latency(convert(model, T)); other networks have net.T"
        raise TypeError(explain(f"a {type(net).__name__}", "a network made by convert", fix))
    return StepCount(pre=skip, read=net.T - skip)


@dataclass
class Operations:
    """Work per sample, biases left out.

    :param accumulates: products with spikes (inputs that are 0 or one weight apiece): additions.
    :param multiplies: products of weights with other non-zero inputs.
    :param dense: products of the layers when nothing is skipped, all steps.
    :param rates: mean firing rate of each neuron layer, per step.
    """

    accumulates: float = 0.0
    multiplies: float = 0.0
    dense: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Mean over layers of the firing rate."""
        return sum(self.rates.values()) / max(len(self.rates), 1)

    @property
    def synaptic(self) -> float:
        """All products that are carried out."""
        return self.accumulates + self.multiplies


_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def operations(net: nn.Module, x: Tensor) -> Operations:
    """Count the operations of one forward pass, per sample; all steps of a spiking network count.

    Weights and inputs that are zero are skipped. A layer whose inputs take one non-zero size per channel at each step
    counts additions (the threshold goes into its weights); averaged spikes and directly coded inputs count products.

    :param net: a spiking network, or an ordinary one.
    :param x: a batch of inputs.

    >>> layer = nn.Linear(3, 2, bias=False)
    >>> operations(nn.Sequential(layer), torch.tensor([[1.0, 0.0, 2.0]])).synaptic
    4.0
    """
    counted = Operations()
    with _watching(net, counted, len(x)), torch.no_grad():
        net(x)
    return counted


@contextmanager
def _watching(net: nn.Module, counted: Operations, N: int) -> Iterator[None]:
    def weighted(layer: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
        x = args[0]
        effective = float(_products(layer, (x != 0).to(x.dtype), skipping=True)) / N
        counted.dense += float(_products(layer, torch.ones_like(x), skipping=False)) / N
        if _is_spikes(x):
            counted.accumulates += effective
        else:
            counted.multiplies += effective

    def fired(name: str) -> Any:
        def hook(node: nn.Module, args: tuple[Any, ...], spikes: Tensor) -> None:  # noqa: ARG001
            counted.rates[name] = float(spikes.mean())

        return hook

    hooks = [m.register_forward_hook(weighted) for m in net.modules() if isinstance(m, _WEIGHTED)]
    activations = [(n, m) for n, m in net.named_modules() if isinstance(m, SpikingActivation)]
    hooks += [m.node.register_forward_hook(fired(n)) for n, m in activations]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _products(layer: nn.Module, x: Tensor, *, skipping: bool) -> Tensor:
    """Number of products of a layer: the layer itself, with binary weights and inputs, and no bias.

    Dense counts leave padding out as well, because padded inputs are zero.
    """
    weight: Tensor = layer.weight  # type: ignore[assignment]
    ones = (weight != 0).to(weight.dtype) if skipping else torch.ones_like(weight)
    parameters = {"weight": ones}
    if layer.bias is not None:
        parameters["bias"] = torch.zeros_like(layer.bias)  # type: ignore[arg-type]
    forward: Any = type(layer).forward
    twin = _Binary(layer, parameters)
    total: Tensor = forward(twin, x).double().sum()
    return total


class _Binary:
    """A layer with other parameters, without touching it."""

    def __init__(self, layer: nn.Module, parameters: dict[str, Tensor]) -> None:
        self._layer, self._parameters = layer, parameters

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__["_parameters"]
        if name in own:
            return own[name]
        return getattr(self.__dict__["_layer"], name)


def _is_spikes(x: Tensor) -> bool:
    """Whether every channel holds zeros and one other value."""
    channels = x.transpose(0, 1).flatten(1) if x.dim() > 1 else x[None]
    top = channels.amax(1, keepdim=True)
    return bool(((channels == 0) | (channels == top)).all())
