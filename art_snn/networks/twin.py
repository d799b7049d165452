"""The non-spiking twin: same layers, same parameters, ReLU where the network spikes, no time axis."""

from __future__ import annotations

import copy
from typing import Any

from spikingjelly.activation_based import functional
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import reset_state, spiking_neurons


class AnalogNetwork(nn.Module):
    """An ordinary network as a batch-to-logits module, with the same outer shape as :class:`SpikingNetwork`.

    :param body: any module ``[N, *] -> [N, K]``; SpikingJelly layers must be in single-step mode.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.recipe: dict[str, Any] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]``; dropout masks are redrawn at every call."""
        reset_state(self)
        parameter = next((p for p in self.parameters() if p.is_floating_point()), None)
        z: Tensor = self.body(x if parameter is None else x.to(parameter.dtype))
        reset_state(self)
        return z


def ann_twin(net: SpikingNetwork) -> AnalogNetwork:
    """Copy the body of ``net``, with ReLU for every spiking neuron (identity for one at the output).

    Topology, weights and parameter names are those of ``net``; learnable neuron parameters have no counterpart and are
    dropped.

    :raises ValueError: if a spiking neuron is the body itself.

    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10)
    >>> twin = ann_twin(net)
    >>> sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in twin.parameters())
    True
    """
    body = copy.deepcopy(net.body)
    neurons = spiking_neurons(body)
    if "" in neurons:
        raise ValueError(
            explain("a body that is a single neuron", "layers with neurons between them", "add a linear layer")
        )
    last = [name for name, module in body.named_modules() if next(module.children(), None) is None or name in neurons]
    last = [name for name in last if not any(name.startswith(f"{node}.") for node in neurons)]
    for name in neurons:
        parent, _, child = name.rpartition(".")
        body.get_submodule(parent)._modules[child] = nn.Identity() if name == last[-1] else nn.ReLU()
    functional.set_step_mode(body, "s")
    twin = AnalogNetwork(body).train(net.training)
    twin.recipe = None if net.recipe is None else {**net.recipe, "twin": True}
    return twin
