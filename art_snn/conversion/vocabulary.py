"""What a convertible network may consist of: layers and operations that are linear over time, and the activations.

A layer is convertible if it treats each time step alone and is affine in it, because then the mean over time passes
through it. Everything else is refused by name, with the repair.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from art_snn.conversion.qcfs import QCFS
from art_snn.errors import explain

_LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.AvgPool1d,
    nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.Flatten,
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.ZeroPad2d, nn.ReLU,
)  # fmt: skip
LAYERS: dict[str, type[nn.Module]] = {kind.__name__: kind for kind in _LAYERS}
"""Layers by name."""

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
ACTIVATIONS = (nn.ReLU, QCFS)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _view(x: Tensor, *sizes: Any) -> Tensor:
    return x.view(*sizes)


def _size(x: Tensor, *axis: int) -> Any:
    return x.size(*axis)


def _contiguous(x: Tensor) -> Tensor:
    return x.contiguous()


def _shape(x: Tensor) -> torch.Size:
    return x.shape


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "flatten": torch.flatten, "cat": torch.cat,
    "mean": torch.mean, "view": _view, "reshape": torch.reshape, "size": _size,
    "shape": _shape, "getitem": operator.getitem, "avg_pool2d": F.avg_pool2d,
    "adaptive_avg_pool2d": F.adaptive_avg_pool2d, "contiguous": _contiguous, "squeeze": torch.squeeze,
    "add_number": operator.add, "mul_number": operator.mul, "floordiv_number": operator.floordiv,
}  # fmt: skip
"""Operations by name; arithmetic never writes into its arguments."""

OF_FUNCTION: dict[Any, str] = {
    operator.add: "add", operator.iadd: "add", torch.add: "add", operator.sub: "sub", operator.isub: "sub",
    torch.sub: "sub", operator.mul: "mul", operator.imul: "mul", torch.mul: "mul", operator.truediv: "div",
    operator.itruediv: "div", torch.div: "div", torch.flatten: "flatten", torch.cat: "cat", torch.mean: "mean",
    torch.reshape: "reshape", operator.getitem: "getitem", F.avg_pool2d: "avg_pool2d", torch.squeeze: "squeeze",
    F.adaptive_avg_pool2d: "adaptive_avg_pool2d", operator.floordiv: "floordiv",
}  # fmt: skip
OF_METHOD = {
    "add": "add", "add_": "add", "sub": "sub", "mul": "mul", "div": "div", "flatten": "flatten", "mean": "mean",
    "view": "view", "reshape": "reshape", "size": "size", "contiguous": "contiguous", "squeeze": "squeeze",
}  # fmt: skip
RELU_FUNCTIONS = (F.relu, F.relu_, torch.relu, torch.relu_)
RELU_METHODS = ("relu", "relu_")


def layer_arguments(layer: nn.Module) -> dict[str, Any]:
    """Constructor arguments of a layer of the vocabulary, as JSON-ready data.

    >>> layer_arguments(nn.AvgPool2d(2))["kernel_size"]
    2
    """
    found: dict[str, Any] = {}
    for name in inspect.signature(type(layer).__init__).parameters:
        if name in ("self", "device", "dtype", "inplace") or not hasattr(layer, name):
            continue
        value = getattr(layer, name)
        found[name] = (value is not None) if name == "bias" else value
    return found


def refuse_layer(name: str, layer: nn.Module) -> ValueError:
    """The error of a layer that cannot be converted."""
    kind = type(layer).__name__
    came = f"layer {name!r}, a {kind}"
    if isinstance(layer, MAX_POOLS):
        fix = "train with average pooling: replace_activations(model, max_pool='average'), then fine-tune"
        return ValueError(explain(came, "average pooling: the largest of several spike trains is no rate", fix))
    if isinstance(layer, nn.Sigmoid | nn.Tanh | nn.GELU | nn.SiLU | nn.LeakyReLU | nn.ELU | nn.ReLU6 | nn.Hardswish):
        return ValueError(
            explain(came, "ReLU or QCFS activations", f"train with nn.ReLU() in place of {name!r}, then convert")
        )
    known = ", ".join(sorted(LAYERS))
    return ValueError(explain(came, f"one of {known}, QCFS", f"replace {name!r} by one of them and train again"))


def refuse_operation(name: str, what: str) -> ValueError:
    """The error of an operation in a forward that cannot be converted."""
    came = f"operation {what!r} (at {name!r})"
    if "max_pool" in what:
        fix = "use nn.AvgPool2d, and train again"
        return ValueError(explain(came, "average pooling: the largest of several spike trains is no rate", fix))
    if "dropout" in what:
        return ValueError(explain(came, "dropout as a layer, which follows train() and eval()", "use nn.Dropout"))
    known = ", ".join(sorted({*OF_FUNCTION.values(), "view", "size", "relu"}))
    return ValueError(explain(came, f"layers, and {known}", "move it out of the network, or use one of these"))


def check_layer(name: str, layer: nn.Module) -> None:
    """Refuse a layer that is not affine per time step.

    :raises ValueError: naming the layer and the repair.
    """
    if isinstance(layer, QCFS):
        return
    if type(layer) not in _LAYERS:
        raise refuse_layer(name, layer)
    if isinstance(layer, NORMS) and getattr(layer, "running_mean", None) is None:
        came = f"layer {name!r}, a {type(layer).__name__} without running statistics"
        fix = "train with track_running_stats=True"
        raise ValueError(explain(came, "batch norm that is affine in eval mode", fix))
