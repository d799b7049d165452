"""Finished cells on disk, one file each, and what is known about when they were computed.

``cells/ADDRESS.json`` holds a cell's records and is written last, in one step, after the files that belong to it
(``models/``, ``examples/``), whose hashes it holds. So a cell is finished or not there. A damaged one is not there.
``log.jsonl`` says when what was started, finished or failed, and how long it took: the only place where time appears.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from art_snn.evaluation.seeding import fingerprint
from art_snn.evaluation.store import Record
from art_snn.evaluation.sweep.compute import Outcome
from art_snn.evaluation.sweep.plan import Cell
from art_snn.files import append_line, inside, read_json, write_whole

LOG = "log.jsonl"


class CellStore:
    """The cells in a folder, which the caller has locked.

    :param folder: the sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: dict[str, list[Record]] = {}
        self._sweep_up()

    def find(self, cell: Cell) -> bool:
        """Whether a cell is finished; its records are then in :attr:`records`."""
        if cell.address not in self.records:
            found = self._read(cell.address)
            if found is None:
                return False
            self.records[cell.address] = found
        return True

    def keep(self, cell: Cell, outcome: Outcome) -> None:
        """Write a finished cell; it is on the disk when this returns.

        :raises OSError: if the folder cannot be written or the disk is full.
        """
        for name, content in outcome.files.items():
            write_whole(self.folder / name, content)
        records = list(outcome.records)
        held = {
            "cell": cell.record(), "records": records, "check": fingerprint(records),
            "files": {name: _hash(content) for name, content in outcome.files.items()},
        }  # fmt: skip
        write_whole(self._file(cell.address), json.dumps(held, sort_keys=True))
        with suppress(OSError):
            self._failure(cell.address).unlink(missing_ok=True)
        self.records[cell.address] = records
        seconds, warned = round(outcome.seconds, 4), list(outcome.warned)
        self.log("finished", cell, seconds=seconds, worker=outcome.worker, warnings=warned)

    def fail(self, cell: Cell, outcome: Outcome) -> None:
        """Write why a cell failed; it is tried again by the next run.

        :raises OSError: if the folder cannot be written or the disk is full.
        """
        held = {"cell": cell.record(), "error": outcome.error, "traceback": outcome.trace, "worker": outcome.worker}
        write_whole(self._failure(cell.address), json.dumps(held, indent=1, sort_keys=True))
        self.log("failed", cell, error=outcome.error)

    def log(self, event: str, cell: Cell, **more: Any) -> None:
        """Add a line to the log."""
        line = {"event": event, "cell": cell.address, "label": cell.label, "time": round(time.time(), 3), **more}
        append_line(self.folder / LOG, json.dumps(line, sort_keys=True))

    def durations(self) -> dict[str, float]:
        """Seconds that each cell took, as far as the log says."""
        found: dict[str, float] = {}
        path = self.folder / LOG
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
            with suppress(ValueError, KeyError, TypeError):
                entry = read_json(line)
                if entry["event"] == "finished":
                    found[entry["cell"]] = float(entry["seconds"])
        return found

    def bytes_of(self, name: str) -> bytes:
        """A file of a finished cell.

        :raises ValueError: if it lies outside the folder.
        """
        return inside(self.folder, name).read_bytes()

    def weights(self, cell: Cell) -> bytes:
        """Weights that a training cell left."""
        return self.bytes_of(f"models/{cell.address}.safetensors")

    def _file(self, address: str) -> Path:
        return self.folder / "cells" / f"{address}.json"

    def _failure(self, address: str) -> Path:
        return self.folder / "failures" / f"{address}.json"

    def _read(self, address: str) -> list[Record] | None:
        try:
            held = read_json(self._file(address).read_bytes())
            records: list[Record] = held["records"]
            whole = held["check"] == fingerprint(records)
            whole &= all(_hash(self.bytes_of(name)) == digest for name, digest in held["files"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return records if whole else None

    def _sweep_up(self) -> None:
        """Drop what a killed process had half written."""
        for name in ("cells", "models", "examples", "failures"):
            for partial in (self.folder / name).glob(".*.partial"):
                partial.unlink(missing_ok=True)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
