"""From finished cells to results: one comparison per data set and threat model, one file of everything, one summary.

What is written here depends on the cells alone, not on when, where or in which order they were computed. A model of
which a cell failed is left out of the comparison that needs the cell, and the report says so: its worst case would be
over fewer attacks than that of the others.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.plots import new_figure, plain_text, security_curves, svg
from art_snn.evaluation.protocol import evaluate
from art_snn.evaluation.statistics import seed_spread
from art_snn.evaluation.store import DERIVED, Record, ResultStore
from art_snn.evaluation.sweep.cellstore import CellStore
from art_snn.evaluation.sweep.compute import dataset
from art_snn.evaluation.sweep.config import Sweep
from art_snn.evaluation.sweep.plan import Cell, Group, Plan
from art_snn.evaluation.table import Table
from art_snn.evaluation.zoo import EVENT_NOTE, restored, source_of
from art_snn.files import write_whole


class Finished(ResultStore):
    """Records of finished cells: to be read, never to be computed."""

    def __init__(self, folder: Path, records: dict[str, Record]) -> None:
        super().__init__(None)
        self.folder, self.records = folder, records

    def add(self, record: Record) -> Record:
        """Take in what is derived from cells, and the samples themselves.

        :raises RuntimeError: for a cell, which should have been found.
        """
        if record["kind"] not in (*DERIVED, "samples") and record["key"] not in self.records:
            raise RuntimeError(f"a {record['kind']} cell of {record.get('model')} was not planned")
        self.records[record["key"]] = record
        return record


@dataclass
class Assembly:
    """Writes the results of a sweep.

    :param sweep: the configuration.
    :param plan: its cells.
    :param store: those that are finished.
    :param failures: why the others are not, by address.
    """

    sweep: Sweep
    plan: Plan
    store: CellStore
    failures: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self.store.folder

    def write(self) -> dict[str, Comparison]:
        """Write all files and return the comparisons by group.

        :raises OSError: if the folder cannot be written or the disk is full.
        """
        found = {}
        for group in self.plan.groups:
            comparison = self.comparison(group)
            if comparison is not None:
                found[group.name] = comparison
                place = self.folder / "groups" / group.name
                write_whole(place / "results.jsonl", _lines(comparison.records))
                comparison.save(place)
        self._write_results(found)
        write_whole(self.folder / "outcomes.csv", self._outcomes())
        table = self.table(found)
        write_whole(self.folder / "report.md", self._markdown(found, table))
        write_whole(self.folder / "report.html", self._page(found, table))
        return found

    def comparison(self, group: Group) -> Comparison | None:
        """The comparison of a group, of the models whose cells are all finished; ``None`` if there is none."""
        models = self._complete(group)
        if not models:
            return None
        data, _ = dataset(group.dataset)
        recipe = self.sweep.recipe(group.dataset)
        records: dict[str, Record] = {}
        training: dict[str, Record] = {}
        classifiers: dict[str, list[Any]] = {}
        for name in models:
            for address in group.cells[name]:
                cell = self.plan.cells[address]
                if cell.source and cell.source not in models:
                    continue
                for record in self.store.records[address]:
                    index = self.sweep.seeds.index(cell.seed)
                    placed = {**record, "network": index} if "network" in record else record
                    (training if record["kind"] == "train" else records)[record["key"]] = placed
            classifiers[name] = [
                restored(name, data, recipe, seed, self._weights(group, name, seed)) for seed in self.sweep.seeds
            ]
        left_out = [f"Left out, because a cell failed: {name}." for name in group.cells if name not in models]
        notes: dict[str, Any] = {"command": f"art-snn compare --config {self.sweep.file}", "dataset": group.dataset}
        notes |= {"left_out": left_out} if left_out else {}
        notes |= {"note": EVENT_NOTE} if group.dataset == "events" and "ann" in models else {}
        x, y, _ = data.select(self.sweep.samples, self.sweep.seed)
        return evaluate(
            classifiers, x, y, group.threat.eps, attacks=group.threat.attacks, norm=group.threat.norm,
            seed=self.sweep.seed, verbose=False, notes=notes, training=list(training.values()),
            store=Finished(self.folder, {**records, **training}), probing=False,
        )  # fmt: skip

    def _complete(self, group: Group) -> list[str]:
        """Models whose own cells are finished, and then those that everything of the others could be tried on."""
        cells = {name: [self.plan.cells[address] for address in listed] for name, listed in group.cells.items()}
        own = [name for name, listed in cells.items() if all(self._finished(c) for c in listed if not c.source)]
        return [name for name in own if all(self._finished(c) for c in cells[name] if c.source in own)]

    def _finished(self, cell: Cell) -> bool:
        return cell.address in self.store.records

    def _weights(self, group: Group, model: str, seed: int) -> bytes:
        trained = (self.plan.cells[address] for address in group.cells[model])
        wanted = ("train", source_of(model), seed)
        return self.store.weights(next(cell for cell in trained if (cell.kind, cell.model, cell.seed) == wanted))

    def table(self, found: Mapping[str, Comparison]) -> Table:
        """One row per data set, threat model, model and budget."""
        rows = [
            [group.dataset, group.threat.name, *_row(found[group.name], model, eps)]
            for group in self.plan.groups
            if group.name in found
            for model in found[group.name].models
            for eps in found[group.name].eps
        ]
        return Table(["data", "threat", "model", "eps", "clean", "worst case [95 %]", "over seeds", "flags"], rows)

    def failed(self) -> list[str]:
        """A line per cell that is missing."""
        return [f"{self.plan.cells[address].label}: {error}" for address, error in self.failures.items()]

    def _write_results(self, found: Mapping[str, Comparison]) -> None:
        head = {"kind": "sweep", "sweep": self.sweep.record(), "settings": self.plan.settings}
        lines: list[dict[str, Any]] = [head]
        for address, cell in self.plan.cells.items():
            if address in self.store.records:
                lines.append({"kind": "cell", "cell": cell.record(), "records": self.store.records[address]})
            else:
                why = self.failures.get(address, "not computed")
                lines.append({"kind": "failure", "cell": cell.record(), "error": why})
        for name, result in found.items():
            derived = [record for record in result.records if record["kind"] in DERIVED]
            lines.append({"kind": "group", "group": name, "records": derived})
        write_whole(self.folder / "results.jsonl", _lines(lines))

    def _outcomes(self) -> str:
        """A row per network and attack, a column per sample: 1 where the answer was right."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(f"s{i}" for i in range(self.sweep.samples))])
        for address, cell in self.plan.cells.items():
            for record in self.store.records.get(address, []):
                if "correct" in record:
                    attack, eps = record.get("attack", ""), record.get("eps", "")
                    norm = f"{cell.norm:g}" if attack else ""
                    place = [cell.dataset, cell.model, cell.seed, record["kind"], attack, norm, eps, cell.source]
                    writer.writerow([*place, *record["correct"]])
        return buffer.getvalue()

    def _markdown(self, found: Mapping[str, Comparison], table: Table) -> str:
        lines = [f"# {self.sweep.name}", "", f"Made by `art-snn compare --config {self.sweep.file}`.", ""]
        lines += ["## Accuracy in percent", "", _ABOUT, "", str(table)] if table.rows else []
        for name, result in found.items():
            lines += ["", f"## {name}", "", f"[Report](groups/{name}/report.html)", ""]
            lines += [f"* {line}" for line in result.verdict()]
        lines += ["", "## Cells that failed", "", *(f"* {line}" for line in self.failed())] if self.failures else []
        return "\n".join([*lines, ""])

    def _page(self, found: Mapping[str, Comparison], table: Table) -> str:
        with plain_text():
            curves = {name: _curve(result) for name, result in found.items()}
        environment = Environment(
            loader=PackageLoader("art_snn.evaluation"), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        return environment.get_template("sweep.html.j2").render(
            sweep=self.sweep, table=table, about=_ABOUT, curves=curves, failed=self.failed(),
            verdicts={name: result.verdict() for name, result in found.items()},
        )  # fmt: skip


_ABOUT = "Worst case per sample over all attacks of at most that budget, with 95 % interval."
_COLUMNS = ("dataset", "model", "seed", "kind", "attack", "norm", "eps", "source")


def _row(result: Comparison, model: str, eps: float) -> list[str]:
    worst = str(result.accuracy(model, None, eps)) if result.valid(model) else "invalid"
    spread = seed_spread(result.worst_case(model, eps))
    shown = "-" if spread is None else f"± {100 * spread:.1f}"
    marks = " ".join(flag.id for flag in result.raised(model)) or "-"
    return [model, f"{eps:.4g}", f"{100 * result.accuracy(model).value:.1f}", worst, shown, marks]


def _curve(result: Comparison) -> str:
    figure = new_figure(6.4, 4.2)
    security_curves(result, figure.add_subplot())
    return svg(figure)


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)
