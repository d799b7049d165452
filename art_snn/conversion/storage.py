"""Converted networks as data: what is written beside the weights, and how a network is made from it again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from art_snn.coding.base import Decoder, Encoder
from art_snn.conversion.graph import LayerGraph, Ref, Step, named_layers
from art_snn.conversion.neurons import COSIF, SRPIF, ConvertedIF, FoldedTime, SpikingActivation
from art_snn.conversion.vocabulary import LAYERS, layer_arguments
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork

_NEURONS: dict[str, tuple[type[ConvertedIF], tuple[str, ...]]] = {
    "ConvertedIF": (ConvertedIF, ("start", "v_reset")),
    "SRPIF": (SRPIF, ("pre", "tolerance", "certain")),
    "COSIF": (COSIF, ("pre", "iterations")),
}


def recipe_of(graph: LayerGraph, steps: int) -> dict[str, Any]:
    """What :func:`rebuild` needs, as JSON-ready data."""
    layers = {name: _described(layer) for name, layer in named_layers(graph).items()}
    written = [[s.name, s.op, s.target, _written(s.args), _written(s.kwargs)] for s in graph.steps]
    constants = {name: list(value.shape) for name, value in graph.constants().items()}
    arguments = {"T": steps, "steps": written, "output": graph.output, "layers": layers, "constants": constants}
    return {"builder": "converted", "arguments": arguments}


def rebuild(
    T: int, steps: list[Any], output: str, layers: dict[str, Any], constants: dict[str, Any], encoder: Encoder,
    decoder: Decoder,
) -> SpikingNetwork:  # fmt: skip
    """The network of a recipe, with weights of any value.

    :raises ValueError: for a layer that this version does not know.
    """
    read = [Step(name, op, target, _read(args), _read(kwargs)) for name, op, target, args, kwargs in steps]
    made = {name: _made(name, config, T) for name, config in layers.items()}
    graph = LayerGraph(read, output, made, {name: torch.zeros(shape) for name, shape in constants.items()})
    net = SpikingNetwork(encoder, FoldedTime(graph, encoder), decoder)
    net.recipe = recipe_of(graph, T)
    return net


def _described(layer: nn.Module) -> dict[str, Any]:
    if not isinstance(layer, SpikingActivation):
        return {"kind": type(layer).__name__, **layer_arguments(layer)}
    kind = type(layer.node).__name__
    own = {name: getattr(layer.node, name) for name in _NEURONS[kind][1]}
    return {"kind": kind, "channels": list(layer.threshold.shape), **own}


def _made(name: str, config: dict[str, Any], T: int) -> nn.Module:
    config = dict(config)
    kind = config.pop("kind")
    if kind in _NEURONS:
        threshold = torch.ones(config.pop("channels"))
        return SpikingActivation(_NEURONS[kind][0](**config), threshold, T)
    if kind not in LAYERS:
        raise ValueError(explain(f"layer {name!r} of kind {kind!r}", f"one of {sorted(LAYERS)}", "update art-snn"))
    return LAYERS[kind](**{key: tuple(v) if isinstance(v, list) else v for key, v in config.items()})


def _written(value: Any) -> Any:
    if isinstance(value, Ref):
        return {"ref": value.name}
    if isinstance(value, slice):
        return {"slice": [_written(part) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, tuple):
        return {"tuple": [_written(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": {key: _written(one) for key, one in value.items()}}
    return [_written(one) for one in value] if isinstance(value, list) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(one) for one in value]
    if not isinstance(value, dict):
        return value
    (kind, inner), = value.items()  # fmt: skip
    if kind == "ref":
        return Ref(inner)
    if kind == "dict":
        return {key: _read(one) for key, one in inner.items()}
    parts = tuple(_read(one) for one in inner)
    return slice(*parts) if kind == "slice" else parts
