"""ART's own test files with a spiking classifier in the place of ART's: ``python tests/external/run.py --help``.

Nothing of ART's tests is kept here. Given a source tree of ART (``pip download --no-binary :all: --no-deps
adversarial-robustness-toolbox==1.20.1``, unpacked), every file runs in a process of its own, once with ART's reference
classifier (``plain``), once with the canary of ``art_canary.py`` behind ``SNNClassifier`` (``canary``), and if asked
once with a small trained LIF network (``snn``). ``rest`` runs the tests that ``excused.toml`` excuses for the trained
network, without the numbers that it names, and ``relu`` runs the same tests, whole, with an ordinary network of the
same layers and training. What is finished is kept and not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import art_lif  # noqa: E402
from art_excused import EXCUSED, Excuse, cut_copy  # noqa: E402
from art_prepare import prepare  # noqa: E402
from art_report import compare, report  # noqa: E402
from art_table import EXPECTED  # noqa: E402

NOT_FOR_US = "not tensorflow and not keras and not scikit and not parallel"
COLUMNS = ("plain", "canary", "snn", "rest", "relu")


def asked_of(file: str, column: str) -> list[Excuse]:
    """The entries whose tests, and no others, a column runs; none for a column that runs the whole file."""
    if column not in ("rest", "relu"):
        return []
    return [one for one in EXCUSED if one.file == file and one.kind == "number" and "snn" in one.columns]


def state_of(file: str, column: str) -> list[list[str]]:
    """These entries as they are kept beside the outcomes: with other entries the outcomes are out of date."""
    return [[excuse.test, *(excuse.asserts if column == "rest" else ())] for excuse in asked_of(file, column)]


def run_file(file: str, column: str, work: Path, home: Path, timeout: int, limit: int) -> dict[str, Any]:
    """One file, one column: what became of each test."""
    entries = asked_of(file, column)
    folder = work / "rest" if column == "rest" else work
    if column == "rest":
        cut_copy(work / "tests", folder / "tests", entries)
        if not (folder / "utils").exists():
            (folder / "utils").symlink_to((work / "utils").resolve())
    outcomes = (work / "outcomes" / f"{column}-{file.replace('/', '-')}.json").resolve()
    outcomes.parent.mkdir(exist_ok=True)
    outcomes.unlink(missing_ok=True)
    environment = {
        **os.environ, "HOME": str(home.resolve()), "ART_OUTCOMES": str(outcomes),
        "ART_SUBSTITUTE": "snn" if column == "rest" else column,
        "ART_TRAINED_SNN": str(work.resolve()), "TQDM_DISABLE": "1", "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "NUMBA_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    asked = [f"tests/{one.test}" for one in entries] or [f"tests/{file}"]
    command = [
        sys.executable, "-m", "pytest", *asked, "-q", "-p", "art_plugin", "-p", "no:cacheprovider",
        "-k", NOT_FOR_US, f"--timeout={timeout}", "--timeout-method=signal", "--rootdir=.", "-c", "none.ini",
    ]  # fmt: skip
    (folder / "none.ini").write_text("[pytest]\n")
    started = time.perf_counter()
    log = work / "logs" / f"{column}-{file.replace('/', '-')}.txt"
    log.parent.mkdir(exist_ok=True)
    died = ""
    with log.open("w") as stream:
        try:
            subprocess.run(
                command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT, timeout=limit,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            died = f"the file took longer than {limit} s"
    tests = json.loads(outcomes.read_text()) if outcomes.exists() else {}
    if not tests:
        died = died or (log.read_text().strip().splitlines() or ["no output"])[-1]
    return {
        "file": file, "column": column, "tests": tests, "died": died,
        "seconds": round(time.perf_counter() - started), "entries": state_of(file, column),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--art-source", type=Path, help="unpacked source tree of ART")
    parser.add_argument("--weights", type=Path, help="folder with ART's reference weights, *.npy")
    parser.add_argument("--mnist", type=Path, help="Keras' mnist.npz; ART downloads it otherwise")
    parser.add_argument("--work", type=Path, default=Path("runs/art-tests"), help="folder to work in")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=["plain", "canary"])
    parser.add_argument("--files", nargs="+", help="files under tests/ instead of the known ones")
    parser.add_argument("--timeout", type=int, default=600, help="seconds per test")
    parser.add_argument("--limit", type=int, default=3000, help="seconds per file")
    parser.add_argument("--report", type=Path, help="write the table to this page; runs nothing without --art-source")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    results = chosen.work / "results.jsonl"
    if chosen.art_source is not None:
        home = prepare(chosen.work, chosen.art_source, chosen.weights, chosen.mnist)
        if {"snn", "rest", "relu"} & set(chosen.columns):
            art_lif.train(chosen.work, home)
        lines = results.read_text().splitlines() if results.exists() else []
        kept = {(line["file"], line["column"]): line.get("entries", []) for line in map(json.loads, lines)}
        for file in chosen.files or EXPECTED:
            for column in chosen.columns:
                state = state_of(file, column)
                if kept.get((file, column)) != state and (state or column not in ("rest", "relu")):
                    line = run_file(file, column, chosen.work, home, chosen.timeout, chosen.limit)
                    with results.open("a") as stream:
                        stream.write(json.dumps(line) + "\n")
                    counts = [sum(t["outcome"] == o for t in line["tests"].values()) for o in ("passed", "failed")]
                    said = f"{counts[0]} passed, {counts[1]} failed, {line['seconds']} s {line['died']}"
                    sys.stderr.write(f"{column:6} {file}: {said}\n")
    elif chosen.report is None:
        parser.error("--art-source PATH is needed to run, or --report PAGE to write what was run")
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    if chosen.report is not None:
        facts = chosen.work / "lif.json"
        report(lines, chosen.report, json.loads(facts.read_text()) if facts.exists() else None)
    worse = compare(lines)
    sys.stdout.write("\n".join(worse or ["no test fails with a spiking classifier alone"]) + "\n")
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
