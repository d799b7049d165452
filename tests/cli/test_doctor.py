"""The doctor at the command line: files, functions, exit codes."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from art_snn.cli import main
from art_snn.evaluation.flags import CHECKS, Flag
from art_snn.evaluation.layers import LayerState
from art_snn.evaluation.reliability import ReliabilityReport
from art_snn.networks import save
from art_snn.testing import tiny


def run(*arguments):
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def network(tmp_path):
    return save(tiny.analog(), tmp_path / "ann.safetensors")


def test_an_honest_model_from_a_file(network, tmp_path):
    out = tmp_path / "deep" / "diagnosis.json"
    done = run(network, "--eps", "0.1", "--samples", "40", "--json", out)
    assert done.exit_code == 0, done.output
    for name, check in CHECKS.items():
        assert f"{name} " in done.output
        assert check.title in done.output
    assert "Valid" in done.output
    assert "ReLU" in done.output
    assert "  3. " in done.output
    assert re.search(r"40 samples, the attacks and landscapes on \d+ of them", done.output)
    record = json.loads(out.read_text())
    assert record["valid"] is True
    assert len(record["flags"]) == 24


def test_a_fault_from_a_function_exits_with_1(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(
        "from art_snn.testing import CANARIES\n\ndef make():\n    return CANARIES['c1'].build()\n\nnothing = list\n"
    )
    monkeypatch.chdir(tmp_path)
    done = run("their_models:make", "--samples", "40")
    assert done.exit_code == 1, done.output
    assert "INVALID (E1" in done.output
    assert "docs/flags.md#e1" in done.output.replace("\n", "")
    wrong = run("their_models:nothing")
    assert wrong.exit_code == 2
    assert "expected an ART PyTorchClassifier" in " ".join(wrong.output.split())
    sys.modules.pop("their_models")


@pytest.fixture
def diagnosed(monkeypatch):
    """A report by hand, shown in place of the diagnosis that is asked for."""

    def install(**parts):
        flags = {name: Flag(name, raised=False, value=0.0, threshold=0.0, text="") for name in CHECKS}
        about = {
            "eps": 0.1, "seed": 0, "samples": 40, "expensive_samples": 8, "plan_name": "ample",
            "planned_seconds": None, "seconds": 1.0,
        }  # fmt: skip
        about |= parts.pop("about", {})
        report = ReliabilityReport(flags, about=about, **parts)
        monkeypatch.setattr("art_snn.evaluation.doctor.examine", lambda *given, **options: report)
        return run("net.safetensors")

    return install


def test_only_what_was_measured_is_shown(diagnosed):
    bare = diagnosed()
    assert bare.exit_code == 0
    assert "plan ample: 40 samples" in bare.output
    assert not any(word in bare.output for word in ("Cosine", "Layers:", "could not run"))
    alone = diagnosed(cosines={"own": {"own": 1.0}})
    assert "Cosine" not in alone.output
    whole = diagnosed(
        layers=[LayerState("body.2", "LIFNode", [0.2], 0.1, 0.0, [0.5], [0.25], 1.0)],
        cosines={"own": {"own": 1.0, "atan": 0.75, "bptr": -0.5}},
        about={"planned_seconds": 33.0, "errors": {"fab": "no gradient"}},
    )
    assert "plan ample (33 s expected): 40 samples" in whole.output
    assert "Cosine of the model's own gradient with: atan 0.75, bptr -0.50" in whole.output
    assert "body.2" in whole.output
    assert "Attack fab could not run: no gradient" in whole.output


def test_a_terminal_has_its_own_width(diagnosed, monkeypatch):
    def widest():
        output = diagnosed(about={"errors": {"fab": "a long story " * 10}}).output
        return max(len(re.sub("\x1b[^m]*m", "", line)) for line in output.splitlines())

    monkeypatch.setenv("COLUMNS", "100")
    assert widest() > 110
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert widest() <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.safetensors"], "no file nowhere.safetensors"),
        (["just_a_name"], "a .safetensors file or module:function"),
        (["no_such_module:make"], "cannot be imported"),
        (["art_snn:no_such_function"], "cannot be imported"),
        (["nowhere.safetensors", "--dataset", "digit"], "did you mean 'digits'"),
        (["nowhere.safetensors", "--samples", "0"], "1..500 test samples"),
        (["nowhere.safetensors", "--eps", "x"], "numbers such as 0.1 or 8/255"),
    ],
)
def test_errors_exit_with_2_and_carry_the_fix(arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
