"""The non-spiking twin: same layers, same parameters, ReLU where the network spikes, no time axis."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

from spikingjelly.activation_based import functional, layer
from torch import Tensor, nn

from art_snn.coding.frames import EventFrames
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.neurons import StochasticGate
from art_snn.spiking import reset_state, spiking_neurons

_STEPPING = (layer.MultiStepContainer, layer.SeqToANNContainer, layer.StepModeContainer)


class AnalogNetwork(nn.Module):
    """An ordinary network as a batch-to-logits module, with the same outer shape as :class:`SpikingNetwork`.

    :param body: any module ``[N, *] -> [N, K]``; SpikingJelly layers must be in single-step mode.
    :param over_time: whether the input is event frames ``[N, T, *]``, of which ``body`` sees the mean over time.

    >>> import torch
    >>> net = AnalogNetwork(nn.Sequential(nn.Flatten(), nn.Linear(8, 3)), over_time=True)
    >>> net(torch.zeros(5, 4, 2, 2, 2)).shape  # five samples of four event frames
    torch.Size([5, 3])
    """

    def __init__(self, body: nn.Module, *, over_time: bool = False) -> None:
        super().__init__()
        self.body = body
        self.over_time = over_time
        self.recipe: dict[str, Any] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]``; dropout masks are redrawn at every call."""
        reset_state(self)
        parameter = next((p for p in self.parameters() if p.is_floating_point()), None)
        x = x if parameter is None else x.to(parameter.dtype)
        z: Tensor = self.body(x.mean(1) if self.over_time else x)
        reset_state(self)
        return z

    def extra_repr(self) -> str:
        """Whether frames are averaged, so that it shows in ``repr``."""
        return "over_time=True" if self.over_time else ""


def ann_twin(net: SpikingNetwork) -> AnalogNetwork:
    """Copy the body of ``net``, with ReLU for every spiking neuron (identity for one that ends the body).

    Topology, weights and parameter names are those of ``net``; learnable neuron parameters and stochastic gates have no
    counterpart and are dropped, and containers that step through time become plain sequences. A neuron ends the body if
    it is the last module of an ``nn.Sequential``; what a module with a ``forward`` of its own runs last cannot be
    known. The twin of a network of event frames takes the same frames ``[N, T, *]`` and sees their mean over time: how
    often each pixel changed, not when.

    :param net: a spiking network.
    :raises ValueError: if a spiking neuron is the body itself.

    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10)
    >>> twin = ann_twin(net)
    >>> sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in twin.parameters())
    True
    """
    body = _unrolled(copy.deepcopy(net.body))
    neurons = spiking_neurons(body)
    if "" in neurons:
        raise ValueError(
            explain("a body that is a single neuron", "layers with neurons between them", "add a linear layer")
        )
    for name in neurons:
        parent, _, child = name.rpartition(".")
        body.get_submodule(parent)._modules[child] = nn.Identity() if _ends(body, name) else nn.ReLU()
    for name in [name for name, module in body.named_modules() if isinstance(module, StochasticGate)]:
        parent, _, child = name.rpartition(".")
        body.get_submodule(parent)._modules[child] = nn.Identity()
    functional.set_step_mode(body, "s")
    twin = AnalogNetwork(body, over_time=isinstance(net.encoder, EventFrames)).train(net.training)
    twin.recipe = None if net.recipe is None else {**net.recipe, "twin": True, "over_time": twin.over_time}
    return twin


def _unrolled(module: nn.Module) -> nn.Module:
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = _unrolled(child)
    return nn.Sequential(OrderedDict(module._modules)) if isinstance(module, _STEPPING) else module  # type: ignore[arg-type]


def plain_layers(body: nn.Module) -> nn.Module:
    """A copy of a twin's body with torch's own layers for SpikingJelly's, which compute the same in single-step mode.

    What follows the code of a layer (tracing, merging time into the batch) then meets no step mode.

    :param body: layers that may carry a time axis.

    >>> plain_layers(nn.Sequential(layer.Linear(3, 2)))
    Sequential(
      (0): Linear(in_features=3, out_features=2, bias=True)
    )
    """
    body = copy.deepcopy(body)
    for module in body.modules():
        if type(module).__module__.startswith("spikingjelly."):
            base = next((kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.")), nn.Module)
            if base is not nn.Module:
                module.__class__ = base
                vars(module).pop("_step_mode", None)
    return body


def _ends(body: nn.Module, name: str) -> bool:
    """Whether ``name`` is the last module that a chain of Sequentials runs."""
    module = body
    for part in name.split("."):
        if not isinstance(module, nn.Sequential) or next(reversed(module._modules)) != part:
            return False
        module = module[-1]
    return True
