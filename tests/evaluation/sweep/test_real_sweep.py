"""A real sweep, killed, crowded and spread over workers: the results are the same bytes, and no work is done twice."""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.slow

SMALL = """
samples = 20
[training]
epochs = 2
T = 3
[[models]]
model = "ann"
[[models]]
model = "snn"
[[threats]]
eps = [0.05, 0.1, 0.2]
attacks = ["noise", "fgsm", "apgd-ce"]
"""
RESULTS = ("results.jsonl", "outcomes.csv", "report.md", "report.html")


def start(config, out, *more):
    command = [sys.executable, "-m", "art_snn.cli", "compare", "--config", str(config), "--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def events(folder, kind):
    path = folder / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["cell"] for line in lines if line["event"] == kind]


def same(one, other):
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    groups = sorted(path.relative_to(one) for path in (one / "groups").rglob("*") if path.is_file())
    assert groups
    for path in groups:
        assert (one / path).read_bytes() == (other / path).read_bytes(), path


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(config, folder))
    cells = events(folder, "finished")
    assert len(cells) >= 24
    assert len(set(cells)) == len(cells)
    return folder


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_killed_five_times_it_ends_alike_and_computes_nothing_twice(config, undisturbed, tmp_path, jobs):
    chance = random.Random(int(jobs))
    total, inflight = len(events(undisturbed, "finished")), collections.Counter()
    for kill in range(5):
        process = start(config, tmp_path, "--jobs", jobs)
        goal = len(events(tmp_path, "started")) + chance.randint(1, max(1, total // 6))
        deadline = time.monotonic() + 300
        while process.poll() is None and len(events(tmp_path, "started")) < goal and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(chance.random())
        assert process.poll() is None, f"it was done before kill {kill}"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        started = collections.Counter(events(tmp_path, "started"))
        finished = collections.Counter(events(tmp_path, "finished"))
        lost = [cell for cell, times in started.items() if times > finished[cell] + inflight[cell]]
        # With workers, a result may be on its way while its worker has the next cell.
        assert len(lost) <= (1 if jobs == "1" else 2 * int(jobs))
        inflight.update(lost)
    output = finish(start(config, tmp_path, "--jobs", jobs))
    assert f"{total} cells" in output
    assert len(list((tmp_path / "cells").iterdir())) == total
    assert max(collections.Counter(events(tmp_path, "finished")).values()) == 1
    started = collections.Counter(events(tmp_path, "started"))
    # One in flight at a kill was started once more, unless the kill came between its file and its line in the log.
    assert all(times in (inflight[cell], inflight[cell] + 1) for cell, times in started.items())
    same(undisturbed, tmp_path)


def test_two_processes_at_once(config, undisturbed, tmp_path):
    first = start(config, tmp_path)
    deadline = time.monotonic() + 300
    while not events(tmp_path, "started") and time.monotonic() < deadline:
        time.sleep(0.05)
    second = start(config, tmp_path)
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 1
    assert f"process {first.pid} on" in " ".join(output.split())
    finish(first)
    assert max(collections.Counter(events(tmp_path, "started")).values()) == 1
    same(undisturbed, tmp_path)


@contextmanager
def cluster():
    """A scheduler and two worker processes of one thread."""
    from distributed import LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options, memory_limit=None) as running:
        yield running


def test_a_dask_cluster_gives_the_same_bytes(config, undisturbed, tmp_path):
    with cluster() as running:
        finish(start(config, tmp_path, "--dask", running.scheduler_address))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len({line["worker"] for line in lines if line["event"] == "finished"}) == 2
    same(undisturbed, tmp_path)


def test_a_dask_worker_that_is_killed_loses_nothing(config, undisturbed, tmp_path):
    with cluster() as running:
        process = start(config, tmp_path, "--dask", running.scheduler_address)
        deadline = time.monotonic() + 300
        while len(events(tmp_path, "finished")) < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(running.workers[0].pid, signal.SIGKILL)
        finish(process)
    same(undisturbed, tmp_path)


def test_a_local_worker_that_is_killed_loses_nothing(config, undisturbed, tmp_path):
    process = start(config, tmp_path, "--jobs", "2")
    deadline = time.monotonic() + 300
    while len(events(tmp_path, "finished")) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True)
    loky = [int(line.split()[0]) for line in listed.stdout.splitlines() if "loky" in line and "tracker" not in line]
    assert loky
    os.kill(loky[0], signal.SIGKILL)
    finish(process)
    same(undisturbed, tmp_path)
