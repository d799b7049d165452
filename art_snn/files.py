"""Files that are written whole or not at all, and names that stay in their folder."""

from __future__ import annotations

import os
from pathlib import Path

from art_snn.errors import explain


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write ``content`` beside ``path`` and put it in its place in one step; an interrupted write changes nothing.

    :param path: file to write; its folder is made if it is missing, an existing file is replaced.
    :return: the path.
    :raises OSError: if the folder cannot be written or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        partial.replace(path)
    finally:
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
