r"""Event filters on raw recordings, in time order and without bins.

An event :math:`(t, x, y)` has a *neighbor* if an earlier event of the recording, less than W microseconds before, lies
at another pixel within radius r; polarities are taken together, and of events at one time the earlier in the recording
counts as earlier. :func:`background_activity` keeps events with a neighbor, :func:`refractory` those that come more
than R microseconds after the last one of their pixel.

Source: the filter of R-SNN (Marchisio et al., IROS 2021); Delbruck's background activity filter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.data.events.base import check_events
from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]
_NEVER = np.iinfo(np.int64).min // 2


def background_activity(events: Array, window: float, radius: int = 2) -> Array:
    """Events with a recent neighbor.

    :param events: a recording, see :func:`~art_snn.data.events.make_events`.
    :param window: W in microseconds, above 0; ``np.inf`` asks for any earlier neighbor.
    :param radius: r in pixels, at least 1.
    :return: the kept events, in order.
    :raises ValueError: for an illegal recording, or a parameter out of range.

    >>> from art_snn.data.events import make_events
    >>> recording = make_events(t=[0, 3, 50], x=[1, 2, 9], y=[1, 1, 9], p=[1, 0, 1])
    >>> background_activity(recording, window=5).tolist()
    [(3, 2, 1, 0)]
    """
    check_events(events)
    if not window > 0 or radius < 1:
        came = f"window={window}, radius={radius}"
        raise ValueError(explain(came, "a positive window and a radius of at least 1", "window=5000, radius=2"))
    if len(events) == 0:
        return events
    x, y, t = (events[name].astype(np.int64) for name in ("x", "y", "t"))
    width = int(x.max()) + 2 * radius + 1
    pixel = (y + radius) * width + x + radius
    order = np.lexsort((np.arange(len(events)), pixel))
    place = pixel[order] * len(events) + order
    latest = np.full(len(events), _NEVER)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx or dy:
                np.maximum(latest, _last_at(pixel + dy * width + dx, pixel[order], place, t[order]), out=latest)
    return events[(latest > _NEVER) & (t - latest < window)]


def _last_at(wanted: Array, pixels: Array, place: Array, t: Array) -> Array:
    """Time of the last event at pixel ``wanted[i]`` before event i; :data:`_NEVER` where there is none."""
    before = np.searchsorted(place, wanted * len(wanted) + np.arange(len(wanted))) - 1
    found = (before >= 0) & (pixels[before] == wanted)
    return np.where(found, t[before], _NEVER)


def refractory(events: Array, period: float, update: str = "all") -> Array:
    """Events that do not follow the last one of their pixel too soon.

    :param events: a recording.
    :param period: R in microseconds, 0 or more.
    :param update: ``all``: dropped events restart the period; ``kept``: only kept ones do.
    :return: the kept events, in order.
    :raises ValueError: for an illegal recording, or a parameter out of range.

    >>> from art_snn.data.events import make_events
    >>> recording = make_events(t=[0, 8, 16], x=[1, 1, 1], y=[1, 1, 1], p=[1, 1, 1])
    >>> refractory(recording, 10, "all")["t"].tolist(), refractory(recording, 10, "kept")["t"].tolist()
    ([0], [0, 16])
    """
    check_events(events)
    if not period >= 0 or update not in ("all", "kept"):
        came = f"period={period}, update={update!r}"
        raise ValueError(explain(came, "a period of 0 or more, update 'all' or 'kept'", "period=1000"))
    if len(events) == 0:
        return events
    pixel = events["y"].astype(np.int64) * (int(events["x"].max()) + 1) + events["x"]
    order = np.argsort(pixel, kind="stable")
    first = np.r_[True, np.diff(pixel[order]) != 0]
    starts = np.flatnonzero(first)
    rank = np.arange(len(events)) - np.repeat(starts, np.diff(np.r_[starts, len(events)]))
    group = np.cumsum(first) - 1
    t, keep, last = events["t"].astype(np.int64)[order], np.zeros(len(events), dtype=bool), np.full(len(starts), _NEVER)
    for turn in range(int(rank.max()) + 1):
        now = np.flatnonzero(rank == turn)
        keep[now] = t[now] - last[group[now]] > period
        moved = now if update == "all" else now[keep[now]]
        last[group[moved]] = t[moved]
    return events[np.sort(order[keep])]
