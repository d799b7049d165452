"""The matrix covers the installed ART, and its checks of results are checks."""

import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def covered():
    from art_matrix.cases import CASES

    return {name for case in CASES.values() for name in case.covers}


def test_every_class_of_art_has_a_case_or_a_reason(covered):
    from art_matrix.catalogue import gaps

    assert gaps(covered) == []


def test_a_new_class_without_a_case_is_reported(covered):
    from art_matrix.catalogue import gaps

    assert any("DeepFool has neither a case nor a reason" in line for line in gaps(covered - {"DeepFool"}))
    assert "ART has no Phantom (any more)" in gaps(covered | {"Phantom"})


def test_a_hang_and_a_crash_are_lines_and_end(tmp_path):
    import os
    import time

    from art_matrix.registry import Case
    from art_matrix.runner import measure

    hang = measure(Case("hang", ("x",), lambda stage: time.sleep(60), 1), "ann")
    crash = measure(Case("crash", ("x",), lambda stage: os._exit(3), 30), "ann")
    wrong = measure(Case("wrong", ("x",), lambda stage: stage.holds(False, "so it is"), 30), "ann")
    assert (hang["outcome"], crash["outcome"], wrong["outcome"]) == ("timeout", "error", "wrong result")
    assert hang["seconds"] < 30
    assert wrong["detail"] == "so it is"


BAD = {
    "shape": lambda x: x[:, 0],
    "NaN": lambda x: np.full_like(x, np.nan),
    "range": lambda x: x + 1,
    "integers": lambda x: (x * 0).astype(int),
    "nothing changed": lambda x: x.copy(),
    "budget": lambda x: np.clip(x + 0.4, 0, 1),
}


class Fake:
    def __init__(self, answer, spoil=False):
        self.answer, self.spoil = answer, spoil

    def generate(self, x, y=None):
        if self.spoil:
            x += 0.1
        return self.answer(x)


@pytest.mark.parametrize("fault", sorted(BAD))
def test_a_bad_result_is_seen(fault):
    from art_matrix.stage import BrokenError, Stage

    stage = Stage("ann")
    with pytest.raises(BrokenError):
        stage.evade(Fake(BAD[fault]), stage.clf(), eps=0.3)


def test_a_changed_input_is_seen():
    from art_matrix.stage import BrokenError, Stage

    stage = Stage("ann")
    with pytest.raises(BrokenError, match="in place"):
        stage.evade(Fake(lambda x: x, spoil=True), stage.clf())


def test_a_failure_of_the_spiking_network_alone_is_a_regression():
    from art_matrix.cases import CASES
    from art_matrix.page import regressions

    works = {"outcome": "works", "detail": "", "seconds": 0.0}
    lines = [{"case": name, "victim": victim, **works} for name in CASES for victim in ("ann", "direct", "latency")]
    lines[1] = {**lines[1], "outcome": "error", "detail": "boom"}
    name = lines[1]["case"]
    assert any(line.startswith(f"{name} fails on direct alone") for line in regressions(lines))
    lines[0] = {**lines[0], "outcome": "error"}
    assert not any(line.startswith(f"{name} fails") for line in regressions(lines))
