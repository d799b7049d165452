"""A patch: cells may change within one window of the sensor, at all times and in all polarities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from art_snn.errors import explain, summary
from art_snn.threats.base import ThreatModel, in_kind_of, paired
from art_snn.threats.flips import SpikeFlips


class PatchArea(ThreatModel):
    """Binary grids ``[N, T, C, H, W]`` that differ within one square of ``side`` pixels.

    :param side: side of the square in pixels, 0 or more.
    :raises ValueError: if ``side`` is no whole number of 0 or more.

    >>> x = torch.zeros(1, 1, 1, 4, 4)
    >>> far = x.clone()
    >>> far[0, 0, 0, [1, 3], [1, 3]] = 1.0
    >>> PatchArea(3).contains(x, far).item(), PatchArea(2).contains(x, far).item()
    (True, False)
    """

    def __init__(self, side: int) -> None:
        if isinstance(side, bool) or int(side) != side or side < 0:
            raise ValueError(explain(f"side={side!r}", "a whole number of pixels, 0 or more", "PatchArea(4)"))
        self.side = int(side)

    @property
    def is_zero(self) -> bool:
        """Whether the window is empty."""
        return self.side == 0

    def usage(self, x: Any, x_adv: Any) -> Any:
        """Side of the smallest square of pixels that holds every change, float64 ``[N]``.

        :raises ValueError: if the shapes differ, or are no grids.
        """
        changed = _changed(*paired(x, x_adv))
        spans = [_extent(changed.any(axis)) for axis in (1, 2)]
        return in_kind_of(x, torch.maximum(*spans).double())

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether both grids are binary and differ within a window of the side, bool ``[N]``.

        :raises ValueError: if the shapes differ, or are no grids.
        """
        clean, point = paired(x, x_adv)
        binary = SpikeFlips(0)
        small = torch.as_tensor(self.usage(clean, point)) <= self.side
        return in_kind_of(x, binary.legal(clean) & binary.legal(point) & small)

    def project(self, x: Any, x_adv: Any) -> Any:
        """Round to binary, and undo what lies outside the window that holds most changes, the first among equals.

        :raises ValueError: if the shapes differ, or ``x`` is no batch of binary grids.
        """
        clean, point = paired(x, x_adv)
        SpikeFlips(0).check(clean)
        point = (point >= 0.5).double()
        if self.side == 0:
            return in_kind_of(x, clean.to(torch.as_tensor(x).dtype))
        weight = (point != clean).flatten(1, -3).sum(1).double()
        high, wide = (min(self.side, size) for size in clean.shape[-2:])
        inside = F.avg_pool2d(weight[:, None], (high, wide), stride=1)[:, 0]
        best = inside.flatten(1).argmax(1)
        rows, columns = best // inside.shape[2], best % inside.shape[2]
        window = place(rows, columns, high, wide, clean)
        return in_kind_of(x, torch.where(window, point, clean).to(torch.as_tensor(x).dtype))

    def __repr__(self) -> str:
        return f"PatchArea({self.side} x {self.side} pixels)"


def place(rows: Tensor, columns: Tensor, high: int, wide: int, like: Tensor) -> Tensor:
    """A window per sample with its upper left corner at ``rows [N]``, ``columns [N]``; broadcasts over ``like``."""
    h = torch.arange(like.shape[-2], device=like.device)[None]
    w = torch.arange(like.shape[-1], device=like.device)[None]
    inside_h = (h >= rows[:, None]) & (h < rows[:, None] + high)
    inside_w = (w >= columns[:, None]) & (w < columns[:, None] + wide)
    window = inside_h[:, :, None] & inside_w[:, None, :]
    return window.view(len(rows), *[1] * (like.dim() - 3), *like.shape[-2:])


def _changed(clean: Tensor, point: Tensor) -> Tensor:
    if clean.dim() < 4:
        raise ValueError(explain(summary(clean), "grids [N, T, C, H, W]", "give the frames their pixel axes"))
    return (clean != point).flatten(1, -3).any(1)


def _extent(hit: Tensor) -> Tensor:
    """Cells from the first to the last hit of each row ``[N, D]``; 0 where there is none."""
    size = hit.shape[1]
    first = hit.int().argmax(1)
    last = size - 1 - hit.flip(1).int().argmax(1)
    return torch.where(hit.any(1), last - first + 1, 0)
