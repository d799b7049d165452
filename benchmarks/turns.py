"""Things that run in turn, and the lines that keep what was measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

LINES = Path(__file__).parent / "speed.jsonl"
Times = dict[str, list[float]]
Figures = dict[str, Any]


def clock() -> float:
    """Seconds."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def in_turn(things: dict[str, Callable[[], Any]], turns: int = 9) -> Times:
    """Milliseconds of each, turn by turn."""
    spent: Times = {name: [] for name in things}
    for thing in things.values():
        thing()
    for turn in range(turns):
        for name in list(things)[:: 1 if turn % 2 else -1]:
            start = clock()
            things[name]()
            spent[name].append((clock() - start) * 1000)
    return spent


def quartiles(values: list[float]) -> list[float]:
    """Median, lower and upper quartile."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return [float(f"{v:.3g}") for v in (middle, low, high)]


def ratio(times: Times, slow: str, fast: str, share: float = 1.0) -> list[float]:
    """How many times longer ``slow`` takes."""
    return quartiles([a / b / share for a, b in zip(times[slow], times[fast], strict=True)])


def lines() -> list[dict[str, Any]]:
    return [json.loads(row) for row in LINES.read_text().splitlines()] if LINES.exists() else []


def note(line: dict[str, Any]) -> None:
    """Replace the line of this figure."""
    key = [line[name] for name in ("part", "what", "threads", "numba")]
    kept = [old for old in lines() if [old[name] for name in ("part", "what", "threads", "numba")] != key]
    LINES.write_text("".join(json.dumps(row) + "\n" for row in [*kept, line]))
    print(line, flush=True)


def shown(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]:g} ({value[1]:g} to {value[2]:g})"
    return str(value)
