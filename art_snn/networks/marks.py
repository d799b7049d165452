r"""How a count follows spikes from a neuron to the next weights: marks on tensors, carried by hooks and functions.

A mark is the number of spikes per unit of value: 1 behind a neuron, :math:`k^2` behind the average over a window,
:math:`1/\lambda` behind a neuron whose spikes have size :math:`\lambda` (one per channel where it has several), and 0
for values that are no spikes. A tensor without a mark says nothing.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
PASSING = (
    nn.Flatten, nn.Unflatten, nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip

MARK = "_art_snn_spikes_per_unit"
NO_SPIKES = 0.0


def scaled(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
    """A module that emits spikes of its ``spike_size``, a number or one per channel ``[C]`` of ``[N, C, *]``."""
    if isinstance(output, Tensor):
        size = torch.as_tensor(module.spike_size).detach().double()
        one = size.numel() == 1
        setattr(output, MARK, float(1 / size) if one else (1 / size).view(1, -1, *[1] * (output.dim() - 2)))


def passed_on(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    """Forward hook of a module that hands spikes on: pooled, reshaped, or as they are."""
    mark = getattr(args[0], MARK, None)
    if mark is None or not isinstance(output, Tensor) or output is args[0]:
        return
    if isinstance(mark, Tensor) and isinstance(module, nn.Flatten | nn.Unflatten):
        mark = module(mark.expand_as(args[0]))
    setattr(output, MARK, mark * _window(module, args[0], output))


class Following(TorchFunctionMode):
    """Carries marks through the functions that pass spikes on: what modules do by hooks, ``x.flatten(1)`` does here."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run ``func``, and mark its result."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func in _RESHAPING or func in _JOINING or func in _POOLING:
            _follow(func, args, kwargs, output)
        return output


_RESHAPING = {
    torch.flatten, Tensor.flatten, Tensor.view, torch.reshape, Tensor.reshape, torch.unflatten, Tensor.unflatten,
    torch.squeeze, Tensor.squeeze, torch.unsqueeze, Tensor.unsqueeze, Tensor.contiguous, torch.permute, Tensor.permute,
    torch.transpose, Tensor.transpose, Tensor.__getitem__,
}  # fmt: skip
_JOINING = {torch.add, Tensor.add, Tensor.__add__, Tensor.add_, Tensor.__iadd__, torch.cat, torch.stack}
_POOLING = {nn.functional.avg_pool1d, nn.functional.avg_pool2d, nn.functional.avg_pool3d}


def _follow(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
    if not isinstance(output, Tensor) or not args:
        return
    parts = args[0] if isinstance(args[0], tuple | list) else args[:2] if func in _JOINING else args[:1]
    marks = [getattr(part, MARK, None) for part in parts]
    if any(mark is None for mark in marks) or any(output is part for part in parts):
        return
    mark = marks[0]
    if any(isinstance(one, Tensor) for one in marks):
        if func not in _RESHAPING:
            return
        mark = func(torch.as_tensor(mark).expand_as(args[0]), *args[1:], **kwargs)
    elif len(set(marks)) > 1:
        mark = NO_SPIKES if NO_SPIKES in marks else None
    if mark is not None and func in _POOLING:
        sizes = {"kernel_size": args[1]} if len(args) > 1 else kwargs
        plain = len(args) <= 3 and not {"padding", "ceil_mode", "divisor_override"} & kwargs.keys()
        axes = args[0].dim() - 2
        mark = mark * prod(_each(sizes["kernel_size"], axes)) if plain else None
    if mark is not None:
        setattr(output, MARK, mark)


def _window(module: nn.Module, x: Tensor, output: Tensor) -> float:
    """Values that an average is taken over; 1 for modules that do not average, 0 where windows differ in size."""
    if isinstance(module, ADAPTIVE):
        dims = {nn.AdaptiveAvgPool1d: 1, nn.AdaptiveAvgPool2d: 2, nn.AdaptiveAvgPool3d: 3}
        axes = next(count for kind, count in dims.items() if isinstance(module, kind))
        sizes = list(zip(x.shape[-axes:], output.shape[-axes:], strict=True))
        return float(prod(a // b for a, b in sizes)) if all(a % b == 0 for a, b in sizes) else NO_SPIKES
    if not isinstance(module, AVERAGES):
        return 1.0
    if getattr(module, "divisor_override", None):
        return float(module.divisor_override)  # type: ignore[arg-type, union-attr]
    axes = next(count for count, kind in enumerate(AVERAGES, 1) if isinstance(module, kind))
    kernel, padding = _each(module.kernel_size, axes), _each(module.padding, axes)
    uneven = (any(padding) and not module.count_include_pad) or module.ceil_mode
    return NO_SPIKES if uneven else float(prod(kernel))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * axes
