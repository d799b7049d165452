"""Results on disk: one JSON object per line, appended and flushed as soon as a cell is finished.

A cell is addressed by the content that determines it, so a run that was killed finds what it had finished and computes
the rest. A line that a kill cut in half, or that somebody damaged, is set aside and computed again.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from art_snn.errors import explain
from art_snn.files import append_line, read_json, write_whole

logger = logging.getLogger(__name__)

Record = dict[str, Any]
DERIVED = (
    "run", "summary", "cost", "test", "work_mean", "verdict", "references", "aurc", "expected", "gap", "index",
)  # fmt: skip
"""Kinds of records that belong to one run as a whole."""


class ResultStore:
    """Finished cells of one run, in memory or in ``folder/results.jsonl``.

    :param folder: where the file lies; ``None`` keeps the records in memory.
    :raises OSError: if the folder cannot be made or written.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.records: dict[str, Record] = {}
        self.reused = 0
        if self.folder is not None:
            self._prepare(self.folder)
            self._read(self.folder / "results.jsonl")

    @staticmethod
    def _prepare(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            fix = "choose a folder of yours with --out"
            raise OSError(
                explain(f"folder {folder} ({error.strerror})", "a folder that can be written", fix)
            ) from error

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        damaged = 0
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            record = _parse(line)
            if record is None:
                damaged += bool(line.strip())
            else:
                self.records[record["key"]] = record
        if damaged:
            logger.warning("%s: %d damaged line(s) set aside; their cells run again", path, damaged)
            self.rewrite()

    def get(self, key: str) -> Record | None:
        """The finished cell, if there is one."""
        record = self.records.get(key)
        self.reused += record is not None
        return record

    def add(self, record: Record) -> Record:
        """Keep a finished cell; on disk it is complete when this returns."""
        self.records[record["key"]] = record
        if self.folder is not None:
            append_line(self.folder / "results.jsonl", json.dumps(record, sort_keys=True))
        return record

    def rewrite(self, keys: list[str] | None = None) -> None:
        """Write the file anew in one step: all records, or those of ``keys`` in that order."""
        if self.folder is None:
            return
        chosen = list(self.records) if keys is None else keys
        text = "".join(json.dumps(self.records[key], sort_keys=True) + "\n" for key in chosen)
        write_whole(self.folder / "results.jsonl", text)

    def cells_beside(self, keys: list[str]) -> list[str]:
        """Finished cells of other runs in the same folder: they stay, for the next run that asks for them."""
        listed = set(keys)
        return [key for key, record in self.records.items() if key not in listed and record["kind"] not in DERIVED]


def _parse(line: str) -> Record | None:
    try:
        record = read_json(line)
    except ValueError:
        return None
    complete = isinstance(record, dict) and isinstance(record.get("key"), str) and "kind" in record
    return record if complete else None
