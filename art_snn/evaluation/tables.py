"""What a report says in tables and sentences, apart from accuracy."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from art_snn.evaluation.table import Table

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison
    from art_snn.evaluation.flags import Flag

FEW = 1000
"""Samples below which a report says so."""


def run_of(result: Comparison) -> dict[str, Any]:
    """The header of the run."""
    return next((record for record in result.records if record["kind"] == "run"), {})


def references_of(result: Comparison) -> dict[str, str]:
    """BibTeX entries of what ran."""
    return next((record["entries"] for record in result.records if record["kind"] == "references"), {})


def paired_table(result: Comparison) -> Table:
    """Paired tests: a row per pair of models and budget."""
    rows = [
        [
            f"{test.first} - {test.second}", f"{test.eps:.4g}", str(test.difference), f"{test.p:.2g}",
            f"{test.adjusted:.2g}", "shown" if test.shown else "not shown",
        ]
        for test in result.tests()
    ]  # fmt: skip
    return Table(["pair", "eps", "difference [95 %]", "McNemar p", "Holm p", "difference is"], rows)


def work_table(result: Comparison) -> Table:
    """Operations and modelled energy per prediction, clean and under attack."""
    rows = []
    for model in result.models:
        for attacked, words in ((False, "clean"), (True, "attacked")):
            work = result.work(model, attacked=attacked)
            if not work:
                continue
            rate = f"{work['rate']:.4f}" if "rate" in work else "-"
            step = f"{work['mean_step']:.2f}" if "mean_step" in work else "-"
            numbers = [f"{work[part]:.0f}" for part in ("acs", "macs", "macs_cached", "updates")]
            energy = [f"{work[part]:.1f}" for part in ("energy_nj", "cached_nj", "memory_nj")]
            rows.append([model, words, f"{work['T']:.0f}", *numbers, rate, *energy, step])
    header = ["model", "samples", "T", "AC", "MAC", "MAC cached", "updates", "rate", "nJ", "nJ cached", "nJ memory"]
    return Table([*header, "decided at"], rows)


def flag_rows(result: Comparison) -> list[tuple[Flag, list[Flag | None]]]:
    """Per flag, in order: one that says what it is, and each model's; a model may lack one that does not apply."""
    named = [{flag.id: flag for flag in result.flags[model]} for model in result.models]
    ids = dict.fromkeys(name for flags in named for name in flags)
    ordered = sorted(ids, key=lambda name: (name[0], int(name[1:]) if name[1:].isdigit() else 0, name))
    rows = [[flags.get(name) for flags in named] for name in ordered]
    return [(next(flag for flag in row if flag is not None), row) for row in rows]


def limits(result: Comparison) -> list[str]:
    """What this comparison does not show."""
    run = run_of(result)
    lines = ["The attacks bound robustness from above: a stronger attack can only lower these numbers."]
    if all(result.networks(model) == 1 for model in result.models):
        lines.append("One training seed per model; the intervals cover the choice of samples, not that of weights.")
    elif any(result.networks(model) == 2 for model in result.models):
        lines.append("Two training seeds say little about a third: intervals over seeds are wide. Train three or more.")
    if run.get("samples", 0) < FEW:
        lines.append(f"{run.get('samples')} samples: differences of a few points are noise.")
    missing = sorted(set(run.get("default_attacks", ())) - set(result.attacks))
    if missing:
        lines.append(f"Attacks of the default set that did not run: {', '.join(missing)}.")
    if any(card.get("random") for card in run.get("cards", {}).values()):
        lines.append("Random networks are judged by the mean of fresh draws; a single draw may be weaker.")
    uncounted = sorted({record["model"] for record in result.records if record["kind"] == "uncounted"})
    if uncounted:
        lines.append(f"Operations of {', '.join(uncounted)} were not counted; results.jsonl says why.")
    lines += run.get("left_out", [])
    lines.append("Energies are modelled, not measured, and the time of a simulator is not neuromorphic latency.")
    return lines


def outcomes_csv(result: Comparison) -> str:
    """Per-sample outcomes as CSV: a column per network, attack and budget, 1 where the answer was right."""
    columns: dict[str, Any] = {}
    for record in result.records:
        if record["kind"] in ("clean", "attack", "transfer"):
            other = {"clean": "clean", "transfer": f"transfer of {record.get('source')}"}.get(record["kind"])
            budget = "" if record["kind"] == "clean" else f" {record['eps']:.6g}"
            columns[f"{record['model']} {record.get('network', 0)}: {other or record['attack']}{budget}"] = record[
                "correct"
            ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["sample", *columns])
    writer.writerows([i, *row] for i, row in enumerate(zip(*columns.values(), strict=True)))
    return buffer.getvalue()
