r"""Conversion errors, layer by layer: :math:`\psi = n_{SNN} - n_{ANN}` in spikes, and :math:`\psi/T`.

:math:`n_{ANN} = \mathrm{clip}(\lfloor \bar z T/\lambda + \frac12 \rfloor, 0, T)` is what the mean current asks for, so
a layer's error is its own: what the unevenness of its input costs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.conversion.latency import latency
from art_snn.conversion.neurons import SpikingActivation
from art_snn.networks.spiking_network import SpikingNetwork


def count_error(z: Tensor, spikes: Tensor) -> Tensor:
    r""":math:`\psi\,[N, *]` of currents ``[T, N, *]`` in thresholds and the spikes they caused.

    :param z: currents in units of the threshold, time first.
    :param spikes: of the same shape, 0 or 1.

    >>> count_error(torch.tensor([[1.2], [-1.0], [0.0], [-0.3]]), torch.tensor([[1.0], [0.0], [0.0], [0.0]])).item()
    1.0
    """
    T = z.shape[0]
    return spikes.sum(0) - torch.floor(z.mean(0) * T + 0.5).clamp(0, T)


def layer_residuals(net: SpikingNetwork, x: Tensor) -> dict[str, Tensor]:
    r""":math:`\psi/T` of every neuron layer on a batch, ``[N, *]`` by name; steps that are not read out are left out.

    :param net: a converted network.
    :param x: inputs ``[N, *]``.

    >>> from torch import nn
    >>> from art_snn.conversion import QCFS, convert
    >>> net = convert(nn.Sequential(nn.Linear(4, 8), QCFS(4, 1.0), nn.Linear(8, 2)), T=4)
    >>> {name: error.shape for name, error in layer_residuals(net, torch.rand(3, 4)).items()}
    {'1': torch.Size([3, 8])}
    """
    steps = latency(net)
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(node: Any, args: tuple[Tensor, ...], spikes: Tensor) -> None:  # noqa: ARG001
            found[name] = count_error(args[0][steps.pre :], spikes[steps.pre :]) / steps.read

        return hook

    graph = net.body.get_submodule("graph")
    nodes = {n: m.node for n, m in graph.named_modules() if isinstance(m, SpikingActivation)}
    hooks = [node.register_forward_hook(keep(name)) for name, node in nodes.items()]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found
