"""Runs a sweep: what is finished is used, the rest is computed, what fails is told and does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError

from art_snn.errors import explain
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.lock import locked
from art_snn.evaluation.sweep.assemble import Assembly
from art_snn.evaluation.sweep.cellstore import CellStore
from art_snn.evaluation.sweep.compute import Job, Outcome, dataset
from art_snn.evaluation.sweep.config import Sweep
from art_snn.evaluation.sweep.devices import settled
from art_snn.evaluation.sweep.plan import STAGES, Cell, Plan, plan_sweep
from art_snn.evaluation.sweep.progress import Progress
from art_snn.evaluation.sweep.workers import Pool, Serial, workers


@dataclass
class SweepResult:
    """What became of a sweep.

    :param folder: where it lies.
    :param cells: how many cells it has.
    :param computed: how many were computed by this run.
    :param comparisons: by group.
    :param failures: a line per cell that is missing.

    >>> SweepResult(Path("runs/sweep"), cells=80, computed=80, comparisons={}, failures=[]).report.name
    'report.html'
    """

    folder: Path
    cells: int
    computed: int
    comparisons: dict[str, Comparison]
    failures: list[str]

    @property
    def report(self) -> Path:
        """The summary."""
        return self.folder / "report.html"


class InterruptedSweepError(RuntimeError):
    """The user ended a sweep; says how much of it is finished."""


def run_sweep(
    sweep: Sweep, out: str | os.PathLike[str], *, jobs: int = 1, dask: str | None = None, device: str = "cpu",
    verbose: bool = True,
) -> SweepResult:  # fmt: skip
    """Compute what is missing of a sweep and write its results.

    :param sweep: see :func:`~art_snn.evaluation.sweep.config.read_sweep`.
    :param out: its folder; one process at a time works in it.
    :param jobs: processes on this machine.
    :param dask: address of a Dask scheduler instead.
    :param device: ``cpu`` or ``cuda``; workers take turns on several GPUs.
    :param verbose: show a progress bar.
    :raises ValueError: for too many cells or samples, or a device that is not there.
    :raises RuntimeError: if data cannot be had, somebody else is at work in the folder, or there is no cluster.
    :raises InterruptedSweepError: if the user ends it.
    :raises OSError: if the folder cannot be written or the disk is full.
    """
    if device == "cuda" and dask is None and not torch.cuda.is_available():
        raise ValueError(explain("device 'cuda' without a GPU", "a CUDA device", "--device cpu"))
    hashes = {}
    for name in sweep.datasets:
        data, hashes[name] = dataset(name)
        data.select(sweep.samples, sweep.seed)
    plan = plan_sweep(sweep, hashes, device)
    with locked(out), workers(jobs, dask, sweep.threads) as crew:
        run = _Run(plan, CellStore(Path(out)), crew)
        assembly = Assembly(sweep, plan, run.store, run.failures)
        try:
            run.go(verbose)
            with settled(sweep.threads, "cpu"):
                comparisons = assembly.write()
        except KeyboardInterrupt as error:
            finished = f"{len(run.store.records)} of {len(plan.cells)} cells are finished in {out}"
            raise InterruptedSweepError(f"Interrupted. {finished}; the same command goes on from there.") from error
    return SweepResult(Path(out), len(plan.cells), run.computed, comparisons, assembly.failed())


@dataclass
class _Run:
    plan: Plan
    store: CellStore
    crew: Serial | Pool
    failures: dict[str, str] = field(default_factory=dict)
    computed: int = 0

    def go(self, verbose: bool) -> None:
        finished = {address for address, cell in self.plan.cells.items() if self.store.find(cell)}
        with Progress(self.plan.cells, finished, self.store.durations(), self.crew.count, verbose) as progress:
            for stage in sorted(set(STAGES.values())):
                pending = []
                for cell in self.plan.cells.values():
                    if cell.stage == stage and cell.address not in finished:
                        lacking = [need for need in cell.needs if need in self.failures]
                        if lacking:
                            self.failures[cell.address] = f"needs a cell that failed: {self._label(lacking[0])}"
                            progress.done(cell, None)
                        else:
                            pending.append(cell)
                for outcome in self.crew.run(pending, self._prepare):
                    self._take(outcome, progress)

    def _take(self, outcome: Outcome, progress: Progress) -> None:
        cell = self.plan.cells[outcome.address]
        if outcome.error:
            self.failures[cell.address] = outcome.error
            self.store.fail(cell, outcome)
            progress.done(cell, None)
        else:
            self.store.keep(cell, outcome)
            self.computed += 1
            progress.done(cell, outcome.seconds)

    def _label(self, address: str) -> str:
        return self.plan.cells[address].label

    def _prepare(self, cell: Cell) -> Job:
        """What a cell starts from; joblib may ask for it in a thread of its own, where nothing may be raised."""
        try:
            self.store.log("started", cell)
            needs = [self.plan.cells[address] for address in cell.needs]
            records = tuple(record for need in needs for record in self.store.records[need.address])
            weights = {need.model: self.store.weights(need) for need in needs if need.kind == "train"}
            return Job(cell, self.plan.settings, weights, records, dict(self._examples(cell, needs)))
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            return Job(cell, self.plan.settings, broken=f"{type(error).__name__}: {error}")

    def _examples(self, cell: Cell, needs: list[Cell]) -> Iterator[tuple[str, bytes]]:
        for need in needs:
            if need.kind == "attack" and cell.kind in ("transfer", "examine"):
                for record in self.store.records[need.address]:
                    yield record["key"], self.store.bytes_of(f"examples/{record['key']}.safetensors")
