"""The command line: the main job, its errors, and a kill in the middle."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from art_snn.cli import main, parse_budgets
from art_snn.evaluation import ATTACKS
from art_snn.evaluation import run as running
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.stored import load_comparison
from art_snn.evaluation.zoo import EVENT_NOTE

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
        (["--attacks", "noise,fgms"], "did you mean 'fgsm'"),
        (["--models", "snn-latency+jiter"], "did you mean 'jitter'"),
    ],
)
def test_bad_options_are_answered_with_the_fix(arguments, message, tmp_path):
    done = run("compare", "--out", str(tmp_path), *arguments)
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


@pytest.fixture
def asked(uninterrupted, monkeypatch):
    """A finished comparison, shown in place of the one that is asked for; and what was asked."""
    result, given = load_comparison(uninterrupted[1]), {}

    def shown(dataset, models, eps, **options):
        given.update(options, dataset=dataset, models=models, eps=eps)
        return result, "runs/report.html"

    monkeypatch.setattr(running, "run_comparison", shown)
    return result, given


@pytest.mark.parametrize(
    ("arguments", "attacks"),
    [
        ([], None),
        (["--attacks", "noise, fgsm"], ["noise", "fgsm"]),
        (["--preset", "fast"], [*ATTACKS, "auto-fast"]),
        (["--attacks", "noise", "--preset", "standard"], ["noise", "auto-standard"]),
    ],
)
def test_a_preset_joins_the_attacks_that_were_named(asked, arguments, attacks):
    assert run("compare", *arguments).exit_code == 0
    assert asked[1]["attacks"] == attacks


def test_notes_and_raised_flags_stand_below_the_table(asked):
    result, _ = asked
    before = run("compare").output
    assert "Models: " not in before
    result.records[0]["note"] = EVENT_NOTE
    result.flags["ann"] = [Flag("W2", True, 0.5, 0.1, "half is gone"), Flag("W3", False, 0.0, 0.1, "not this one")]
    output = run("compare").output
    assert f"Models: {EVENT_NOTE}." in " ".join(output.split())
    assert "W2 ann: half is gone (see docs/flags.md#w2)" in output
    assert "not this one" not in output


def test_a_terminal_has_its_own_width_and_a_file_has_room(asked, monkeypatch):
    def widest():
        return max(len(re.sub("\x1b[^m]*m", "", line)) for line in run("compare").output.splitlines())

    monkeypatch.setenv("COLUMNS", "70")
    assert widest() > 90
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert widest() <= 70


def test_an_analog_model_of_events_says_what_it_sees(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "trained", lambda name, *given, **options: (None, {"key": name}))
    monkeypatch.setattr(running, "evaluate", lambda *given, **options: options["notes"])
    for number, (dataset, models, note) in enumerate(
        [("events", ["ann", "snn-events"], EVENT_NOTE), ("events", ["snn-events"], None), ("digits", ["ann"], None)]
    ):
        notes, _ = running.run_comparison(dataset, models, [0.1], samples=10, seed=0, out=tmp_path / str(number))
        assert notes.get("note") == note
    with pytest.raises(ValueError, match=r"seeds = 0; expected at least one network per model\. Fix: --seeds 3"):
        running.run_comparison("digits", ["ann"], [0.1], samples=10, seed=0, seeds=0, out=tmp_path)


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
