"""The command line: the main job, its errors, and a kill in the middle."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from art_snn.cli import main, parse_budgets

QUICK = ["compare", "--models", "ann,snn-latency", "--eps", "0.1", "--samples", "30", "--epochs", "3"]


def records(folder):
    lines = (folder / "results.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "command")} for line in lines]


def run(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = run(*QUICK, "--out", str(folder))
    return done, folder


def test_main_job_writes_everything(uninterrupted):
    done, folder = uninterrupted
    assert done.exit_code == 0, done.output
    assert "worst case" in done.output
    assert "snn-latency" in done.output
    assert (folder / "report.html").exists()
    kinds = {record["kind"] for record in records(folder)}
    assert kinds == {
        "run", "train", "clean", "attack", "flags", "transfer", "work", "time", "raster", "cost", "summary", "test",
        "work_mean", "verdict", "references", "samples", "convergence", "surrogates", "gradients", "aurc",
        "gap", "index",
    }  # fmt: skip
    assert len(list((folder / "models").iterdir())) == 2


@pytest.mark.slow
def test_event_frames_end_to_end(tmp_path):
    quick = ["--samples", "12", "--epochs", "4", "--eps", "0.02"]
    done = run("compare", "--dataset", "events", *quick, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "no event camera can record" in " ".join(done.output.split())
    header, *rest = records(tmp_path)
    assert list(header["models"]) == ["ann", "snn-events"]
    assert "mean of the event frames over time" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "figures" / "examples.png").exists()
    trained = {record["model"]: record["test_accuracy"]["value"] for record in rest if record["kind"] == "train"}
    assert min(trained.values()) > 0.8
    parameters = {record["parameters"] for record in rest if record["kind"] == "train"}
    assert len(parameters) == 1


@pytest.mark.parametrize("enough", [2, 6])
def test_killed_half_way_it_goes_on_and_ends_alike(uninterrupted, tmp_path, enough):
    command = [sys.executable, "-m", "art_snn.cli", *QUICK, "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    results = tmp_path / "results.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if results.exists() and results.read_text().count("\n") >= enough:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done_before = {
        json.loads(line)["key"] for line in results.read_text().splitlines(keepends=True) if line.endswith("\n")
    }
    assert done_before
    weights = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "models").iterdir() if path.suffix == ".safetensors"
    }
    done = run(*QUICK, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert records(tmp_path) == records(uninterrupted[1])
    finished = [p for p, stamp in weights.items() if p.stat().st_mtime_ns == stamp]
    assert len(finished) >= min(1, len(weights))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "snn-latncy"], "did you mean 'snn-latency'"),
        (["--models", ","], "no models"),
        (["--dataset", "events", "--models", "snn-latency"], "expected one of ann, snn-events"),
        (["--models", "snn-events"], "expected one of ann, qnn, ann-poisson, ann-latency, snn-direct"),
        (["--dataset", "digit"], "did you mean 'digits'"),
        (["--eps=-0.1"], "finite budgets >= 0"),
        (["--eps", "a/b"], "numbers such as 0.1 or 8/255"),
        (["--samples", "0"], "1..500 test samples"),
        (["--samples", "501"], "1..500 test samples"),
        (["--device", "tpu"], "'cpu', 'cuda'"),
    ],
)
def test_bad_options_are_answered_with_the_fix(arguments, message, tmp_path):
    done = run("compare", "--out", str(tmp_path), *arguments)
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("compare", "--out", str(tmp_path / "file" / "run"))
    assert done.exit_code == 1
    assert "a folder that can be written" in " ".join(done.output.split())


def test_corrupt_line_is_set_aside(uninterrupted, tmp_path):
    import shutil

    shutil.copytree(uninterrupted[1], tmp_path / "run")
    with (tmp_path / "run" / "results.jsonl").open("a") as file:
        file.write('{"key": "half')
    done = run(*QUICK, "--out", str(tmp_path / "run"))
    assert done.exit_code == 0
    assert records(tmp_path / "run") == records(uninterrupted[1])


def test_damaged_weights_are_trained_again(uninterrupted, tmp_path):
    import shutil

    shutil.copytree(uninterrupted[1], tmp_path / "run")
    for file in (tmp_path / "run" / "models").iterdir():
        file.write_bytes(b"damaged")
    assert run(*QUICK, "--out", str(tmp_path / "run")).exit_code == 0
    assert records(tmp_path / "run") == records(uninterrupted[1])


def test_list_names_everything():
    output = run("list").output
    for name in ("digits", "snn-poisson", "apgd-margin"):
        assert name in output


def test_budgets_from_text():
    assert parse_budgets("0.1,8/255") == [0.1, 8 / 255]


def test_import_stays_light():
    code = "import sys, art_snn.coding, art_snn.networks; print('art' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
