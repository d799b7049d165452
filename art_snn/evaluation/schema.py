"""Version 1 of what a comparison writes as JSON, and the schema file that says so."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

SCHEMA = 1
"""Version of ``report.json`` and of the records in ``results.jsonl``."""


@cache
def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of ``report.json``; ``#/$defs/record`` is that of a line of ``results.jsonl``.

    >>> schema()["properties"]["schema"]["const"]
    1
    """
    text = files("art_snn.evaluation").joinpath("templates", "report-v1.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
