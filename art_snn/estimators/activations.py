"""Activations of inner layers, with the time axis taken care of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.body import body_step_mode
from art_snn.networks.recording import by_time
from art_snn.networks.spiking_network import SpikingNetwork

TIME_REDUCTIONS = ("mean", "last", "none")


def layer_names(net: SpikingNetwork) -> list[str]:
    """Dotted names of the layers one can look into, in the order of the data: encoder, body, decoder."""
    body = [f"body.{name}" if name else "body" for name in _layers(net.body, "")]
    return ["encoder", *body, "decoder"]


def _layers(module: nn.Module, name: str) -> list[str]:
    if not [child for child, _ in module.named_children() if child != "surrogate_function"]:
        return [name]
    return [
        inner
        for child, part in module.named_children()
        if child != "surrogate_function"
        for inner in _layers(part, f"{name}.{child}" if name else child)
    ]


def resolve_layer(names: list[str], layer: int | str | None) -> str:
    """The layer's dotted name.

    :raises TypeError: if ``layer`` is neither a name nor an index.
    :raises ValueError: if there is no such layer.
    """
    if isinstance(layer, bool) or not isinstance(layer, int | str):
        raise TypeError(explain(f"layer={layer!r}", "a name from layer_names or an index into it", "layer='decoder'"))
    if isinstance(layer, str) and layer in names:
        return layer
    if not isinstance(layer, str) and -len(names) <= layer < len(names):
        return names[layer]
    raise ValueError(explain(f"layer={layer!r}", f"one of {names}, or an index", f"layer={names[-1]!r}"))


def record(net: SpikingNetwork, name: str, x: Tensor, time: str = "mean") -> Tensor:
    """Output of one layer for a batch: ``[N, *]``, or ``[N, T, *]`` for ``time='none'``.

    A layer in single-step mode answers T times, one in multi-step mode once with ``[T, N, *]``, and the inner layers of
    a container may see time and batch merged; all three come out alike. Several draws of a stochastic network are
    averaged.

    :raises ValueError: if the layer was not used, or its output cannot be told apart into steps.
    """
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001 - the hook's signature
        outputs.append(output)

    handle = net.get_submodule(name).register_forward_hook(keep)
    try:
        net(x)
    finally:
        handle.remove()
    if not outputs:
        raise ValueError(
            explain(f"layer {name!r}, which the forward pass never calls", "a layer in use", "choose another layer")
        )
    if name == "decoder":
        return torch.stack(outputs).mean(0)
    stepped = name.startswith("body") and body_step_mode(net.body) == "s"
    steps = by_time(outputs, net.draws(x), net.T, x.shape[0], name, stepped=stepped)
    if time == "none":
        return steps.transpose(0, 1)
    return steps[-1] if time == "last" else steps.mean(0)
