"""Every planted fault is caught by every flag that is named for it; no honest model is called invalid."""

import pytest

from art_snn.evaluation.flags import DEFAULT, PLANS
from art_snn.testing import CANARIES, suite
from art_snn.testing.canaries import EPS
from art_snn.testing.suite import MARKS, Row, placed

QUICK = ("c1", "c2", "c3", "c5", "c6", "c10", "c11", "c14", "c16", "ann")
LIMIT = 90.0


def check(name, **options):
    canary = CANARIES[name]
    report = canary.diagnose(**options)
    assert canary.caught(report), (canary.fault, [flag.id for flag in report.raised])
    assert report.valid == canary.honest or not any(flag.startswith("E") for flag in canary.flags)
    assert report.about["seconds"] < LIMIT
    return report


def test_suite_is_complete():
    assert [name for name in CANARIES if name.startswith("c") and name[1:].isdigit()] == [f"c{i}" for i in range(1, 17)]
    assert sum(canary.honest for canary in CANARIES.values()) >= 6


@pytest.mark.parametrize("name", QUICK)
def test_quick_canaries(name):
    report = check(name, plan=DEFAULT)
    if not CANARIES[name].honest:
        assert next(iter(report.causes)) in CANARIES[name].flags  # the first step is the repair of the fault


@pytest.mark.slow
@pytest.mark.parametrize("name", CANARIES)
def test_all_canaries_with_default_settings(name):
    report = check(name)
    assert report.about["plan_name"] in PLANS
    assert CANARIES[name].honest or next(iter(report.causes)) in (*CANARIES[name].flags, "W9")


def test_a_row_is_right_only_if_every_named_flag_fired():
    assert Row(CANARIES["c3"], ("E9", "W2", "W6", "W14"), "ample", 1.0).right
    assert not Row(CANARIES["c3"], ("E9", "W2"), "ample", 1.0).right
    assert Row(CANARIES["ann"], ("W6",), "ample", 1.0).right
    assert not Row(CANARIES["ann"], ("E6",), "ample", 1.0).right


def test_the_table_goes_between_its_marks():
    page = f"a\n{MARKS[0]}\nold\n{MARKS[1]}\nb"
    assert placed(page, "new") == f"a\n{MARKS[0]}\nnew\n{MARKS[1]}\nb"
    with pytest.raises(ValueError, match="without"):
        placed("a", "new")


@pytest.fixture
def examined(monkeypatch):
    """Canaries are not diagnosed: all are right but those that are named here."""
    wrong = []

    def row(canary):
        return Row(canary, () if canary.id in wrong else canary.flags, "ample", 1.0)

    monkeypatch.setattr(suite, "examine", row)
    return wrong


def test_the_suite_prints_a_row_per_canary_and_fails_for_a_wrong_one(examined, capsys):
    assert suite.main(["c3", "ann"]) == 0
    shown = capsys.readouterr()
    assert [line.split(" | ")[0] for line in shown.out.splitlines()[2:]] == ["| c3", "| ann"]
    assert "WRONG" not in shown.err
    examined.append("c3")
    assert suite.main(["c3", "ann"]) == 1
    assert [line.endswith("WRONG") for line in capsys.readouterr().err.splitlines()] == [True, False]
    assert suite.main([]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(CANARIES)


def test_the_suite_writes_its_table_into_a_page(examined, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"a\n{MARKS[0]}\nold\n{MARKS[1]}\nb")
    assert suite.main(["ann", "--write", str(page)]) == 0
    assert page.read_text() == f"a\n{MARKS[0]}\n{capsys.readouterr().out}{MARKS[1]}\nb"


def test_the_suite_names_its_canaries(examined, capsys):
    with pytest.raises(SystemExit, match="2"):
        suite.main(["c3", "c99", "parrot"])
    assert "no canary c99, parrot; there are c1, c2," in capsys.readouterr().err


def test_margin_attack_recovers_where_the_cross_entropy_is_dead():
    canary = CANARIES["c9"]
    loud, honest = (CANARIES[name].diagnose(plan=DEFAULT).about["accuracy"] for name in ("c9", "ann"))
    assert canary.flags == ("E1",)
    assert loud["pgd"] > honest["pgd"] + 0.3
    assert abs(loud["apgd-margin"] - honest["apgd-margin"]) < 0.07


@pytest.mark.slow
def test_masking_is_worth_something():
    """The masked code looks more robust than the same network with its default backward pass."""
    masked = CANARIES["c13"].diagnose(plan=DEFAULT).about["accuracy"]["apgd-margin"]
    assert masked - CANARIES["snn-latency"].diagnose(plan=DEFAULT).about["accuracy"]["apgd-margin"] > 0
    assert EPS == 0.1
