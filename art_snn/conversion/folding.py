r"""Batch norm folded into the layer in front of it.

.. math:: W' = W\,\frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}, \qquad b' = \beta + (b - \mu)\frac{\gamma}{\sqrt{\sigma^2 +
   \epsilon}}

The bias is a current at every step. Batch norm that does not directly follow a convolution or linear layer of its own
is affine per step in eval mode and stays.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.conversion.graph import LayerGraph, Step, without
from art_snn.conversion.tracing import trace
from art_snn.conversion.vocabulary import NORMS

_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold_batch_norm(model: nn.Module) -> LayerGraph:
    """A copy of ``model`` in eval mode without the batch norms that can be folded.

    :raises ValueError: see :func:`~art_snn.conversion.tracing.trace`.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    >>> [type(layer).__name__ for layer in fold_batch_norm(model).children()]
    ['Conv2d', 'ReLU']
    """
    graph = trace(model)
    for step in graph.layer_steps(NORMS):
        source = _foldable(graph, step)
        if source is not None:
            fold(graph.get_submodule(source.target), graph.get_submodule(step.target))
            without(graph, step)
    return graph.eval()


def _foldable(graph: LayerGraph, norm: Step) -> Step | None:
    """The weighted layer whose only reader is ``norm``; both run once."""
    source = next((s for s in graph.steps if s.name == next(norm.refs())), None)
    if source is None or source.op != "layer" or not isinstance(graph.get_submodule(source.target), _WEIGHTED):
        return None
    readers = [s for s in graph.steps if source.name in s.refs()]
    shared = [s for s in graph.steps if s.target in (source.target, norm.target)]
    return source if len(readers) == 1 and len(shared) == 2 and graph.output != source.name else None


def fold(layer: nn.Module, norm: nn.Module) -> None:
    """Put ``norm``, in eval mode, into the weights of ``layer``."""
    mean, variance, eps = (getattr(norm, name) for name in ("running_mean", "running_var", "eps"))
    gain = torch.rsqrt(variance.double() + eps)
    if norm.weight is not None:
        gain = gain * norm.weight.double()  # type: ignore[operator]
    shift: Tensor = norm.bias.double() if norm.bias is not None else torch.zeros_like(gain)  # type: ignore[operator,assignment]
    weight: Tensor = layer.weight  # type: ignore[assignment]
    bias: Tensor = layer.bias.double() if layer.bias is not None else torch.zeros_like(gain)  # type: ignore[operator,assignment]
    with torch.no_grad():
        scaled = weight.double() * gain.view(-1, *[1] * (weight.dim() - 1))
        layer.weight = nn.Parameter(scaled.to(weight.dtype))
        layer.bias = nn.Parameter((shift + (bias - mean.double()) * gain).to(weight.dtype))
