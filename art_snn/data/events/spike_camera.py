"""Raw files of a spike camera (``.dat``): one bit for each pixel and step, no header.

Bits lie in order of rows, the least significant bit of a byte first, and the image stands upside down. A frame takes
whole bytes: where ``H * W`` is no multiple of eight, zeros fill its last byte. The array ``[T, H, W]`` of spikes is
what :func:`art_snn.coding.tfp` and :func:`art_snn.coding.tfi` read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from art_snn.errors import explain
from art_snn.files import write_whole

Array = np.ndarray[Any, np.dtype[Any]]


def read_spike_camera(path: str | os.PathLike[str], size: tuple[int, int] = (250, 400)) -> Array:
    """Spikes ``[T, H, W]``, uint8 0 or 1, upright.

    :param path: the file.
    :param size: ``(H, W)`` of a stored frame. Recordings with a head of 16 columns are stored as (250, 416):
        read those, and drop the head by ``spikes[..., :400]``.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is not a whole number of frames of that size.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "one.dat"
    ...     _ = path.write_bytes(bytes([0b00000001, 0b10000000]))
    ...     read_spike_camera(path, size=(2, 4)).tolist()  # two frames of eight bits, the lowest row first
    [[[0, 0, 0, 0], [1, 0, 0, 0]], [[0, 0, 0, 1], [0, 0, 0, 0]]]
    """
    height, width = _check_size(size)
    path = Path(path)
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    frame = (height * width + 7) // 8
    if len(data) % frame:
        came = f"{path.name}: {len(data)} bytes, {len(data) % frame} more than {len(data) // frame} whole frames"
        fix = "check size=(H, W), or fetch the file again if it is cut off"
        raise ValueError(explain(came, f"a multiple of {frame} bytes for {height} x {width} pixels", fix))
    bits = np.unpackbits(data.reshape(-1, frame), axis=1, bitorder="little")
    if bool(bits[:, height * width :].any()):
        came = f"{path.name}: spikes in the filling at the end of a frame"
        raise ValueError(explain(came, f"zeros after {height} x {width} pixels", "check size=(H, W)"))
    return bits[:, : height * width].reshape(-1, height, width)[:, ::-1].copy()


def write_spike_camera(spikes: Array, path: str | os.PathLike[str]) -> Path:
    """Write spikes ``[T, H, W]`` as a ``.dat`` file, whole or not at all.

    :param spikes: binary, time first.
    :param path: the file.
    :return: the path.
    :raises ValueError: if the array has another number of axes, or values other than 0 and 1.
    :raises OSError: if the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> spikes = np.eye(8)[None]
    >>> with TemporaryDirectory() as folder:
    ...     path = write_spike_camera(spikes, Path(folder) / "one.dat")
    ...     bool((read_spike_camera(path, size=(8, 8)) == spikes).all())
    True
    """
    spikes = np.asarray(spikes)
    if spikes.ndim != 3 or 0 in spikes.shape[1:] or not bool(((spikes == 0) | (spikes == 1)).all()):
        came = f"an array of shape {spikes.shape}, {spikes.dtype}"
        raise ValueError(explain(came, "zeros and ones [T, H, W]", "take one recording, upright, as 0 and 1"))
    steps, height, width = spikes.shape
    upside_down = spikes[:, ::-1].reshape(steps, height * width).astype(np.uint8)
    return write_whole(Path(path), np.packbits(upside_down, axis=1, bitorder="little").tobytes())


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(explain(f"size={size}", "(H, W) of at least one pixel", "size=(250, 400)"))
    return size
