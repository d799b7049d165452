"""Who computes: this process, processes of this machine (joblib's loky), or a Dask cluster (joblib's dask backend).

A worker that dies takes the cells in flight with it, not the sweep: they are tried again, each alone, and one that ends
its process a second time is the one that failed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from art_snn.errors import explain
from art_snn.evaluation.sweep.compute import Job, Outcome, compute
from art_snn.evaluation.sweep.plan import Cell

Prepare = Callable[[Cell], Job]
DIED = "the process that computed this cell died, and died again when it was tried alone"
_REPAIR = "look for the out-of-memory killer in the system's log, or give the workers more memory"


class Serial:
    """The calling process, one cell after the other."""

    count = 1

    def run(self, cells: Sequence[Cell], prepare: Prepare) -> Iterator[Outcome]:
        """Outcomes of cells, in any order."""
        for cell in cells:
            yield compute(prepare(cell))


class Pool:
    """Several workers.

    :param count: how many.
    :param backend: options of :func:`joblib.parallel_config`.
    :param deaths: what is raised when a worker died.
    :param alone: computes one job in a process of its own.
    :param parent: see :class:`~art_snn.evaluation.sweep.compute.Job`.
    """

    def __init__(
        self, count: int, backend: dict[str, Any], deaths: tuple[type[BaseException], ...],
        alone: Callable[[Job], Outcome], parent: int = 0,
    ) -> None:  # fmt: skip
        self.count, self.backend, self.deaths, self.alone, self.parent = count, backend, deaths, alone, parent

    def run(self, cells: Sequence[Cell], prepare: Prepare) -> Iterator[Outcome]:
        """Outcomes of cells, in any order."""
        waiting = {cell.address: cell for cell in cells}
        while waiting:
            flying: dict[str, Cell] = {}
            try:
                for outcome in self._fly(list(waiting.values()), prepare, flying):
                    del flying[outcome.address], waiting[outcome.address]
                    yield outcome
            except self.deaths:
                for address, cell in flying.items():
                    del waiting[address]
                    yield self._alone(replace(prepare(cell), parent=self.parent))

    def _fly(self, cells: list[Cell], prepare: Prepare, flying: dict[str, Cell]) -> Iterator[Outcome]:
        def feed() -> Iterator[Any]:
            for cell in cells:
                flying[cell.address] = cell
                yield delayed(compute)(replace(prepare(cell), parent=self.parent))

        with parallel_config(**self.backend):
            pool = Parallel(
                n_jobs=self.count, batch_size=1, pre_dispatch="n_jobs", return_as="generator_unordered"
            )  # fmt: skip
            yield from pool(feed())

    def _alone(self, job: Job) -> Outcome:
        try:
            return self.alone(job)
        except self.deaths as error:
            came = f"{DIED} ({type(error).__name__})"
            return Outcome(job.cell.address, error=explain(came, "a worker that lives", _REPAIR), trace=str(error))


@contextmanager
def workers(jobs: int, dask: str | None, threads: int) -> Iterator[Serial | Pool]:
    """The workers of a sweep; those of this machine are gone when the context ends.

    :param jobs: processes on this machine.
    :param dask: address of a Dask scheduler instead.
    :param threads: threads of each.
    :raises RuntimeError: if Dask is not installed, not reachable, or has no worker.
    """
    if dask is not None:
        with ExitStack() as stack:
            yield _dask(dask, stack)
    elif jobs == 1:
        yield Serial()
    else:
        backend = {"backend": "loky", "inner_max_num_threads": threads}
        try:
            yield Pool(jobs, backend, (BrokenProcessPool,), _in_a_process, os.getpid())
        finally:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _in_a_process(job: Job) -> Outcome:
    return get_reusable_executor(max_workers=1, kill_workers=True).submit(compute, job).result()


def _dask(address: str, stack: ExitStack) -> Pool:
    try:
        from distributed import Client, KilledWorker
    except ImportError as error:
        fix = "pip install 'art-snn[dask]'"
        raise RuntimeError(explain("no Dask", "the packages of the extra 'dask'", fix)) from error
    try:
        client = stack.enter_context(Client(address, timeout="15s", set_as_default=False))
        client.wait_for_workers(1, timeout=30)
    except (OSError, ValueError, TimeoutError) as error:
        fix = "start one with `dask scheduler` and `dask worker ADDRESS --nthreads 1`, and give its address"
        came = f"no Dask scheduler with workers at {address!r} ({type(error).__name__})"
        raise RuntimeError(explain(came, "a cluster that answers", fix)) from error
    count = sum(client.ncores().values())

    def alone(job: Job) -> Outcome:
        found: Outcome = client.submit(compute, job, pure=False).result()
        return found

    return Pool(count, {"backend": "dask", "client": client}, (KilledWorker,), alone)
