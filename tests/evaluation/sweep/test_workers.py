"""Workers: outcomes in any order, one death that ends its own cell alone, and nobody who outlives the sweep."""

import signal
from dataclasses import asdict, replace

import pytest
from joblib.externals.loky.process_executor import BrokenProcessPool

from art_snn.evaluation.sweep import compute, workers
from art_snn.evaluation.sweep.compute import Job, Outcome
from art_snn.evaluation.sweep.plan import Cell, versions
from art_snn.evaluation.sweep.workers import DIED, Pool
from art_snn.evaluation.zoo import RECIPES

CELLS = [Cell("clean", "digits", "ann", seed, address=f"cell-{seed}") for seed in range(6)]


def prepare(cell):
    return Job(cell, {})


@pytest.fixture
def crew(monkeypatch):
    """A pool of threads; cells whose seed is deadly take their worker with them."""

    def made(deadly=(), hopeless=()):
        calls = []

        def toy(job):
            calls.append((job.cell.address, job.parent))
            if job.cell.seed in deadly:
                raise BrokenProcessPool("a worker is gone")
            return Outcome(job.cell.address)

        def alone(job):
            if job.cell.seed in hopeless:
                raise BrokenProcessPool("gone again")
            return Outcome(job.cell.address, worker="alone")

        monkeypatch.setattr(workers, "compute", toy)
        return Pool(2, {"backend": "threading"}, (BrokenProcessPool,), alone, parent=7), calls

    return made


def test_every_cell_has_one_outcome(crew):
    pool, calls = crew()
    found = list(pool.run(CELLS, prepare))
    assert sorted(one.address for one in found) == [cell.address for cell in CELLS]
    assert sorted(calls) == [(cell.address, 7) for cell in CELLS]
    assert list(pool.run([], prepare)) == []


def test_what_was_in_flight_when_a_worker_died_runs_alone_and_the_rest_goes_on(crew):
    pool, calls = crew(deadly=(2,))
    found = {one.address: one for one in pool.run(CELLS, prepare)}
    assert sorted(found) == [cell.address for cell in CELLS]
    assert found["cell-2"].worker == "alone"
    assert not any(one.error for one in found.values())
    assert [address for address, _ in calls].count("cell-2") == 1


def test_a_cell_that_kills_every_worker_fails_and_no_other(crew):
    pool, _ = crew(deadly=(2,), hopeless=(2,))
    found = {one.address: one for one in pool.run(CELLS, prepare)}
    assert [address for address, one in found.items() if one.error] == ["cell-2"]
    assert found["cell-2"].error.startswith(f"got {DIED} (BrokenProcessPool); expected a worker that lives. Fix:")
    assert found["cell-2"].trace == "gone again"


def test_one_job_is_this_process_and_several_are_processes_of_their_own():
    with workers.workers(1, None, 1) as crew:
        assert isinstance(crew, workers.Serial)
    with workers.workers(2, None, 1) as crew:
        assert (crew.count, crew.backend["backend"], crew.deaths) == (2, "loky", (BrokenProcessPool,))


def job(**changes):
    settings = {
        "versions": versions(), "threads": 1, "device": "cpu",
        "data": {"digits": compute.dataset("digits")[1]}, "recipes": {"digits": asdict(RECIPES["digits"])},
    }  # fmt: skip
    return Job(CELLS[0], {**settings, **changes})


def test_what_cannot_be_computed_comes_back_as_its_error(monkeypatch):
    monkeypatch.setitem(compute.KINDS, "clean", lambda worker: (({"key": "k", "seconds": 1.0},), {}))
    assert compute.compute(job()).records == ({"key": "k"},)  # as planned: computed, without its time
    broken = compute.compute(replace(job(), broken="OSError: no space left"))
    assert broken.error == "ValueError: OSError: no space left"
    assert "Traceback" in broken.trace


def test_a_worker_that_would_compute_something_else_refuses(monkeypatch):
    monkeypatch.setitem(compute.KINDS, "clean", lambda worker: pytest.fail("it was computed"))
    other = compute.compute(job(versions={**versions(), "art-snn": "0.0"}))
    assert "versions differ from the plan's: {'art-snn': (" in other.error
    assert "Fix: install the same versions on every worker" in other.error
    other = compute.compute(job(data={"digits": "another"}))
    assert "another 'digits' on this worker" in other.error
    assert "Fix: give every worker the same files" in other.error


class AtOnce:
    """A thread that runs where it is started."""

    def __init__(self, target, daemon):
        assert daemon
        self.start = target


def test_a_worker_ends_with_its_parent_and_leaves_interrupts_to_it(monkeypatch):
    parents, slept, ended, handled = iter([7, 7, 1]), [], [], []
    with monkeypatch.context() as patch:
        patch.setattr(compute.os, "getppid", lambda: next(parents))
        patch.setattr(compute.os, "_exit", ended.append)
        patch.setattr(compute.time, "sleep", slept.append)
        patch.setattr(compute.threading, "Thread", AtOnce)
        patch.setattr(compute.signal, "signal", lambda *given: handled.append(given))
        compute._mind.cache_clear()
        compute.compute(replace(job(), parent=7, broken="enough"))
        compute.compute(replace(job(), parent=7, broken="enough"))
    compute._mind.cache_clear()
    assert (slept, ended) == ([1, 1], [1])  # watched once, until the parent was another
    assert handled == [(signal.SIGINT, signal.SIG_IGN)]
