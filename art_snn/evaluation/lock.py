"""One process at a time works in a result folder.

The operating system holds the lock and lets go of it when the process ends, however it ends: what a killed process
leaves behind is not in the way. Who holds it is written beside it, for the message to the one who comes second.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from art_snn.errors import explain
from art_snn.files import read_json, unwritten, write_whole

LOCK = ".lock"
HOLDER = ".lock.json"


@contextmanager
def locked(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keep every other process, and every other call of this one, out of ``folder`` inside the context.

    :param folder: result folder, made if it is missing; ``None`` locks nothing.
    :raises RuntimeError: if somebody else is at work in it.
    :raises OSError: if the folder cannot be made or written.
    """
    with nullcontext() if folder is None else _held(Path(folder)):
        yield


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(_occupied(folder)) from error
    except OSError as error:
        raise unwritten(folder / LOCK, error) from error
    try:
        write_whole(folder / HOLDER, json.dumps({"pid": os.getpid(), "host": platform.node()}))
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _occupied(folder: Path) -> str:
    holder = _holder(folder)
    who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
    fix = "wait until it is done, end it, or choose another folder with --out; finished work is used again"
    return explain(f"folder {folder}, in which {who} is at work", "a folder of one's own", fix)


def _holder(folder: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        read = read_json((folder / HOLDER).read_text())
        if isinstance(read, dict) and {"pid", "host"} <= read.keys():
            return read
    return None
