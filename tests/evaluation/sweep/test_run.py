"""Running: cells by toys in place of the real thing, and one small real sweep."""

import collections
import errno
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from art_snn.cli import main
from art_snn.evaluation.sweep import InterruptedSweepError, run_sweep, workers
from art_snn.evaluation.sweep.assemble import Assembly, Finished
from art_snn.evaluation.sweep.cellstore import CellStore
from art_snn.evaluation.sweep.compute import Outcome
from art_snn.evaluation.sweep.config import parse
from art_snn.evaluation.sweep.plan import Cell

SWEEP = parse({
    "samples": 10, "training": {"epochs": 1, "T": 2},
    "models": [{"model": "ann"}, {"model": "snn"}],
    "threats": [{"eps": [0.1], "attacks": ["noise", "apgd-ce"]}],
})  # fmt: skip


def toy(job):
    address = job.cell.address
    files = {f"models/{address}.safetensors": b"w"} if job.cell.kind == "train" else {}
    if job.cell.whole:
        files = {f"examples/{address}.safetensors": b"x"}
    return Outcome(address, ({"key": address, "kind": job.cell.kind},), files, 1.0, "toy")


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(Assembly, "write", lambda self: {})
    calls = []

    def install(compute=toy):
        def counted(job):
            calls.append(job.cell.address)
            return compute(job)

        monkeypatch.setattr(workers, "compute", counted)
        return calls

    return install


def go(folder, **options):
    return run_sweep(SWEEP, folder, verbose=False, **options)


def test_finished_cells_are_used_again(toys, tmp_path):
    calls = toys()
    first = go(tmp_path)
    assert len(calls) == len(set(calls)) == first.cells == first.computed
    again = go(tmp_path)
    assert again.computed == 0
    assert len(calls) == first.cells


@pytest.mark.parametrize("damage", ["cut", "changed", "weights", "gone"])
def test_damaged_cells_are_computed_again_and_no_others(toys, tmp_path, damage):
    calls = toys()
    go(tmp_path)
    model = next((tmp_path / "models").iterdir())
    cell = tmp_path / "cells" / f"{model.stem}.json"
    if damage == "cut":
        cell.write_bytes(cell.read_bytes()[:-20])
    elif damage == "changed":
        cell.write_text(cell.read_text().replace('"kind": "train"}]', '"kind": "trian"}]'))
    elif damage == "weights":
        model.write_bytes(b"v")
    else:
        model.unlink()
    calls.clear()
    assert go(tmp_path).computed == 1
    assert calls == [model.stem]


def test_one_failure_stops_what_needs_it_and_nothing_else(toys, tmp_path):
    def failing(job):
        if job.cell.kind == "train" and job.cell.model == "ann":
            return Outcome(job.cell.address, error="ValueError: no luck. Fix: luck", trace="Traceback ...")
        return toy(job)

    calls = toys(failing)
    result = go(tmp_path)
    assert any("train, digits, ann, seed 0: ValueError: no luck. Fix: luck" in line for line in result.failures)
    assert sum("needs a cell that failed: train" in line for line in result.failures) == len(result.failures) - 1
    assert result.computed + len(result.failures) == result.cells
    [kept] = (tmp_path / "failures").iterdir()
    assert json.loads(kept.read_text())["traceback"] == "Traceback ..."
    calls.clear()
    toys()
    again = go(tmp_path)
    assert not again.failures
    assert again.computed == len(result.failures)
    assert not list((tmp_path / "failures").iterdir())


def test_an_interrupt_keeps_what_is_finished_and_says_so(toys, tmp_path, monkeypatch):
    def tired(job):
        if len(calls) > 5:
            raise KeyboardInterrupt
        return toy(job)

    calls = toys(tired)
    with pytest.raises(InterruptedSweepError, match=r"5 of .* cells are finished .* goes on from there"):
        go(tmp_path)
    toys()

    def in_the_report(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Assembly, "write", in_the_report)
        with pytest.raises(InterruptedSweepError, match="the same command goes on"):
            go(tmp_path)
    assert go(tmp_path).cells == len(set(calls))
    counted = collections.Counter(calls)
    assert sum(times > 1 for times in counted.values()) == 1  # the one in flight


@pytest.mark.parametrize("target", ["cells", "log.jsonl"])
def test_a_full_disk_is_one_clear_error_and_finished_work_stays(toys, tmp_path, monkeypatch, target):
    calls = toys()
    real = os.fsync

    def full(descriptor):
        name = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if len(calls) > 4 and f"/{target}" in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"expected space on its disk\. Fix: free some"):
            go(tmp_path)
    assert not list(tmp_path.rglob("*.partial"))
    before = set(calls)
    assert len(before) <= 6
    calls.clear()
    go(tmp_path)
    assert len(before & set(calls)) <= 1
    assert max(collections.Counter(calls).values()) == 1


def test_a_half_written_file_of_a_killed_process_is_dropped(tmp_path):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / ".a.json.77.partial").write_text("{")
    store = CellStore(tmp_path)
    assert not list((tmp_path / "cells").iterdir())
    assert not store.find(Cell("clean", "digits", "ann", 0, address="a"))


def test_a_finished_cell_is_read_once(tmp_path, monkeypatch):
    cell = Cell("clean", "digits", "ann", 0, address="a")
    CellStore(tmp_path).keep(cell, Outcome("a", ({"key": "a", "kind": "clean"},)))
    store = CellStore(tmp_path)
    assert store.find(cell)
    monkeypatch.setattr(CellStore, "_read", lambda self, address: pytest.fail("it was read again"))
    assert store.find(cell)
    assert store.records["a"] == [{"key": "a", "kind": "clean"}]


def test_a_report_reads_cells_and_never_computes_one(tmp_path):
    finished = Finished(tmp_path, {"a": {"key": "a", "kind": "clean"}})
    assert finished.add({"key": "summary-ann", "kind": "summary"})["kind"] == "summary"
    assert finished.add({"key": "a", "kind": "clean"}) == finished.get("a")
    with pytest.raises(RuntimeError, match="a clean cell of ann was not planned"):
        finished.add({"key": "b", "kind": "clean", "model": "ann"})


def test_where_every_model_failed_there_is_a_report_of_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "compute", lambda job: Outcome(job.cell.address, error="ValueError: no luck"))
    result = go(tmp_path)
    assert result.computed == 0
    assert result.comparisons == {}
    assert not (tmp_path / "groups").exists()
    page = (tmp_path / "report.md").read_text()
    assert "## Cells that failed" in page
    assert "train, digits, ann, seed 0: ValueError: no luck" in page
    assert "Accuracy in percent" not in page
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {line["kind"] for line in lines} == {"sweep", "failure"}


def test_errors_before_anything_runs(tmp_path, toys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=r"device 'cuda' without a GPU; expected a CUDA device\. Fix: --device cpu"):
        go(tmp_path, device="cuda")
    toys()
    with pytest.raises(RuntimeError, match="no Dask scheduler with workers at 'nonsense://x'"):
        go(tmp_path, dask="nonsense://x")
    with pytest.raises(ValueError, match=r"1\.\.500 test samples"):
        run_sweep(parse({"samples": 501, "models": [{"model": "ann"}], "threats": [{"eps": [0.1]}]}), tmp_path)


def test_dask_missing_is_answered_with_the_extra(tmp_path, toys, monkeypatch):
    import sys

    toys()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match=r"pip install 'art-snn\[dask\]'"):
        go(tmp_path, dask="tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "2"], "add --config FILE"),
        (["--config", "s.toml", "--models", "ann"], "--models beside --config"),
        (["--config", "s.toml", "--jobs", "2", "--dask", "x"], "--jobs beside --dask"),
        (["--config", "s.toml"], "no file s.toml"),
    ],
)
def test_options_that_do_not_go_together(arguments, message):
    done = CliRunner().invoke(main, ["compare", *arguments])
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())


def test_a_real_sweep_with_a_cell_that_fails(tmp_path, monkeypatch):
    from art_snn.evaluation.sweep import compute

    monkeypatch.setattr("art_snn.evaluation.cells.judge_all", lambda evidence: [])
    real = compute.KINDS["attack"]

    def failing(worker):
        if worker.cell.model == "ann" and worker.cell.attack == "noise":
            raise ValueError("got bad luck; expected good luck. Fix: try again")
        return real(worker)

    config = tmp_path / "small.toml"
    config.write_text(
        "samples = 10\n[training]\nepochs = 1\nT = 2\n[[models]]\nmodel = 'ann'\n[[models]]\nmodel = 'snn'\n"
        "[[threats]]\nnorm = '2'\neps = [0.5]\nattacks = ['noise', 'apgd-ce']\n"
    )
    command = ["compare", "--config", str(config), "--out", str(tmp_path / "run")]
    monkeypatch.setitem(compute.KINDS, "attack", failing)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1, done.output
    assert "Fix: try again" in done.output
    group = tmp_path / "run" / "groups" / "digits-L2"
    assert "Left out, because a cell failed: ann." in (group / "report.html").read_text()
    assert "Fix: try again" in (tmp_path / "run" / "report.html").read_text()
    monkeypatch.setitem(compute.KINDS, "attack", real)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines if line["kind"] != "cell"] == ["sweep", "group"]
    assert "seconds" not in (tmp_path / "run" / "results.jsonl").read_text()
    assert "L2 budget in input units" in (group / "report.html").read_text()
    run = lines[-1]["records"]
    assert {record["kind"] for record in run} >= {"run", "summary", "verdict", "test"}
    rows = (tmp_path / "run" / "outcomes.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 + 2 + 4 + 2  # head; clean, unbounded and attacks of two models, transfer both ways
