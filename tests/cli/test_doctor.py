"""The doctor at the command line: files, functions, exit codes."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from art_snn.cli import main
from art_snn.evaluation.flags import CHECKS
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
