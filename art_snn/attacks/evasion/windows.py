"""Random windows of a grid ``[T, C, H, W]``, one per sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def interval(number: Tensor, size: int, length: int) -> Tensor:
    """Cells of a random interval of ``length`` cells within ``size``, bool ``[n, size]``.

    :param number: a uniform number in [0, 1) per sample, ``[n]``.

    >>> interval(torch.tensor([0.0, 0.9]), 3, 2).int().tolist()
    [[1, 1, 0], [0, 1, 1]]
    """
    length = min(length, size)
    start = (number * (size - length + 1)).floor().clamp(max=size - length)[:, None]
    cells = torch.arange(size, device=number.device)[None]
    return (cells >= start) & (cells < start + length)


def box(numbers: Tensor, sizes: Sequence[int], lengths: Sequence[int]) -> Tensor:
    """A random box, bool ``[n, T, 1, H, W]``: ``lengths`` of the ``sizes`` (T, H, W), at ``numbers [n, 3]``."""
    t, h, w = (
        interval(numbers[:, i], size, length) for i, (size, length) in enumerate(zip(sizes, lengths, strict=True))
    )
    return t[:, :, None, None, None] & h[:, None, None, :, None] & w[:, None, None, None, :]


def tube(numbers: Tensor, shape: Sequence[int], share: float) -> Tensor:
    """A random box of about the given share of the cells, nearly a cube in relative lengths, ``[n, T, 1, H, W]``.

    :param numbers: uniform numbers ``[n, 3 or more]``.
    :param shape: ``(T, C, H, W)``.
    :param share: share of cells, in (0, 1].
    """
    frames, _, height, width = shape
    span = min(math.ceil(share ** (1 / 3) * frames), frames)
    side = max(round(math.sqrt(share * frames / span * height * width)), 1)
    return box(numbers, (frames, height, width), (span, side, side))
