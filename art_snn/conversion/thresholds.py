"""Thresholds of ReLU layers, measured on data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.conversion.graph import LayerGraph, on_device_of
from art_snn.errors import explain, summary

_BATCH = 64


def percentile(x: Tensor, share: float = 0.997) -> Tensor:
    r"""The k-th smallest value with :math:`k = 1 + \mathrm{round}(share\,(n - 1))`.

    :param x: values of any shape.
    :param share: in [0, 1].
    :raises ValueError: for no values, or a share outside [0, 1].

    >>> percentile(torch.arange(11.0), 0.9).item()
    9.0
    """
    if not 0 <= share <= 1 or x.numel() == 0:
        raise ValueError(explain(f"share = {share} of {x.numel()} values", "a share in [0, 1] of some values", "0.997"))
    flat = x.detach().flatten()
    return flat.kthvalue(1 + round(share * (flat.numel() - 1))).values


def batches(calibration: Any, graph: LayerGraph) -> Iterator[Tensor]:
    """Batches of inputs from one array or tensor, or from an iterable of batches or of (batch, labels).

    :raises ValueError: if there is nothing in it, or something that is not finite.
    """
    empty = True
    if hasattr(calibration, "shape"):
        chunks: Any = on_device_of(graph, calibration).split(_BATCH) if len(calibration) else ()
    else:
        chunks = calibration
    for chunk in chunks:
        empty = False
        x = on_device_of(graph, chunk[0] if isinstance(chunk, tuple | list) else chunk)
        if not bool(torch.isfinite(x).all()):
            raise ValueError(explain(summary(x), "finite calibration data", "remove NaN and inf: torch.nan_to_num(x)"))
        yield x
    if empty:
        raise ValueError(explain("no calibration data", "a few hundred inputs", "calibration=x_train[:512]"))


def measured_thresholds(graph: LayerGraph, calibration: Any, share: float = 0.997) -> dict[str, Tensor]:
    """For each ReLU, the largest over batches of the percentile of its positive activations, by step name.

    The model is run in eval mode.

    :param calibration: inputs ``[N, *]``, or an iterable of batches.
    :param share: percentile, as a share.
    :raises ValueError: for no data, or a layer that never activates on them.
    """
    found: dict[str, Tensor] = {}
    training = graph.training
    graph.eval()
    try:
        with torch.no_grad():
            for x in batches(calibration, graph):
                for name, value in _fitting(graph, x).items():
                    positive = value[value > 0]
                    if positive.numel():
                        level = percentile(positive, share)
                        found[name] = level if name not in found else torch.maximum(found[name], level)
    finally:
        graph.train(training)
    for step in graph.layer_steps((nn.ReLU,)):
        if step.name not in found:
            came = f"layer {step.target!r}, which never activates on the calibration data"
            raise ValueError(explain(came, "activations to measure a threshold from", "pass inputs of every class"))
    return found


def _fitting(graph: LayerGraph, x: Tensor) -> dict[str, Tensor]:
    try:
        return watched(graph, x, (nn.ReLU,))
    except RuntimeError as error:
        fix = "calibrate on inputs as the model takes them, batch first"
        came = f"{summary(x)}, on which the model failed ({error})"
        raise ValueError(explain(came, "calibration data of the model's input shape", fix)) from error


def watched(graph: LayerGraph, x: Tensor, kinds: tuple[type[nn.Module], ...]) -> dict[str, Tensor]:
    """Pre-activations of one forward, by step name."""
    seen: list[Tensor] = []
    steps = graph.layer_steps(kinds)
    layers = {id(layer): layer for layer in (graph.get_submodule(s.target) for s in steps)}
    hooks = [layer.register_forward_pre_hook(lambda _, args: seen.append(args[0])) for layer in layers.values()]
    try:
        graph(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {step.name: value for step, value in zip(steps, seen, strict=True)}
