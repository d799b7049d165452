"""What the runner calls worse, and what it excuses by name."""

import art_report
import pytest
from art_excused import EXCUSED, Excuse
from art_table import EXPECTED

FILE = "attacks/evasion/test_fast_gradient.py"
NUMBER = Excuse(f"{FILE}::a", ("snn",), "number", "asserts 0.32", ("assert x == 0.32",))
FAILED = {"outcome": "failed", "statement": "assert x == 0.32"}


def line(column, died="", file=FILE, **outcomes):
    tests = {
        f"tests/{file}::{name}": {
            "outcome": "", "error": "E <1>", "statement": "", "empty": False, "asked": True, "seconds": 1.0,
            **({"outcome": outcome} if isinstance(outcome, str) else outcome),
        }
        for name, outcome in outcomes.items()
    }  # fmt: skip
    return {"file": file, "column": column, "tests": tests, "died": died, "seconds": 1}


@pytest.fixture
def excused(monkeypatch):
    """The entries that the report knows."""

    def known(*entries):
        monkeypatch.setattr("art_report.EXCUSED", list(entries))
        monkeypatch.setattr("art_excused.EXCUSED", list(entries))

    known()
    return known


def test_a_test_that_fails_with_the_substitute_alone_is_reported(excused):
    lines = [line("plain", a="passed", b="failed"), line("canary", a="failed", b="failed")]
    assert art_report.compare(lines) == [f"tests/{FILE}::a: fails with canary alone: E <1>"]


def test_what_passes_with_the_substitute_alone_is_no_fault(excused):
    assert art_report.compare([line("plain", a="failed"), line("canary", a="passed")]) == []


def test_a_file_that_does_not_finish_is_reported(excused):
    assert art_report.compare([line("plain", died="too long")]) == [f"{FILE}, plain: too long"]


@pytest.mark.parametrize("other", [{}, {"a": "skipped"}])
def test_a_test_that_the_substitute_does_not_run_is_reported(excused, other):
    lines = [line("plain", a="passed", b="skipped"), line("snn", **other)]
    assert art_report.compare(lines) == [f"tests/{FILE}::a: not run with snn"]


def test_an_excuse_is_for_the_statement_it_names(excused):
    excused(NUMBER)
    plain, rest = line("plain", a="passed"), line("rest", a="passed")
    assert art_report.compare([plain, line("snn", a=FAILED), rest]) == []
    crash = {"outcome": "failed", "statement": "attack.generate(x)"}
    assert "fails with snn alone" in art_report.compare([plain, line("snn", a=crash), rest])[0]


@pytest.mark.parametrize(("rest", "why"), [([], "not run"), ([line("rest", a="failed")], "E <1>")])
def test_without_its_number_an_excused_test_has_to_pass(excused, rest, why):
    excused(NUMBER)
    lines = [line("plain", a="passed"), line("snn", a=FAILED), *rest]
    assert art_report.compare(lines) == [f"tests/{FILE}::a: fails without its numbers too: {why}"]
    assert "0 of these 1 pass" in "\n".join(art_report.table(lines))


def test_an_excuse_that_nothing_needs_is_reported(excused):
    excused(NUMBER)
    lines = [line("plain", a="passed"), line("snn", a="passed")]
    assert art_report.compare(lines) == [f"tests/{FILE}::a: excused for snn and does not fail"]


@pytest.mark.parametrize("known", EXCUSED, ids=lambda known: known.test)
def test_named_tests_are_excused_with_a_reason(known, excused):
    excused(known)
    column, name = known.columns[-1], known.test.partition("::")[2]
    ran = name if "[" in name else f"{name}[cpu]"
    lines = [
        line(kind, file=known.file, **{ran: {"outcome": outcome, "statement": known.asserts[0]}})
        for kind, outcome in (("plain", "passed"), (column, "failed"), ("rest", "passed"))
    ]
    assert [text for text in art_report.compare(lines) if "canary" not in text] == []
    assert known.why in "\n".join(art_report.table(lines))


def test_the_table_has_counts_expected_counts_and_escaped_errors(tmp_path, excused):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    art_report.report([line("plain", a="failed", b="passed"), line("canary", a="passed", b="passed")], page)
    text = page.read_text()
    assert f"| {FILE} | 1/1 | 11/1 | 2/0 | 12/0 |" in text
    assert "E &lt;1> **Passes with the canary.**" in text
    assert "old" not in text
    assert text.endswith("after\n")


def test_the_trained_network_has_a_column_and_says_how_good_it_is(excused):
    excused(NUMBER)
    lines = [line("plain", a="passed", b="passed"), line("snn", a=FAILED, b="passed"), line("rest", a="passed")]
    lines[1]["tests"][f"tests/{FILE}::b"]["asked"] = False
    rows = art_report.table(lines, {"lif": 0.9836, "relu": 0.9877, "iris": 0.96})
    text = "\n".join(rows)
    assert f"| {FILE} | 2/0 | 11/1 | 1/1 |  |" in rows
    assert "| **sum** | **2/0** | | **1/1** | |" in rows
    assert "appears in 1 of the 2 tests; it has 98.4% of MNIST's test images right, and 96% of iris." in text
    assert "training, has 98.8% of MNIST." in text
    assert "reference network: 1." in text
    assert "everything else they assert, 1 of these 1 pass. 0 of them fail with the ReLU network as well." in text


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_what_an_ordinary_network_passes_is_marked(excused, outcome):
    excused(NUMBER)
    lines = [line("plain", a="passed"), line("snn", a=FAILED), line("rest", a="passed"), line("relu", a=outcome)]
    text = "\n".join(art_report.table(lines))
    assert ("asserts 0.32 **Passes with the ReLU network.**" in text) == (outcome == "passed")
    assert f"{int(outcome == 'failed')} of them fail with the ReLU network" in text
    assert art_report.compare(lines) == []


def test_the_parameters_of_a_test_share_a_line(excused):
    excused(NUMBER)
    plain, snn = line("plain", **{"a[x]": "passed", "a[y]": "passed"}), line("snn", **{"a[x]": FAILED, "a[y]": FAILED})
    rows = art_report.table([plain, snn])
    assert f"* `{FILE}::a` (x, y): asserts 0.32" in rows


def test_the_known_files_are_test_files():
    assert len(EXPECTED) == 38
    assert all(file.rpartition("/")[2].startswith("test_") and file.endswith(".py") for file in EXPECTED)
