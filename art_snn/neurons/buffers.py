"""Large buffers that are used again: memory that was touched before costs nothing but the arithmetic on it.

The C library hands large tensors back to the system as soon as they are freed, and the system clears every fresh page.
Measured on a CPU, filling 49 MiB takes 29 ms in a new tensor, 4 ms in a new array (numpy asks Linux for huge pages) and
2 ms in one that was used before. So a buffer here is a tensor on an array, and when the last tensor, view, or graph
that holds its storage is gone, the array is kept for the next one of about its size, up to :data:`KEPT` bytes in all.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

KEPT = 512 * 1024**2
"""Bytes of free arrays that are kept, of the whole process."""

_LARGE = 4 * 1024**2
"""Bytes from which a buffer is worth keeping; numpy asks for huge pages from there on."""

_TOUCHSTONE = 31 * 1024**2
"""Bytes of a tensor that is made once and dropped untouched. The C library of Linux keeps freed blocks up to the size
of the largest one that was ever freed, and twice as much in all; it would never see one of the large tensors that live
here, and give the smaller ones back to the system every time."""

_KINDS = {torch.float32: np.float32, torch.float64: np.float64}

Block = np.ndarray[Any, np.dtype[np.uint8]]


class _Shelf:
    """Free arrays. What comes back (from any thread, at any moment) is only noted, and put away by the next taker."""

    def __init__(self) -> None:
        self.free: list[Block] = []
        self.back: deque[Block] = deque()
        self.taking = threading.Lock()
        self.raised = False

    def take(self, size: int) -> Block:
        """An array of at least ``size`` bytes and at most twice as many; a new one where none is free."""
        with self.taking:
            self._put_away()
            fitting = [i for i, block in enumerate(self.free) if size <= block.nbytes <= 2 * size]
            if fitting:
                return self.free.pop(min(fitting, key=lambda i: self.free[i].nbytes))
            if not self.raised:
                self.raised = True
                torch.empty(_TOUCHSTONE, dtype=torch.uint8)
        return np.empty(size, np.uint8)

    def clear(self) -> None:
        """Give all of it back to the system."""
        with self.taking:
            self._put_away()
            self.free.clear()

    def _put_away(self) -> None:
        """The latest first: what does not fit is the longest unused."""
        while self.back:
            self.free.insert(0, self.back.popleft())
        room = KEPT
        kept: list[Block] = []
        for block in self.free:
            room -= block.nbytes
            if room >= 0:
                kept.append(block)
        self.free = kept


_shelf = _Shelf()


def buffer(size: Sequence[int], like: Tensor) -> Tensor:
    """A tensor of any content, of dtype and device of ``like``: ``like.new_empty(size)``, sooner.

    >>> buffer((2, 3), torch.zeros(5)).shape
    torch.Size([2, 3])
    """
    size = tuple(size)
    total = prod(size) * like.element_size()
    if total < _LARGE or not _is_ours(like):
        return like.new_empty(size)
    block = _shelf.take(total)
    lease = block[:total].view(_KINDS[like.dtype])
    weakref.finalize(lease, _shelf.back.append, block).atexit = False
    return torch.from_numpy(lease).view(size)


def is_large(x: Tensor) -> bool:
    """Whether a tensor like this one is worth a buffer."""
    return x.numel() * x.element_size() >= _LARGE and _is_ours(x)


def _is_ours(x: Tensor) -> bool:
    """Plain tensors of a CPU, outside of what ``torch.compile`` traces."""
    if torch.compiler.is_compiling():
        return False
    return x.dtype in _KINDS and type(x) is Tensor and x.device.type == "cpu"


def release() -> None:
    """Give the free buffers back to the system."""
    _shelf.clear()
