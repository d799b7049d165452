"""Recordings to frames: :func:`art_snn.coding.bin_events` on structured arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from art_snn.coding import bin_events
from art_snn.data.events.base import FIELDS, check_events

Array = np.ndarray[Any, np.dtype[Any]]


def to_frames(
    events: Array,
    T: int,
    size: tuple[int, int],
    *,
    by: str = "time",
    binary: bool = False,
    span: tuple[int, int] | None = None,
) -> Array:
    """Frames ``[T, 2, H, W]``, float32, of a recording; an empty bin, or an empty recording, gives zeros.

    :param events: structured array ``[E]``, see :data:`~art_snn.data.events.EVENT`.
    :param T: number of frames.
    :param size: ``(H, W)`` of the sensor.
    :param by: ``time`` (equal durations) or ``count`` (about equal numbers of events).
    :param binary: 1 where anything happened, instead of the number of events.
    :param span: the frames' first and one-past-last microsecond, for ``by="time"``; by default those of the recording
        itself, which an attacker can move with one event.
    :raises ValueError: if the recording is not legal, see :func:`~art_snn.data.events.check_events`, or an event lies
        outside ``span``.

    >>> from art_snn.data.events import make_events
    >>> to_frames(make_events([0, 5, 10], [0, 0, 0], [0, 0, 0], [1, 1, 1]), 2, (1, 1))[:, 1].ravel().tolist()
    [1.0, 2.0]
    """
    check_events(events, size)
    t, x, y, p = (torch.from_numpy(events[name].astype(np.int64)) for name in FIELDS)
    return bin_events(t, x, y, p, T, size, by=by, binary=binary, span=span).numpy()
