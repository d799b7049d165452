"""What the runner calls worse, and what it excuses by name."""

import art_report
import pytest
from art_table import ASSERTED, EXPECTED

FILE = "attacks/evasion/test_fast_gradient.py"


def line(column, died="", file=FILE, **outcomes):
    tests = {
        f"tests/{file}::{name}": {"outcome": outcome, "error": "E <1>", "empty": False, "seconds": 1.0}
        for name, outcome in outcomes.items()
    }
    return {"file": file, "column": column, "tests": tests, "died": died, "seconds": 1}


def test_a_test_that_fails_with_the_substitute_alone_is_reported():
    lines = [line("plain", a="passed", b="failed"), line("canary", a="failed", b="failed")]
    assert [text.partition(":")[2].partition(":")[0] for text in art_report.compare(lines)] == [""]
    assert len(art_report.compare(lines)) == 1
    assert f"{FILE}::a" in art_report.compare(lines)[0]


def test_what_passes_with_the_substitute_alone_is_no_fault():
    assert art_report.compare([line("plain", a="failed"), line("canary", a="passed")]) == []


def test_a_file_that_does_not_finish_is_reported():
    assert art_report.compare([line("plain", died="too long")]) == [f"{FILE}, plain: too long"]


@pytest.mark.parametrize("known", sorted(ASSERTED))
def test_named_tests_are_excused_with_a_reason(known):
    file, name = known
    lines = [line("plain", file=file, **{name: "passed"}), line("canary", file=file, **{f"{name}[cpu]": "failed"})]
    lines[0]["tests"] = {key + "[cpu]": value for key, value in lines[0]["tests"].items()}
    assert art_report.compare(lines) == []
    assert ASSERTED[known].why in "\n".join(art_report.table(lines))


def test_the_table_has_counts_expected_counts_and_escaped_errors(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    art_report.report([line("plain", a="failed", b="passed"), line("canary", a="passed", b="passed")], page)
    text = page.read_text()
    assert f"| {FILE} | 1/1 | 11/1 | 2/0 | 12/0 |" in text
    assert "E &lt;1> **Passes with the canary.**" in text
    assert "old" not in text
    assert text.endswith("after\n")


def test_the_known_files_are_test_files():
    assert len(EXPECTED) == 38
    assert all(file.rpartition("/")[2].startswith("test_") and file.endswith(".py") for file in EXPECTED)
