r"""What a recording of an event camera is here: a numpy structured array, one row per event, in order of time.

An event :math:`e = (t, x, y, p)` says that pixel :math:`(x, y)` got brighter (:math:`p = 1`) or darker (:math:`p = 0`)
at time :math:`t`, in microseconds. A legal recording has :math:`t_1 \le t_2 \le \dots`, :math:`p \in \{0, 1\}` and
:math:`0 \le x < W`, :math:`0 \le y < H` on a sensor of ``size`` :math:`(H, W)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]

EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1")])
"""Fields of one event: time stamp in microseconds, column, row, polarity."""

FIELDS = ("t", "x", "y", "p")


def make_events(t: Any, x: Any, y: Any, p: Any, size: tuple[int, int] | None = None) -> Array:
    """A recording ``[E]`` of dtype :data:`EVENT` from its columns, sorted by time; equal times keep their order.

    :param t: time stamps ``[E]`` in microseconds, whole numbers.
    :param x: columns ``[E]``.
    :param y: rows ``[E]``.
    :param p: polarities ``[E]``: 0 and 1, booleans, or -1 and 1.
    :param size: ``(H, W)`` of the sensor, checked where given.
    :raises ValueError: for columns of unequal length, values that are not whole or do not fit, or an event outside the
        sensor.

    >>> make_events([5, 2], [0, 1], [0, 1], [1, -1]).tolist()
    [(2, 1, 1, 0), (5, 0, 0, 1)]
    """
    columns = [np.asarray(column) for column in (t, x, y, p)]
    shapes = {name: column.shape for name, column in zip(FIELDS, columns, strict=True)}
    if len(set(shapes.values())) > 1 or len(columns[0].shape) != 1:
        raise ValueError(explain(f"columns of shapes {shapes}", "four of one length [E]", "pass one value per event"))
    whole = [_whole(name, column) for name, column in zip(FIELDS, columns, strict=True)]
    whole[3] = np.where(whole[3] == -1, 0, whole[3])
    events = np.empty(len(whole[0]), dtype=EVENT)
    for name, column in zip(FIELDS, whole, strict=True):
        events[name] = column
    return check_events(events[np.argsort(events["t"], kind="stable")], size)


def _whole(name: str, column: Array) -> Array:
    """``column`` as int64, once every value is whole and fits its field."""
    if column.size == 0:
        return np.zeros(0, dtype=np.int64)
    if column.dtype.kind not in "biuf":
        raise ValueError(explain(f"{name} of {column.dtype}", "whole numbers", f"convert {name} to integers"))
    limits = np.iinfo(EVENT[name])
    low, high = column.min(), column.max()
    if not (np.isfinite(low) and np.isfinite(high) and float(low) >= limits.min and float(high) <= limits.max):
        fix = "check the unit (microseconds) and the order of the columns t, x, y, p"
        raise ValueError(explain(f"{name} from {low} to {high}", f"finite values in {limits.min}..{limits.max}", fix))
    if column.dtype.kind == "f" and bool((column != np.floor(column)).any()):
        fix = "give time stamps in microseconds and pixels as whole numbers: np.rint(column)"
        raise ValueError(explain(f"fractions in {name}", "whole numbers", fix))
    return column.astype(np.int64)


def check_events(events: Array, size: tuple[int, int] | None = None) -> Array:
    """Return ``events`` once they have been found to be a legal recording.

    :param events: structured array ``[E]`` with the fields t, x, y, p.
    :param size: ``(H, W)`` of the sensor; without it only negative coordinates are refused.
    :raises ValueError: if a field is missing, times are not sorted, a polarity is not 0 or 1, or an event lies outside
        the sensor.

    >>> len(check_events(make_events([1, 2], [0, 0], [0, 0], [0, 1]), size=(1, 1)))
    2
    """
    names = getattr(getattr(events, "dtype", None), "names", None)
    if names is None or events.ndim != 1 or not set(FIELDS) <= set(names):
        came = f"{type(events).__name__} with fields {names}"
        raise ValueError(explain(came, "a structured array [E] with t, x, y, p", "make_events(t, x, y, p)"))
    if len(events) == 0:
        return events
    if bool((np.diff(events["t"]) < 0).any()):
        at = int(np.argmax(np.diff(events["t"]) < 0)) + 1
        fix = "sort the recording: events[np.argsort(events['t'], kind='stable')]"
        raise ValueError(explain(f"time going back at event {at} of {len(events)}", "time stamps in order", fix))
    if bool((events["p"] < 0).any() or (events["p"] > 1).any()):
        came = f"polarities {np.unique(events['p'])[:4].tolist()}"
        raise ValueError(explain(came, "0 (darker) and 1 (brighter)", "map them: (p > 0).astype(int)"))
    _check_inside(events, size)
    return events


def _check_inside(events: Array, size: tuple[int, int] | None) -> None:
    height, width = size if size is not None else (2**15, 2**15)
    outside = (events["x"] < 0) | (events["x"] >= width) | (events["y"] < 0) | (events["y"] >= height)
    if bool(outside.any()):
        first = events[outside][0]
        came = f"{int(outside.sum())} events outside the sensor, the first at x={first['x']}, y={first['y']}"
        sensor = f"0 <= x < {width}, 0 <= y < {height}"
        raise ValueError(explain(came, sensor, "pass size=(H, W) of the sensor that recorded them"))


def sensor_size(events: Array) -> tuple[int, int]:
    """The smallest sensor ``(H, W)`` that holds every event, ``(1, 1)`` for an empty recording.

    Better give the true size: two recordings of one camera can differ in this one.

    :param events: a structured array.

    >>> sensor_size(make_events([0], [3], [1], [1]))
    (2, 4)
    """
    if len(events) == 0:
        return 1, 1
    return int(events["y"].max()) + 1, int(events["x"].max()) + 1
