r"""From an attacked grid back to raw events: the recording whose frames are exactly that grid.

Frame j of T covers the bin :math:`[\,a + j (b - a)/T,\; a + (j+1)(b - a)/T)` of the recording's span (a, b). Where the
grid lost an event, the latest events of that cell and bin go (all of them on a binary grid); where it gained one, an
event is placed in the bin, as far from the other events of its pixel as the bin allows. Nothing else moves.

A binary cell stands for one event or many, so one deleted cell can cost many deleted events: the budget of raw events
is judged by :class:`~art_snn.threats.EventBudget` on the two recordings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from art_snn.coding.frames import event_bins
from art_snn.data.events import to_frames
from art_snn.errors import explain
from art_snn.threats.events import Events, short_gaps

Array = np.ndarray[Any, np.dtype[Any]]


def lift(
    events: Events, before: Array, after: Array, span: tuple[int, int], *, refractory: float = 0.0,
    binary: bool = True,
) -> Events:  # fmt: skip
    """A recording whose frames are ``after``, from one whose frames are ``before``.

    :param events: structured array ``[E]`` with t (microseconds), x, y and p (0 or 1), sorted by time.
    :param before: its frames ``[T, 2, H, W]``.
    :param after: the attacked frames.
    :param span: first time of the first frame, and the time at which the last one ends.
    :param refractory: least time between two events of a pixel that a new event must keep.
    :param binary: whether a cell is 1 however many events it holds; else it is their number.
    :raises ValueError: if ``before`` is not what the recording gives, the shapes differ, or an event cannot be placed.

    >>> kind = [("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i1")]
    >>> one = np.array([(10, 0, 0, 1)], kind)
    >>> before, after = np.zeros((2, 2, 1, 1)), np.zeros((2, 2, 1, 1))
    >>> before[0, 1], after[1, 0] = 1, 1
    >>> lift(one, before, after, (0, 100)).tolist()
    [(75, 0, 0, 0)]
    """
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape or before.ndim != 4:
        came = f"frames of shape {before.shape} and {after.shape}"
        raise ValueError(explain(came, "two grids [T, 2, H, W]", "pass one recording at a time"))
    if not np.array_equal(to_frames(events, len(before), before.shape[2:], binary=binary, span=span), before):
        fix = f"use the frames that span={span} and binary={binary} give"
        raise ValueError(explain("frames that are not those of the recording", "its own frames", fix))
    cells = cell_of(events, len(before), span)
    gone: list[int] = []
    for t, p, y, x in np.argwhere(after < before):
        inside = np.flatnonzero((cells == (t, p, y, x)).all(1))
        keep = 0 if binary else int(after[t, p, y, x])
        gone += inside[keep:].tolist()
    result = np.delete(events, gone)
    edges = bin_edges(before.shape[0], span)
    for t, p, y, x in np.argwhere(after > before):
        for _ in range(int(after[t, p, y, x] - before[t, p, y, x])):
            new = np.zeros(1, dtype=events.dtype)
            taken = result["t"][(result["x"] == x) & (result["y"] == y)].astype(np.int64)
            new["t"], new["x"], new["y"], new["p"] = _place(edges[t], edges[t + 1], taken), x, y, p
            more = np.append(result, new)
            if short_gaps(more, refractory) > short_gaps(result, refractory):
                came = f"a new event at pixel ({x}, {y}) in frame {t}, within {refractory:g} us of another"
                raise ValueError(explain(came, "room in the bin", "mask such cells, or lower refractory"))
            result = more
    return result[np.argsort(result["t"], kind="stable")]


def bin_edges(T: int, span: tuple[int, int]) -> list[int]:
    """First whole microsecond of each bin, and the end of the last one.

    >>> bin_edges(3, (0, 10))
    [0, 4, 7, 10]
    """
    first, last = span
    return [first + -(-(last - first) * j // T) for j in range(T + 1)]


def cell_of(events: Events, T: int, span: tuple[int, int]) -> Array:
    """Frame, polarity, row and column of each event, ``[E, 4]``."""
    frame = event_bins(torch.from_numpy(events["t"].astype(np.int64)), T, span=span).numpy()
    return np.stack([frame, *(events[name].astype(np.int64) for name in ("p", "y", "x"))], 1)


def _place(start: int, stop: int, taken: Array) -> int:
    """The whole time in ``[start, stop)`` that is farthest from every time in ``taken``."""
    if len(taken) == 0:
        return (start + stop) // 2
    near = np.unique(np.concatenate([taken, [start, stop - 1]]))
    candidates = np.concatenate([[start, stop - 1], (near[:-1] + near[1:]) // 2])
    candidates = candidates[(candidates >= start) & (candidates < stop)]
    distance = np.abs(candidates[:, None] - taken[None]).min(1)
    return int(candidates[distance.argmax()])
