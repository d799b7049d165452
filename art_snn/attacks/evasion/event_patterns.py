r"""Patterns that an event camera can be shown: borders, lines and dashes, as sets of cells of a grid ``[T, C, H, W]``.

None needs a gradient or looks at the recording. Every function returns patterns, bool ``[m, T, C, H, W]``, in the order
in which they are to be tried.

Source: Marchisio et al., "DVS-Attacks", IJCNN 2021 (frame, corner, dash, mask-filter-aware dash).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from art_snn.errors import explain

_PERIOD = 250 / 1450
"""Share of the recording after which a moving dash goes on."""

_INSETS = (0, 4, 8)


def frame(shape: Sequence[int]) -> Tensor:
    """The outermost pixels, at all times and in all polarities: one pattern.

    >>> frame((1, 1, 3, 3))[0, 0, 0].int().tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    cells = torch.zeros(tuple(_four(shape)), dtype=torch.bool)
    cells[..., 0, :] = cells[..., -1, :] = True
    cells[..., :, 0] = cells[..., :, -1] = True
    return cells[None]


def corner(shape: Sequence[int]) -> Tensor:
    """Lines of 2, 5, 9, 13, ... pixels of the top or bottom row, from the left or right corner.

    >>> corner((1, 1, 2, 4)).shape[0], corner((1, 1, 2, 4))[0, 0, 0].int().tolist()
    (8, [[1, 1, 0, 0], [0, 0, 0, 0]])
    """
    return torch.stack([_line(shape, row, 0, length, left) for length, row, left in _places(shape)])


def dash(shape: Sequence[int]) -> Tensor:
    """Two pixels that end 2, 5, 9, 13, ... columns from the left or right corner of the top or bottom row.

    >>> dash((1, 1, 2, 5))[4, 0, 0].int().tolist()
    [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    """
    return torch.stack([_line(shape, row, length - 2, length, left) for length, row, left in _places(shape)])


def moving_dash(shape: Sequence[int]) -> Tensor:
    """A dash of two pixels per side that moves on before a filter of busy pixels notices it.

    On the top side in one polarity, on the bottom side in the other, the dash goes on by two columns every
    250/1450 of the recording, and around the edge. Tried are all starting columns, at 0, 4 and 8 pixels from the side.

    >>> moving_dash((12, 2, 3, 8)).sum((0, 1, 2)).shape
    torch.Size([3, 8])
    """
    T, C, H, W = _four(shape)
    period = max(math.ceil(_PERIOD * T), 1)
    patterns = []
    for inset in [i for i in _INSETS if i <= (H - 1) // 2]:
        for start in range(0, W, 2):
            cells = torch.zeros(T, C, H, W, dtype=torch.bool)
            for t in range(T):
                columns = [(start + 2 * (t // period) + offset) % W for offset in (0, 1)]
                cells[t, C - 1, inset, columns] = True
                cells[t, 0, H - 1 - inset, columns] = True
            patterns.append(cells)
    return torch.stack(patterns)


def _places(shape: Sequence[int]) -> list[tuple[int, int, bool]]:
    """Length, row and whether it is counted from the left."""
    *_, height, width = _four(shape)
    return list(product(_lengths(width), (0, height - 1), (True, False)))


def _lengths(width: int) -> list[int]:
    """2, then 5, 9, 13, ... as far as the row goes, and the whole row at last."""
    return [length for length in (2, *range(5, width, 4)) if length < width] + [width]


def _line(shape: Sequence[int], row: int, start: int, stop: int, left: bool) -> Tensor:
    cells = torch.zeros(tuple(shape), dtype=torch.bool)
    width = int(shape[-1])
    start, stop = max(min(start, width - 1), 0), min(stop, width)
    columns = slice(start, stop) if left else slice(width - stop, width - start)
    cells[..., row, columns] = True
    return cells


def _four(shape: Sequence[int]) -> Sequence[int]:
    """The shape of a grid.

    :raises ValueError: if it is none.
    """
    if len(shape) != 4:
        came = f"samples of shape {tuple(shape)}"
        raise ValueError(explain(came, "grids [T, C, H, W]", "give the frames their polarity and pixel axes"))
    return shape
