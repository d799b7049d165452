r"""The 40-bit event files of N-MNIST and N-Caltech101 (``.bin``), as the ATIS camera writes them.

Five bytes an event: column, row, then one bit of polarity and 23 bits of time in microseconds, most significant first.
A row of 240 marks an overflow of the clock instead of an event: all later time stamps lie :math:`2^{13}` microseconds
further on. Such markers carry no event, but they are kept beside the events, so that a file comes back byte for byte.

Source: Orchard et al. 2015.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from art_snn.data.events.base import EVENT, check_events
from art_snn.errors import explain
from art_snn.files import write_whole

Array = np.ndarray[Any, np.dtype[Any]]

MARKER = np.dtype([("at", "<i8"), ("bytes", "u1", (5,))])
"""An overflow marker: the number of events before it, and its five bytes."""

_OVERFLOW_ROW = 240
_OVERFLOW = 2**13
_CLOCK = 2**23


def read_nmnist(path: str | os.PathLike[str], size: tuple[int, int] = (34, 34)) -> Array:
    """The events ``[E]`` of a ``.bin`` file.

    :param path: the file.
    :param size: ``(H, W)`` of the sensor, at most (240, 256).
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is damaged: cut inside an event, out of order, or with events outside the sensor.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "one.bin"
    ...     _ = path.write_bytes(bytes([3, 2, 128, 1, 0]))
    ...     read_nmnist(path).tolist()
    [(256, 3, 2, 1)]
    """
    path = Path(path)
    try:
        return decode_nmnist(path.read_bytes(), size)[0]
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def decode_nmnist(data: bytes, size: tuple[int, int] = (34, 34)) -> tuple[Array, Array]:
    """Events ``[E]`` and overflow markers (dtype :data:`MARKER`) of the content of a file.

    :param data: content of a ``.bin`` file, five bytes per event.
    :param size: ``(H, W)`` of the sensor, at most (240, 256).
    :raises ValueError: see :func:`read_nmnist`.

    >>> decode_nmnist(bytes([3, 2, 128, 1, 0]))[0].tolist()
    [(256, 3, 2, 1)]
    """
    if len(data) % 5:
        came, fix = f"{len(data)} bytes", "fetch the file again; it is cut off, or it is no .bin event file"
        raise ValueError(explain(came, "a whole number of 5-byte events", fix))
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, 5)
    marks = raw[:, 1] == _OVERFLOW_ROW
    wide = raw.astype(np.int64)
    events = np.empty(int((~marks).sum()), dtype=EVENT)
    t = ((wide[:, 2] & 127) << 16 | wide[:, 3] << 8 | wide[:, 4]) + _OVERFLOW * np.cumsum(marks)
    for name, column in zip(("t", "x", "y", "p"), (t, wide[:, 0], wide[:, 1], wide[:, 2] >> 7), strict=True):
        events[name] = column[~marks]
    markers = np.empty(int(marks.sum()), dtype=MARKER)
    markers["at"], markers["bytes"] = np.cumsum(~marks)[marks], raw[marks]
    return check_events(events, size), markers


def write_nmnist(events: Array, path: str | os.PathLike[str], markers: Array | None = None) -> Path:
    """Write a ``.bin`` file, whole or not at all.

    :param events: a recording.
    :param path: the file; one that exists is replaced.
    :param markers: see :func:`encode_nmnist`.
    :return: the path.
    :raises ValueError: see :func:`encode_nmnist`.
    :raises OSError: if the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> events = np.array([(256, 3, 2, 1)], dtype=EVENT)
    >>> with TemporaryDirectory() as folder:
    ...     list(write_nmnist(events, Path(folder) / "one.bin").read_bytes())
    [3, 2, 128, 1, 0]
    """
    return write_whole(Path(path), encode_nmnist(events, markers))


def encode_nmnist(events: Array, markers: Array | None = None) -> bytes:
    """The content of a ``.bin`` file: the inverse of :func:`decode_nmnist`.

    :param events: a recording on a sensor of at most 240 x 256 pixels.
    :param markers: the overflow markers to write; by default as many as the clock of 23 bits needs.
    :raises ValueError: if the recording is not legal, does not fit the format, or the markers do not fit the recording.

    >>> encode_nmnist(decode_nmnist(bytes([3, 2, 128, 1, 0]))[0]) == bytes([3, 2, 128, 1, 0])
    True
    """
    check_events(events, (_OVERFLOW_ROW, 256))
    markers = _needed(events) if markers is None else markers
    before = np.searchsorted(markers["at"], np.arange(len(events)), side="right")
    t = events["t"] - _OVERFLOW * before
    if bool((np.diff(markers["at"]) < 0).any()) or bool((t < 0).any()) or bool((t >= _CLOCK).any()):
        came = f"time stamps {t.min(initial=0)}..{t.max(initial=0)} after {len(markers)} overflow markers"
        raise ValueError(explain(came, f"0 <= t < {_CLOCK}", "shift the recording to begin at 0, and pass no markers"))
    raw = np.empty((len(events), 5), dtype=np.uint8)
    raw[:, 0], raw[:, 1] = events["x"], events["y"]
    raw[:, 2] = events["p"].astype(np.int64) << 7 | t >> 16
    raw[:, 3], raw[:, 4] = t >> 8 & 255, t & 255
    return np.insert(raw, markers["at"], markers["bytes"], axis=0).tobytes()


def _needed(events: Array) -> Array:
    """The fewest markers, each as late as possible, that keep every time stamp below the clock's end."""
    if len(events) and int(events["t"].min()) < 0:
        raise ValueError(explain("a negative time stamp", "t >= 0", "shift the recording to begin at 0"))
    needed = np.maximum(0, (events["t"] - _CLOCK) // _OVERFLOW + 1)
    steps = np.diff(needed, prepend=0)
    markers = np.zeros(int(steps.sum()), dtype=MARKER)
    markers["at"] = np.repeat(np.arange(len(events)), steps)
    markers["bytes"] = (0, _OVERFLOW_ROW, 0, 0, 0)
    return markers
