"""Measure the attacks on event frames beside their random twins, and draw what they change.

    python benchmarks/event_attacks.py               # everything, resumable: finished lines are not run again
    python benchmarks/event_attacks.py --only gumbel # methods whose name holds the word
    python benchmarks/event_attacks.py --table       # write the table into docs/attacks/events.md
    python benchmarks/event_attacks.py --pictures    # draw docs/images/attacks/*.svg

Evaluation: the first 100 test recordings of the data set ``events`` on the reference network
``models/digits_events_snn.safetensors``. One JSON line per method, budget and seed; methods that draw no random number
that matters run with one seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import (
    CornerAttack,
    DashAttack,
    EventPatch,
    EventSquare,
    FrameAttack,
    GumbelEventAttack,
    HammingFW,
    MovingDashAttack,
    RandomEvents,
    SparseEventAttack,
    SpikeCompatibleGradient,
    SpikeFool,
    UniversalEventPerturbation,
)
from art_snn.data import load as data
from art_snn.evaluation.statistics import proportion
from art_snn.networks import load

HERE = Path(__file__).parent
LINES = HERE / "event_attacks.jsonl"
PAGE = HERE.parent / "docs" / "attacks" / "events.md"
PICTURES = HERE.parent / "docs" / "images" / "attacks"
SAMPLES, BUDGETS, SEEDS = 100, (20, 10, 40), (0, 1, 2)
MARKS = ("<!-- table: benchmarks/event_attacks.py --table -->", "<!-- end of table -->")

UNDER_K: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "HammingFW, 30 steps": (HammingFW, {"max_iter": 30}, False),
    "HammingFW, 30 steps x 3 starts": (HammingFW, {"max_iter": 30, "nb_random_init": 3}, True),
    "SEA (HammingFW, 1 step, no momentum)": (HammingFW, {"max_iter": 1, "momentum": 0.0}, False),
    "HammingFW, add-only": (HammingFW, {"max_iter": 30, "delete": False}, False),
    "HammingFW, delete-only": (HammingFW, {"max_iter": 30, "add": False}, False),
    "HammingFW, frames 0-2 (Sparse, repaired)": (HammingFW, {"max_iter": 30, "frames": (0, 1, 2)}, False),
    "SpikeCompatibleGradient, 25 steps": (SpikeCompatibleGradient, {}, True),
    "GumbelEventAttack, 100 queries": (GumbelEventAttack, {}, True),
    "EventSquare, 200 queries": (EventSquare, {"max_iter": 200}, True),
    "UniversalEventPerturbation": (UniversalEventPerturbation, {}, False),
    **{f"random {kind}, 40 draws": (RandomEvents, {"kind": kind}, True) for kind in (
        "flip", "delete", "insert", "polarity", "hot_pixel", "burst", "time_warp")},
    "random flip, 200 draws": (RandomEvents, {"max_iter": 200}, True),
    "SparseEventAttack": (SparseEventAttack, {"max_iter": 10}, False),
    "SpikeFool": (SpikeFool, {"max_iter": 4, "deepfool_iter": 6}, False),
}  # fmt: skip
"""Class, settings, and whether seeds matter."""

PATTERNS: dict[str, tuple[Any, dict[str, Any], bool]] = {
    "FrameAttack": (FrameAttack, {}, False), "CornerAttack": (CornerAttack, {}, False),
    "DashAttack": (DashAttack, {}, False), "MovingDashAttack": (MovingDashAttack, {}, False),
    "EventPatch, 4 x 4, place drawn": (EventPatch, {"side": 4}, True),
    "EventPatch, 4 x 4, at the center": (EventPatch, {"side": 4, "location": (6, 6)}, False),
    "SparseEventAttack, k = 1000": (SparseEventAttack, {"max_iter": 10, "k": 1000}, False),
}  # fmt: skip


def victim() -> Any:
    """The reference network as an ART classifier."""
    net = load(HERE / "models" / "digits_events_snn.safetensors")
    return SNNClassifier(net, nn.CrossEntropyLoss(), (9, 2, 16, 16), 10, clip_values=(0.0, 1.0), device_type="cpu")


def evaluation() -> tuple[np.ndarray, np.ndarray]:
    """Binary frames [100, 9, 2, 16, 16] and labels."""
    events = data("events")
    return events.x_test[:SAMPLES], events.y_test[:SAMPLES]


def plan() -> Iterator[tuple[str, int | None, int, Any, dict[str, Any]]]:
    yield from under(BUDGETS[0])
    for name, (kind, settings, seeded) in PATTERNS.items():
        for seed in SEEDS if seeded else SEEDS[:1]:
            yield name, None, seed, kind, settings

    for k in BUDGETS[1:]:
        yield from under(k)


def under(k: int) -> Iterator[tuple[str, int | None, int, Any, dict[str, Any]]]:
    for name, (kind, settings, seeded) in UNDER_K.items():
        for seed in SEEDS if seeded else SEEDS[:1]:
            yield name, k, seed, kind, {"k": k, **settings}


def finished() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def measure(only: str) -> None:
    done = {(line["method"], line["k"], line["seed"]) for line in finished()}
    clf, (x, y) = victim(), evaluation()
    for name, k, seed, kind, settings in plan():
        if (name, k, seed) in done or only not in name:
            continue
        attack = kind(clf, seed=seed, batch_size=SAMPLES, **settings)
        begin = time.perf_counter()
        x_adv = attack.generate(x, y)
        seconds = time.perf_counter() - begin
        robust = float((clf.predict(x_adv).argmax(1) == y).mean())
        run = attack.record
        if abs(robust - run.summary["robust_accuracy"]) > 1e-9:
            raise RuntimeError(f"{name}: the record says {run.summary['robust_accuracy']}, a fresh prediction {robust}")
        changed = (x_adv != x).reshape(len(x), -1).sum(1)
        line = {
            "method": name, "k": k, "seed": seed, "robust": robust, "success_rate": run.summary["success_rate"],
            "clean": float((~run.initially_wrong).mean()), "seconds": round(seconds, 1),
            "median_changed": float(np.median(changed[run.success])) if run.success.any() else None,
            "forwards": float(run.forwards.mean()), "backwards": float(run.backwards.mean()), "threat": run.threat,
        }  # fmt: skip
        with LINES.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{name}, k={k}, seed {seed}: robust {robust:.2f}, {seconds:.0f} s", flush=True)


def table() -> None:
    lines = finished()
    clean = lines[0]["clean"]
    share = proportion(np.arange(SAMPLES) < round(clean * SAMPLES))
    main = BUDGETS[0]
    measured = [k for k in sorted(BUDGETS) if any(one["k"] == k for one in lines)]
    budgets = " | ".join(f"k = {k}" for k in measured)
    rows = [
        f"Clean accuracy {share} %, with its 95 % interval; {SAMPLES} recordings.", "",
        f"| robust accuracy, % | {budgets} | passes at k = {main} | cells used at k = {main} |",
        "|" + "---|" * (len(measured) + 3),
    ]  # fmt: skip
    for name in UNDER_K:
        found = {k: [one for one in lines if one["method"] == name and one["k"] == k] for k in measured}
        if found[main]:
            cells = " | ".join(_share(found[k]) for k in measured)
            rows.append(f"| {name} | {cells} | {_cost(found[main])} | {_used(found[main])} |")
    rows += ["", "| another budget | robust accuracy, % | passes | cells changed |", "|---|---|---|---|"]
    for name in PATTERNS:
        found_here = [one for one in lines if one["method"] == name]
        if found_here:
            rows.append(f"| {name} | {_share(found_here)} | {_cost(found_here)} | {_used(found_here)} |")
    page = PAGE.read_text()
    start, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    PAGE.write_text(page[:start] + "\n" + "\n".join(rows) + "\n" + page[end:])


def _share(lines: list[dict[str, Any]]) -> str:
    """Mean over seeds, with the range and the number of seeds where there are several."""
    values = [100 * one["robust"] for one in lines]
    if not values:
        return "-"
    spread = f" ({min(values):.0f}-{max(values):.0f}, {len(values)} seeds)" if len(values) > 1 else ""
    return f"{np.mean(values):.0f}{spread}"


def _cost(lines: list[dict[str, Any]]) -> str:
    forwards, backwards = (np.mean([one[kind] for one in lines]) for kind in ("forwards", "backwards"))
    return f"{forwards:.0f} + {backwards:.0f}"


def _used(lines: list[dict[str, Any]]) -> str:
    values = [one["median_changed"] for one in lines if one["median_changed"] is not None]
    return f"{np.mean(values):.0f}" if values else "-"


DRAWN: dict[str, tuple[Any, dict[str, Any]]] = {
    "hamming_fw": (HammingFW, {"k": 20}), "sparse_event": (SparseEventAttack, {"k": 200, "max_iter": 20}),
    "spike_fool": (SpikeFool, {"max_iter": 5, "deepfool_iter": 10}),
    "spike_compatible": (SpikeCompatibleGradient, {"k": 20}), "gumbel_event": (GumbelEventAttack, {"k": 20}),
    "event_square": (EventSquare, {"k": 20}), "frame": (FrameAttack, {}), "corner": (CornerAttack, {}),
    "dash": (DashAttack, {}), "moving_dash": (MovingDashAttack, {}), "random_events": (RandomEvents, {"k": 20}),
    "universal_event": (UniversalEventPerturbation, {"k": 20}), "event_patch": (EventPatch, {"side": 5}),
}  # fmt: skip


def pictures(only: str) -> None:
    clf, (x, y) = victim(), evaluation()
    PICTURES.mkdir(parents=True, exist_ok=True)
    right = clf.predict(x).argmax(1) == y
    x, y = x[right][:8], y[right][:8]
    for name, (kind, settings) in DRAWN.items():
        if only in name:
            attack = kind(clf, **settings)
            x_adv = attack.generate(x, y)
            chosen = int(attack.record.success.argmax())
            answers = clf.predict(np.stack([x[chosen], x_adv[chosen]])).argmax(1)
            (PICTURES / f"{name}.svg").write_text(raster(x[chosen], x_adv[chosen], answers))


def raster(before: np.ndarray, after: np.ndarray, answers: np.ndarray) -> str:
    """An SVG of two rasters: time to the right, pixels of both polarities upwards; added red, deleted blue."""
    T, width, height, gap = len(before), 300, 240, 24
    flat = [grid.reshape(T, -1) for grid in (before, after)]
    size = flat[0].shape[1]
    marks = []
    for side, grid in enumerate(flat):
        left = side * (width + gap)
        marks.append(f'<rect x="{left}" y="20" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        title = f"{('clean', 'attacked')[side]}: {int(grid.sum())} events, answer {answers[side]}"
        marks.append(f'<text x="{left}" y="14" font-size="12" font-family="sans-serif">{title}</text>')
        for t, cell in zip(*np.nonzero(flat[0] + flat[1]), strict=True):
            was, now = flat[0][t, cell] > 0, flat[1][t, cell] > 0
            if side == 0 and not was:
                continue
            color = "#333" if (was and now) or side == 0 else "#d62728" if now else "#1f77b4"
            px, py = left + (t + 0.5) * width / T, 20 + height * (1 - (cell + 0.5) / size)
            radius = 1.2 if color == "#333" else 3
            marks.append(f'<circle cx="{px:.0f}" cy="{py:.1f}" r="{radius}" fill="{color}"/>')
    box = f"0 0 {2 * width + gap} {height + 22}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{"".join(marks)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="methods or pictures whose name holds this word")
    parser.add_argument("--table", action="store_true", help="write the table from the lines")
    parser.add_argument("--pictures", action="store_true", help="draw the pictures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.table:
        table()
    elif chosen.pictures:
        pictures(chosen.only)
    else:
        measure(chosen.only)


if __name__ == "__main__":
    main()
