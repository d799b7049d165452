"""One forward pass with everything that spikes written down: trains and membranes of every neuron layer, and outputs.

The logits are those of a plain call, bit for bit, and every record keeps its graph, under the gradient policy that is
on. Several draws of a stochastic network are averaged. The run is whole and unhurried: neither in pieces nor by the
faster ways, which pass neurons by.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.body import body_step_mode
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import spiking_neurons


@dataclass
class Recording:
    """What one call of a network did; layers by dotted name, in the order of the network.

    ``logits`` ``[N, K]``; ``code`` the train that enters the body ``[T, N, *]``; ``spikes`` and ``membranes``
    (potential minus threshold before the reset) ``[T, N, *]`` per layer; ``outputs`` of the body ``[T, N, K]``.

    >>> from art_snn.networks import mlp
    >>> seen = recorded(mlp((1, 2, 2), 3, hidden=(5,)), torch.rand(2, 1, 2, 2))
    >>> seen.logits.shape, list(seen.spikes), list(seen.membranes)
    (torch.Size([2, 3]), ['2'], ['2'])
    """

    logits: Tensor
    code: Tensor
    outputs: Tensor
    spikes: dict[str, Tensor] = field(default_factory=dict)
    membranes: dict[str, Tensor] = field(default_factory=dict)


def recorded(net: SpikingNetwork, x: Tensor) -> Recording:
    """Call ``net`` and record it.

    :param net: a spiking network; its neurons keep their surrogates.
    :param x: inputs ``[N, *]``.
    :raises ValueError: if the output of a neuron cannot be told apart into steps.

    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> x = torch.rand(5, 1, 8, 8)
    >>> seen = recorded(net, x)
    >>> [train.shape for train in seen.spikes.values()], bool((seen.logits == net(x)).all())
    ([torch.Size([8, 5, 32])], True)
    """
    neurons = spiking_neurons(net.body)
    with _watched(net, neurons) as seen:
        logits = net(x)
    draws, T, N = net.draws(x), net.T, len(x)
    stepped = body_step_mode(net.body) == "s"
    spikes = {n: by_time(seen.fired[n], draws, T, N, n, stepped=stepped) for n in neurons if seen.fired[n]}
    membranes = {
        n: torch.stack(seen.above[n]).reshape(draws, *spikes[n].shape).mean(0)
        for n in spikes
        if sum(part.numel() for part in seen.above[n]) == draws * spikes[n].numel()
    }
    code = by_time(seen.code, draws, T, N, "encoder", stepped=False)
    return Recording(logits, code, torch.stack(seen.outputs).mean(0), spikes, membranes)


def by_time(outputs: list[Tensor], draws: int, T: int, N: int, name: str, *, stepped: bool) -> Tensor:
    """``[T, N, *]`` from the calls of one layer, averaged over draws.

    The number of calls tells a stepped layer from one that saw all steps at once: the shapes alone cannot when N = T.

    :raises ValueError: if they fit neither.
    """
    first, calls = outputs[0], len(outputs) / draws
    if first.shape[0] == N and calls == T and (stepped or T > 1):
        stacked = torch.stack(outputs)
        return stacked.view(draws, T, *stacked.shape[1:]).mean(0)
    if calls == 1 and not stepped and first.shape[:2] == (T, N):
        return torch.stack(outputs).mean(0)
    if calls == 1 and not stepped and first.shape[0] == T * N:
        stacked = torch.stack(outputs).mean(0)
        return stacked.view(T, N, *stacked.shape[1:])
    came = f"{len(outputs)} outputs of shape {list(first.shape)} from layer {name!r}"
    raise ValueError(
        explain(came, f"outputs that hold {T} steps of {N} samples", "choose a layer outside that container")
    )


class _Tap(nn.Module):
    """A surrogate that is watched."""

    def __init__(self, inner: nn.Module, kept: list[Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.kept = kept

    def forward(self, v: Tensor) -> Tensor:
        self.kept.append(v)
        fired: Tensor = self.inner(v)
        return fired


class _Seen:
    def __init__(self, names: Any) -> None:
        self.fired: dict[str, list[Tensor]] = {name: [] for name in names}
        self.above: dict[str, list[Tensor]] = {name: [] for name in names}
        self.code: list[Tensor] = []
        self.outputs: list[Tensor] = []


@contextmanager
def _watched(net: SpikingNetwork, neurons: dict[str, nn.Module]) -> Iterator[_Seen]:
    """Hooks that tap each surrogate while its neuron runs, after a policy has put its own in place."""
    seen = _Seen(neurons)
    tapped: dict[str, nn.Module] = {}

    def before(name: str) -> Any:
        def hook(node: nn.Module, args: Any) -> None:  # noqa: ARG001 - the hook's signature
            tapped[name] = node.surrogate_function  # type: ignore[assignment]
            node.surrogate_function = _Tap(tapped[name], seen.above[name])

        return hook

    def after(name: str) -> Any:
        def hook(node: nn.Module, args: Any, output: Tensor) -> None:  # noqa: ARG001
            node.surrogate_function = tapped.pop(name)
            seen.fired[name].append(output)

        return hook

    def outputs(decoder: nn.Module, args: Any) -> None:  # noqa: ARG001
        seen.outputs.append(args[0])

    handles = [net.decoder.register_forward_pre_hook(outputs)]
    handles += [net.encoder.register_forward_hook(lambda _, __, s: seen.code.append(s))]
    for name, node in neurons.items():
        handles += [node.register_forward_pre_hook(before(name)), node.register_forward_hook(after(name))]
    fast, most = net.fast, net.max_memory
    net.fast, net.max_memory = False, None
    try:
        yield seen
    finally:
        net.fast, net.max_memory = fast, most
        for handle in handles:
            handle.remove()
        for name, inner in tapped.items():
            neurons[name].surrogate_function = inner
