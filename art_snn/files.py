"""Files that are written whole or not at all, names that stay in their folder, and JSON from anywhere."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from art_snn.errors import explain

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write ``content`` beside ``path`` and put it in its place in one step; an interrupted write changes nothing.

    The content is on the disk, not in a cache, before it takes its place.

    :param path: file to write; its folder is made if it is missing, an existing file is replaced.
    :return: the path.
    :raises OSError: if the folder cannot be written or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise unwritten(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def plain_name(name: str) -> str:
    r"""``name`` itself, if it names one file or folder inside another and nothing beyond it.

    :raises ValueError: for an empty name, ``.``, ``..``, or a name with ``/``, ``\\`` or a NUL character.

    >>> plain_name("left hand")
    'left hand'
    """
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        fix = "take letters, digits, blanks, dots, dashes or underscores"
        raise ValueError(explain(f"the name {name!r}", "one file or folder name, without a path", fix))
    return name


def inside(folder: Path, name: str) -> Path:
    """The file ``name`` (a relative path) of a folder.

    :raises ValueError: if the path leads out of the folder.

    >>> inside(Path("run"), "examples/a.safetensors").as_posix()
    'run/examples/a.safetensors'
    """
    path = folder / name
    if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
        fix = "take results that art-snn wrote; these were changed by hand"
        raise ValueError(explain(f"the file {name!r}", f"a file inside {folder}", fix))
    return path


def read_json(text: str | bytes) -> Any:
    """What a JSON text says, whoever wrote it.

    :raises ValueError: for anything that is no JSON, and for lists within lists beyond what Python follows.

    >>> read_json("[1, 2]")
    [1, 2]
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        came = f"JSON of {len(text)} characters, nested too deeply to follow"
        raise ValueError(explain(came, "records a few levels deep", "is this the right file?")) from error


def append_line(path: Path, line: str) -> None:
    """Append ``line`` to a file; it is on the disk when this returns. What a failed write left behind is cut off.

    :raises OSError: if the file cannot be written or the disk is full.
    """
    try:
        with path.open("ab") as file:
            before = file.tell()
            try:
                file.write(line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.truncate(path, before)
                raise
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: OSError) -> OSError:
    """The same error with its repair.

    >>> import errno
    >>> print(unwritten(Path("run/a.json"), OSError(errno.ENOSPC, "No space left on device")))
    got no room for run/a.json (No space left on device); expected space on its disk. Fix: free some and give the same \
command again; what was finished is kept.
    """
    if error.errno in _FULL:
        fix = "free some and give the same command again; what was finished is kept"
        text = explain(f"no room for {path} ({error.strerror})", "space on its disk", fix)
    elif error.errno in _FORBIDDEN:
        text = explain(f"folder {path.parent} ({error.strerror})", "a folder that can be written", "choose another")
    else:
        return error
    clear = OSError(text)
    clear.errno = error.errno
    return clear
