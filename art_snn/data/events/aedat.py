"""AEDAT 4, files of DAVIS and DVXplorer cameras, through the MIT library ``aedat`` (``pip install art-snn[aedat]``).

The library ends the whole process on some damaged files. So it runs in a process of its own, and whatever goes wrong
there comes back as one error.
"""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from art_snn.data.events.base import check_events, make_events
from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]

_DECODE = """
import sys, aedat, numpy
packets = [packet["events"] for packet in aedat.Decoder(sys.argv[1]) if "events" in packet]
columns = [[packet[name].astype(numpy.int64) for packet in packets] for name in ("t", "x", "y", "on")]
columns = [numpy.concatenate([numpy.zeros(0, numpy.int64), *parts]) for parts in columns]
numpy.save(sys.stdout.buffer, numpy.stack(columns))
"""


def read_aedat4(path: str | os.PathLike[str], size: tuple[int, int] | None = None, timeout: float = 600.0) -> Array:
    """The events ``[E]`` of an AEDAT 4 file; other streams in it are passed over.

    :param path: the file.
    :param size: ``(H, W)`` of the sensor, checked where given.
    :param timeout: seconds after which the file is given up.
    :raises ImportError: if the library is not installed.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is damaged, out of order, or has events outside the sensor.
    """
    path = Path(path)
    if importlib.util.find_spec("aedat") is None:
        raise ImportError(explain("no library aedat", "it, to read AEDAT files", "pip install 'art-snn[aedat]'"))
    if not path.is_file():
        raise FileNotFoundError(explain(f"no file {path}", "an AEDAT 4 file", "check the path"))
    t, x, y, p = _decoded(path, timeout)
    try:
        if bool((np.diff(t) < 0).any()):
            raise ValueError(explain("time stamps that go back", "time stamps in order", "fetch the file again"))
        return check_events(make_events(t, x, y, p), size)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _decoded(path: Path, timeout: float) -> Array:
    """Rows t, x, y, p, as the library sees them."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program, and a path as data
            [sys.executable, "-c", _DECODE, str(path.resolve())], capture_output=True, timeout=timeout, check=True
        )
        columns: Array = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    except (subprocess.SubprocessError, ValueError, EOFError) as error:
        came = f"{path.name}, which the library aedat cannot decode ({type(error).__name__})"
        fix = "fetch the file again; convert AEDAT 2 and 3.1 to AEDAT 4 first"
        raise ValueError(explain(came, "a whole AEDAT 4 file", fix)) from error
    return columns
