"""Recordings as ``.npz`` files with the arrays t, x, y and p, alone or in SpikingJelly's folders.

The folders ``<root>/events_np/{train,test}/<class>/*.npz`` are what SpikingJelly's event data sets read: one that finds
``events_np`` downloads nothing.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from art_snn.data.events.base import FIELDS, check_events, make_events
from art_snn.errors import explain
from art_snn.files import plain_name, write_whole

Array = np.ndarray[Any, np.dtype[Any]]

_LARGEST, _EXPANSION = 2**28, 20
"""Bytes of an unpacked array that are always accepted, and bytes per byte of the file: more is a zip bomb."""


def read_npz(path: str | os.PathLike[str], size: tuple[int, int] | None = None) -> Array:
    """The events ``[E]`` of an ``.npz`` file with 1-D arrays t, x, y, p of any integer type.

    :param path: the file.
    :param size: ``(H, W)`` of the sensor, checked where given.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is damaged, lacks an array, is out of order, or has events outside the sensor.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "one.npz", t=[2, 5], x=[1, 0], y=[1, 0], p=[0, 1])
    ...     read_npz(Path(folder) / "one.npz", size=(4, 4)).tolist()
    [(2, 1, 1, 0), (5, 0, 0, 1)]
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        t, x, y, p = _columns(data)
        if bool((t[1:] < t[:-1]).any()):
            fix = "sort t, x, y and p by t, then save them again"
            raise ValueError(explain("time stamps that go back", "time stamps in order", fix))
        return make_events(t, x, y, p, size)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _columns(data: bytes) -> list[Array]:
    """The four arrays; whatever zip or numpy say about a damaged file becomes one kind of error."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = archive.namelist()
            limit = max(_LARGEST, _EXPANSION * len(data))
            columns = [_column(_content(archive, f"{name}.npy", limit)) for name in FIELDS if f"{name}.npy" in there]
    except Exception as error:
        came = f"a damaged file, or arrays that are not 1-D integers ({type(error).__name__})"
        fix = "save it anew from integer arrays: np.savez(path, t=t, x=x, y=y, p=p)"
        raise ValueError(explain(came, "an .npz file of integers", fix)) from error
    if len(columns) < len(FIELDS):
        raise ValueError(explain(f"arrays {there}", "t, x, y and p", "np.savez(path, t=t, x=x, y=y, p=p)"))
    return columns


def _content(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """One unpacked array; the size that the archive states is all that is ever unpacked."""
    if archive.getinfo(name).file_size > limit:
        raise ValueError
    return archive.read(name)


def _column(content: bytes) -> Array:
    """One array; its header is held against the bytes that are there before any memory is taken."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read_header(stream)
    if kind.kind not in "biu" or len(shape) != 1 or shape[0] * kind.itemsize != len(content) - stream.tell():
        raise ValueError
    return np.frombuffer(content, dtype=kind, offset=stream.tell())


def write_npz(events: Array, path: str | os.PathLike[str]) -> Path:
    """Write a recording as ``.npz``, whole or not at all; the same recording gives the same bytes.

    :param events: a structured array.
    :param path: the file.
    :return: the path.
    :raises ValueError: if the recording is not legal.
    :raises OSError: if the file cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> one = make_events([2, 5], [1, 0], [1, 0], [0, 1])
    >>> with TemporaryDirectory() as folder:
    ...     read_npz(write_npz(one, Path(folder) / "one.npz")).tolist() == one.tolist()
    True
    """
    check_events(events)
    buffer = io.BytesIO()
    np.savez(buffer, t=events["t"], x=events["x"], y=events["y"], p=events["p"])
    return write_whole(Path(path), buffer.getvalue())


def read_events_np(
    root: str | os.PathLike[str], split: str, size: tuple[int, int] | None = None
) -> tuple[list[Array], Array, list[str]]:
    """Recordings, labels ``[N]`` and class names of one split of an ``events_np`` folder, in order of their names.

    :param root: the folder that holds ``events_np``.
    :param split: ``train`` or ``test``.
    :param size: ``(H, W)`` of the sensor, checked where given.
    :raises FileNotFoundError: if there is no such folder.
    :raises ValueError: if a recording cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> one = make_events([2, 5], [1, 0], [1, 0], [0, 1])
    >>> with TemporaryDirectory() as root:
    ...     _ = write_events_np(root, "train", [one, one], np.array([1, 0]), ["cat", "dog"])
    ...     recordings, labels, classes = read_events_np(root, "train")
    >>> len(recordings), labels.tolist(), classes
    (2, [0, 1], ['cat', 'dog'])
    """
    folder = Path(root) / "events_np" / plain_name(split)
    if not folder.is_dir():
        fix = "pass the folder that holds events_np, and a split that is in it"
        raise FileNotFoundError(explain(f"no folder {folder}", "<root>/events_np/{train,test}", fix))
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((folder / name).glob("*.npz"))]
    labels = np.array([label for _, label in files], dtype=np.int64)
    return [read_npz(path, size) for path, _ in files], labels, classes


def write_events_np(
    root: str | os.PathLike[str], split: str, recordings: Sequence[Array], labels: Array, classes: Sequence[str]
) -> Path:
    """Write recordings where SpikingJelly's data sets read them, ``<root>/events_np/<split>/<class>/<number>.npz``.

    A class without recordings gets an empty folder, so that the labels of the others stay what they are; SpikingJelly
    refuses such a folder.

    :param labels: index of each recording's class, ``[N]``.
    :param classes: names of the classes, in ascending order: SpikingJelly numbers them so.
    :param root: the folder that will hold ``events_np``.
    :param split: ``train`` or ``test``.
    :param recordings: structured arrays of events, one per sample.
    :return: the folder of the split.
    :raises ValueError: if numbers of recordings and labels differ, a label has no class, names are not ascending,
        or the name of the split or of a class is a path.
    :raises OSError: if the folder cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> one = make_events([2, 5], [1, 0], [1, 0], [0, 1])
    >>> with TemporaryDirectory() as root:
    ...     folder = write_events_np(root, "train", [one, one], np.array([0, 0]), ["cat", "dog"])
    ...     sorted(path.name for path in (folder / "cat").iterdir())
    ['000000.npz', '000001.npz']
    """
    labels = np.asarray(labels)
    if len(labels) != len(recordings) or list(classes) != sorted(set(classes)):
        came = f"{len(recordings)} recordings, {len(labels)} labels, classes {list(classes)[:4]}"
        raise ValueError(explain(came, "one label each, class names in ascending order", "sort the class names"))
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(classes)):
        came = f"labels {labels.min()}..{labels.max()}"
        raise ValueError(explain(came, f"labels in 0..{len(classes) - 1}", "name every class"))
    folder = Path(root) / "events_np" / plain_name(split)
    for name in map(plain_name, classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (events, label) in enumerate(zip(recordings, labels, strict=True)):
        write_npz(events, folder / classes[int(label)] / f"{number:06d}.npz")
    return folder
