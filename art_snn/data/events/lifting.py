"""Back from frames to recordings: attacked frames become an attacked recording, and frame gradients event gradients.

:func:`lift` changes a recording so that its frames are exactly the given ones. Cells that keep their value keep their
events. A cell that falls loses events, all of them where frames are binary. A cell that rises gets events: those of a
cell of the same pixel and polarity that fell, shifted by whole bins, or new ones. Whatever is put in keeps the
refractory gap to every other event of its pixel, of either polarity.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from art_snn.coding.back_projection import project_events
from art_snn.data.events.base import FIELDS, make_events
from art_snn.data.events.frames import to_frames
from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]


def event_gradients(events: Array, frame_gradient: Array, span: tuple[int, int]) -> tuple[Array, Array]:
    """Gradients of every event, ``[E]`` each: of its weight, and of its time stamp (per microsecond).

    The gain of deleting an event is minus the first; see :mod:`art_snn.coding.back_projection`.

    :param events: a recording.
    :param frame_gradient: gradient of the loss with respect to count frames, ``[T, 2, H, W]``.
    :param span: the frames' first and one-past-last microsecond.
    :raises ValueError: for an event outside the frames or the span.

    >>> recording = make_events([2, 6], [0, 0], [0, 0], [1, 1])
    >>> slope = np.array([[1.0], [4.0]]).reshape(2, 1, 1, 1) * np.ones((2, 2, 1, 1))
    >>> weight, time = event_gradients(recording, slope, span=(0, 10))
    >>> weight.tolist(), time.round(6).tolist()
    ([1.0, 4.0], [0.0, 0.6])
    """
    t, x, y, p = (torch.from_numpy(events[name].astype(np.int64)) for name in FIELDS)
    stamps = t.double().requires_grad_(True)
    weight = torch.ones(len(events), dtype=torch.float64, requires_grad=True)
    steps, _, height, width = frame_gradient.shape
    frames = project_events(stamps, x, y, p, steps, (height, width), span, weight)
    slope = torch.from_numpy(np.asarray(frame_gradient, dtype=np.float64))
    by_weight, by_time = torch.autograd.grad((frames * slope).sum(), (weight, stamps))
    return by_weight.numpy(), by_time.numpy()


def lift(
    events: Array,
    frames: Array,
    span: tuple[int, int],
    *,
    binary: bool = True,
    retime: bool = True,
    refractory: int = 0,
) -> Array:
    """The recording nearest to ``events`` in this sense whose frames over ``span`` are ``frames``.

    :param events: the clean recording.
    :param frames: the attacked frames ``[T, 2, H, W]``: zeros and ones, or whole counts.
    :param span: the frames' first and one-past-last microsecond.
    :param binary: whether a frame holds 1 for any number of events, rather than their number.
    :param retime: whether a cell that rises takes the events of one of its pixel and polarity that fell (in order of
        time, first to first), so that moved spikes stay events of the recording; otherwise all are new.
    :param refractory: shortest time in microseconds from what is put in to any other event of its pixel.
    :raises ValueError: if ``frames`` hold anything but such values, the recording does not fit them, or a cell has no
        room for an event under ``refractory``.

    >>> recording = make_events([2, 3], [0, 0], [0, 0], [1, 1])
    >>> attacked = np.zeros((2, 2, 1, 1)); attacked[1, 1] = 1
    >>> lift(recording, attacked, span=(0, 10)).tolist()
    [(7, 0, 0, 1), (8, 0, 0, 1)]
    """
    goal = _check_frames(frames, binary)
    steps, _, height, width = goal.shape
    clean = to_frames(events, steps, (height, width), span=span).astype(np.int64)
    if binary:
        goal = np.where(goal > 0, np.maximum(clean, 1), 0)
    edges = span[0] - (-(np.arange(steps + 1) * (span[1] - span[0])) // steps)
    bins = np.searchsorted(edges, events["t"], side="right") - 1
    lost = _rank(events, bins, goal.shape) >= goal[bins, events["p"], events["y"], events["x"]]
    rows: list[tuple[int, int, int, int]] = []
    taken: dict[tuple[int, int], list[int]] = {}
    for p, y, x in np.argwhere((goal > clean).any(0)).tolist():
        pixel = (events["y"] == y) & (events["x"] == x)
        free = lost & pixel & (events["p"] == p)
        others = taken.setdefault((y, x), events["t"][pixel & ~lost].tolist())
        slots = np.repeat(np.arange(steps), np.maximum(goal - clean, 0)[:, p, y, x])
        for step, wish in _wishes(events["t"][free], bins[free], slots, edges, packets=binary, retime=retime):
            t = _free_time(wish, int(edges[step]), int(edges[step + 1]), others, refractory)
            others.append(t)
            rows.append((t, x, y, p))
    put = np.array(rows, dtype=np.int64).reshape(-1, 4)
    columns = [np.concatenate([events[name][~lost], put[:, i]]) for i, name in enumerate(FIELDS)]
    return make_events(columns[0], columns[1], columns[2], columns[3], (height, width))


def _check_frames(frames: Array, binary: bool) -> Array:
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[1] != 2:
        raise ValueError(explain(f"frames of shape {frames.shape}", "[T, 2, H, W]", "pass one recording's frames"))
    whole = bool(np.isfinite(frames).all() and (frames >= 0).all() and (frames == np.floor(frames)).all())
    if not whole or (binary and bool((frames > 1).any())):
        expected = "zeros and ones" if binary else "whole counts, not negative"
        fix = "round the attack's result to legal frames" + (", or pass binary=False" if binary and whole else "")
        raise ValueError(explain("frames with other values", expected, fix))
    return frames.astype(np.int64)


def _rank(events: Array, bins: Array, shape: tuple[int, ...]) -> Array:
    """The place of each event among those of its cell, in order of time."""
    cell = np.ravel_multi_index((bins, events["p"], events["y"], events["x"]), shape)
    order = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[order], cell[order], side="left")
    rank = np.empty(len(events), dtype=np.int64)
    rank[order] = np.arange(len(events)) - first
    return rank


def _wishes(
    t: Array, bins: Array, slots: Array, edges: Array, *, packets: bool, retime: bool
) -> Iterator[tuple[int, int]]:
    """The bin and preferred time of everything that is put into one line.

    :param t: time stamps of the events that the line lost.
    :param bins: their bins.
    :param slots: bins that need an event more, ascending.
    :param packets: whether all events of a lost bin move together into one slot, or each into one of its own.
    """
    groups = np.unique(bins, return_inverse=True)[1] if packets else np.arange(len(t))
    for i, step in enumerate(slots.tolist()):
        moved = np.nonzero(groups == i)[0] if retime else np.zeros(0, dtype=np.int64)
        for at in moved:
            yield step, int(t[at] - edges[bins[at]] + edges[step])
        if len(moved) == 0:
            yield step, int(edges[step] + edges[step + 1]) // 2


def _free_time(wish: int, start: int, stop: int, others: list[int], gap: int) -> int:
    """The time in ``start .. stop - 1`` nearest to ``wish`` that is ``gap`` or more from every other."""
    borders = [wish, start, stop - 1, *(t + gap for t in others), *(t - gap for t in others)]
    free = [t for t in borders if start <= t < stop and all(abs(t - other) >= gap for other in others)]
    if not free:
        came = f"no room for an event in {start}..{stop - 1} us, {gap} us from the others of its pixel"
        raise ValueError(explain(came, "room for every event that is put in", "use fewer frames, or a smaller gap"))
    return min(free, key=lambda t: (abs(t - wish), t))
