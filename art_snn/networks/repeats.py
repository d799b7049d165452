"""Trains that are the same at every step, and the layers that then need to run once.

A constant train is a view: one step, repeated without copying. While a network runs, :class:`Repeats` remembers which
tensor repeats which step, so that a layer without memory computes that step alone and passes its repetition on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikingjelly.activation_based import layer
from torch import Tensor, nn

_SHARED = tuple(
    getattr(layer, name)
    for name in (
        "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Linear", "Flatten",
        "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "AdaptiveAvgPool1d",
        "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "GroupNorm", "Upsample",
    )
)  # fmt: skip
_IN_EVAL = (layer.BatchNorm1d, layer.BatchNorm2d, layer.BatchNorm3d, layer.Dropout, layer.Dropout2d)
_ANY_SHAPE = (nn.Linear, nn.Identity)
"""Layers of torch that treat every step alike, whatever stands in front."""


class Repeats:
    """Which tensors repeat one step, for one run of a network."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, int, Tensor]] = {}

    def note(self, train: Tensor, step: Tensor) -> None:
        """``train [T, N, *]`` repeats ``step [1, N, *]``."""
        self._known[id(train)] = (train, train._version, step)

    def step_of(self, train: Tensor) -> Tensor | None:
        """The step ``[1, N, *]`` that ``train`` repeats; ``None`` if it does not, or was written to since."""
        found = self._known.get(id(train))
        return found[2] if found is not None and found[0] is train and found[1] == train._version else None

    def once(self, module: nn.Module, forward: Callable[..., Any], *, as_view: bool) -> Callable[..., Any]:
        """``forward`` of a layer without memory, run on one step where the train repeats it.

        :param as_view: whether the next layer takes a repetition that is a view; else it is written out.
        """

        def shared(x: Tensor) -> Any:
            step = self.step_of(x)
            if step is None:
                return forward(module, x)
            result = forward(module, step)
            train = result.expand(x.shape[0], *result.shape[1:])
            if not as_view:
                train = train.contiguous()
            self.note(train, result)
            return train

        return shared


def unshared_because(module: nn.Module) -> str | None:
    """Why a layer must see every step of a constant train; ``None`` if one is enough."""
    kind = type(module)
    if kind in _ANY_SHAPE:
        return None
    if kind in _IN_EVAL:
        if module.training:
            return "in training mode it depends on the batch, or draws"
        if getattr(module, "track_running_stats", True) is False:
            return "it normalizes by the batch"
    elif kind not in _SHARED:
        return f"a {kind.__name__} is not known to be without memory"
    if getattr(module, "step_mode", "m") != "m":
        return "it runs one step at a time; functional.set_step_mode(body, 'm') changes that"
    if getattr(module, "return_indices", False):
        return "it returns more than one tensor"
    return None
