"""What a configuration file may say, and what each mistake is answered with."""

from pathlib import Path

import numpy as np
import pytest

from art_snn.evaluation.sweep import read_sweep
from art_snn.evaluation.sweep.config import LARGEST_FILE, parse
from art_snn.evaluation.sweep.plan import plan_sweep

EXAMPLE = Path(__file__).parents[3] / "examples" / "sweep.toml"
GOOD = {"models": [{"model": "ann"}], "threats": [{"eps": [0.1]}]}


def with_(**changes):
    return {**GOOD, **changes}


def test_the_example_is_a_sweep_of_enough_cells():
    sweep = read_sweep(EXAMPLE)
    assert len(plan_sweep(sweep, {"digits": "0"}).cells) >= 24
    assert [threat.norm for threat in sweep.threats] == [np.inf, 2.0]


def test_the_grid_is_a_product():
    grid = {"model": "snn", "codes": ["direct", "latency", "frequency"], "defenses": ["none", "at"]}
    names = [model.name for model in parse(with_(models=[grid])).models]
    assert names == ["snn-direct", "snn-at", "snn-latency", "snn-latency+at", "snn-frequency", "snn-frequency+at"]


def test_budgets_are_sorted_and_may_be_fractions():
    [threat] = parse(with_(threats=[{"norm": "1", "eps": [2, "1/2"], "preset": "fast"}])).threats
    assert threat.eps == (0.5, 2.0)
    assert threat.attacks[-1] == "auto-fast"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modles": []}, "did you mean 'models'"),
        ({"models": []}, "at least one such table"),
        ({"models": [{"model": "snm"}]}, "did you mean 'snn'"),
        ({"models": [{"model": "snn", "code": ["direct"]}]}, "did you mean 'codes'"),
        ({"models": [{"model": "snn", "codes": ["latncy"]}]}, "did you mean 'latency'"),
        ({"models": [{"model": "snn", "codes": []}]}, "at least one entry"),
        ({"models": [{"model": "snn", "codes": ["direct", "direct"]}]}, "drop the second 'direct'"),
        ({"models": [{"model": "snn", "codes": "direct"}]}, "expected a list"),
        ({"models": [{"model": "snn", "codes": ["none"]}]}, "codes = ['direct']"),
        ({"models": [{"model": "snn", "defenses": ["jitter"]}]}, "codes = ['latency'] for it"),
        ({"models": [{"model": "snn", "defenses": ["frequency-code"]}]}, "codes = ['frequency'], without a defense"),
        ({"models": [{"model": "ann", "defenses": ["at"]}]}, "a table with model = 'snn'"),
        ({"models": [{"model": "qnn", "codes": ["latency"]}]}, "codes = ['none'] at most"),
        ({"models": [{"model": "ann"}, {"model": "ann"}]}, "'ann' twice"),
        ({"models": ["ann"]}, "expected a table"),
        ({"threats": [{"eps": []}]}, "at least one entry"),
        ({"threats": [{}]}, "add eps = ..."),
        ({"threats": [{"eps": [0.1, 0.1]}]}, "every entry once"),
        ({"threats": [{"eps": [0]}]}, "a finite budget above 0"),
        ({"threats": [{"eps": [float("nan")]}]}, "a finite budget above 0"),
        ({"threats": [{"eps": ["8/0"]}]}, "a number or a fraction"),
        ({"threats": [{"eps": [True]}]}, "a number or a fraction"),
        ({"threats": [{"eps": [0.1], "norm": 2}]}, "write norm as a string"),
        ({"threats": [{"eps": [0.1], "norm": "3"}]}, "one of inf, 2, 1"),
        ({"threats": [{"eps": [0.1], "attacks": ["apgd-c"]}]}, "did you mean 'apgd-ce'"),
        ({"threats": [{"eps": [0.1], "preset": "fats"}]}, "did you mean 'fast'"),
        ({"threats": [{"eps": [0.1]}, {"eps": [0.2]}]}, "a name of its own"),
        ({"threats": [{"eps": [0.1], "name": "../out"}]}, "the name of a folder"),
        ({"datasets": ["digit"]}, "did you mean 'digits'"),
        ({"datasets": ["events"], "models": [{"model": "snn"}]}, "expected one of ann, snn-events"),
        ({"seeds": [-1]}, "a whole number from 0"),
        ({"seeds": [0.5]}, "a whole number from 0"),
        ({"seeds": 3}, "write seeds as a list"),
        ({"samples": 0}, "samples = 1"),
        ({"samples": True}, "a whole number"),
        ({"threads": 0}, "threads = 1"),
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, "epochs = 1"),
        ({"name": " "}, "a string that is not empty"),
    ],
)
def test_mistakes_are_answered_with_the_repair(changes, message):
    with pytest.raises(ValueError, match="Fix: ") as caught:
        parse(with_(**changes))
    assert message in str(caught.value)


def test_too_many_cells():
    sweep = parse(with_(max_cells=10, seeds=list(range(20))))
    with pytest.raises(ValueError, match="more than 10 cells"):
        plan_sweep(sweep, {"digits": "0"})


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"models = [", "expected TOML"), (b"\xff\xfe", "expected TOML"), (b"#" * (LARGEST_FILE + 1), "at most")],
)
def test_files_that_are_no_sweep(tmp_path, content, message):
    (tmp_path / "s.toml").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_sweep(tmp_path / "s.toml")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_sweep(tmp_path / "other.toml")
