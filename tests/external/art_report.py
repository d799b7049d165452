"""From the outcomes of single tests to the table, and to what is worse than it should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from art_excused import EXCUSED, KINDS, Excuse, excuse_for
from art_table import EXPECTED

Line = dict[str, Any]
MARKS = ("<!-- table -->", "<!-- end of table -->")


def counts(line: Line | None) -> tuple[int, int] | None:
    """Passed and failed; ``None`` if the file did not run to an end."""
    if line is None or line["died"]:
        return None
    return tuple(sum(t["outcome"] == kind for t in line["tests"].values()) for kind in ("passed", "failed"))  # type: ignore[return-value]


def _by_file(lines: Iterable[Line]) -> dict[str, dict[str, Line]]:
    """The lines of each file by column, in the order of the table; the last line of a kind counts."""
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        found.setdefault(line["file"], {})[line["column"]] = line
    order = [file for file in EXPECTED if file in found]
    return {file: found[file] for file in (*order, *(file for file in found if file not in EXPECTED))}


def excuse_of(test: str, line: Line) -> Excuse | None:
    """Why a test may fail as it did although it passes with ART's own classifier."""
    return excuse_for(test, line["column"], line["tests"][test].get("statement", ""))


def lost(columns: dict[str, Line], column: str) -> list[str]:
    """Tests that pass with ART's own classifier and fail with the substitute."""
    plain, other = (columns.get(name, {"tests": {}})["tests"] for name in ("plain", column))
    return [t for t, v in other.items() if v["outcome"] == "failed" and plain.get(t, {}).get("outcome") == "passed"]


def compare(lines: Iterable[Line]) -> list[str]:
    """What is wrong: a file that did not finish, a test that fails with the substitute alone and is not excused, one
    that fails without its numbers too, and an excuse that nothing needs.
    """
    wrong = []
    for file, columns in _by_file(lines).items():
        wrong += [f"{file}, {column}: {line['died']}" for column, line in columns.items() if line["died"]]
        for column in ("canary", "snn"):
            if column in columns:
                wrong += _unexcused(columns, column)
        if "snn" in columns:
            wrong += _without_numbers(columns)
    return wrong


def _unexcused(columns: dict[str, Line], column: str) -> list[str]:
    line, failed = columns[column], lost(columns, column)
    wrong = [
        f"{test}: fails with {column} alone: {line['tests'][test]['error']}"
        for test in failed
        if excuse_of(test, line) is None
    ]
    passed = [t for t, v in columns.get("plain", {"tests": {}})["tests"].items() if v["outcome"] == "passed"]
    ran = [t for t, v in line["tests"].items() if v["outcome"] in ("passed", "failed")]
    wrong += [f"{test}: not run with {column}" for test in passed if test not in ran and not line["died"]]
    mine = [one for one in EXCUSED if one.file == line["file"] and column in one.columns]
    return wrong + [
        f"tests/{one.test}: excused for {column} and does not fail"
        for one in mine
        if not line["died"] and not any(one.names(test) for test in failed)
    ]


def _without_numbers(columns: dict[str, Line]) -> list[str]:
    rest = columns.get("rest", {"tests": {}})["tests"]
    wrong = []
    for test in lost(columns, "snn"):
        excuse = excuse_of(test, columns["snn"])
        if excuse is not None and excuse.kind == "number" and rest.get(test, {}).get("outcome") != "passed":
            error = rest[test]["error"] if test in rest else "not run"
            wrong.append(f"{test}: fails without its numbers too: {error}")
    return wrong


def _cell(pair: tuple[int, int] | None) -> str:
    return "–" if pair is None else f"{pair[0]}/{pair[1]}"


HEADS = {"plain": "ART's classifier", "canary": "canary", "snn": "trained LIF network"}


def table(lines: Iterable[Line], network: dict[str, float] | None = None) -> list[str]:
    """The table and the lists under it, in Markdown; ``network`` is what the trained network reaches."""
    found = _by_file(lines)
    columns = [name for name in HEADS if any(name in one for one in found.values())]
    wanted = [name for name in columns if any(name in one for one in EXPECTED.values())]
    heads = [head for c in columns for head in ([HEADS[c], "expected"] if c in wanted else [HEADS[c]])]
    rows = [
        "| file under `tests/` | " + " | ".join(heads) + " | without estimator |",
        "|---|" + "---|" * len(heads) + "---|",
    ]  # fmt: skip
    sums = {column: [0, 0] for column in columns}
    for file in found:
        cells = []
        for column in columns:
            got = counts(found[file].get(column))
            cells.append(_cell(got))
            if column in wanted:
                cells.append(_cell(EXPECTED.get(file, {}).get(column)))
            if got is not None:
                sums[column] = [a + b for a, b in zip(sums[column], got, strict=True)]
        empty = sum(t["empty"] for t in found[file].get("plain", {"tests": {}})["tests"].values())
        rows.append(f"| {file} | " + " | ".join(cells) + f" | {empty or ''} |")
    ends = [f"**{sums[c][0]}/{sums[c][1]}** |" + (" |" if c in wanted else "") for c in columns]
    rows.append("| **sum** | " + " ".join(ends) + " |")
    if "snn" in columns:
        rows += ["", *_facts(found, network)]
    for column in columns[1:]:
        rows += ["", *_listed(found, column)]
    return [*rows, "", *_both(found)]


def _facts(found: dict[str, dict[str, Line]], network: dict[str, float] | None) -> list[str]:
    """How good the trained network is, and how many tests it appears in."""
    tests = [t for one in found.values() for t in one.get("snn", {"tests": {}})["tests"].values()]
    tests = [t for t in tests if t["outcome"] in ("passed", "failed")]
    said = f"The trained network appears in {sum(t.get('asked', False) for t in tests)} of the {len(tests)} tests"
    if network is not None:
        said += (
            f"; it has {network['lif']:.1%} of MNIST's test images right, and {network['iris']:.0%} of iris. The ReLU"
        )
        said += f" network, with the same layers and training, has {network['relu']:.1%} of MNIST"
    return [f"{said}."]


def _listed(found: dict[str, dict[str, Line]], column: str) -> list[str]:
    head = f"Passed by ART's classifier, failed by the {HEADS[column]}"
    rows: list[str] = []
    for kind, means in {**KINDS, "": "NOT EXCUSED"}.items():
        part = [
            (test, columns, excuse_of(test, columns[column]))
            for columns in found.values()
            for test in lost(columns, column)
        ]
        part = [one for one in part if kind == ("" if one[2] is None else one[2].kind)]
        if part:
            rows += [f"{head}. {means}: {len(part)}.", ""]
            said: dict[tuple[str, str], list[str]] = {}
            for test, columns, excuse in part:
                why = columns[column]["tests"][test]["error"] if excuse is None else excuse.why
                why += _alike(test, columns) if kind == "number" else ""
                name, _, case = test.removeprefix("tests/").partition("[")
                said.setdefault((name, why), []).append(case.removesuffix("]"))
            rows += [f"* `{name}`{_cases(cases)}: {why}" for (name, why), cases in said.items()]
            rows += ["", *(_checked(part) if kind == "number" else ())]
    return rows[:-1] if rows else [f"{head}: none."]


def _cases(cases: list[str]) -> str:
    """The parameters of a test, as pytest names them."""
    return f" ({', '.join(cases)})" if any(cases) else ""


def _became(test: str, columns: dict[str, Line], column: str) -> str:
    return str(columns.get(column, {"tests": {}})["tests"].get(test, {}).get("outcome"))


def _alike(test: str, columns: dict[str, Line]) -> str:
    return " **Passes with the ReLU network.**" if _became(test, columns, "relu") == "passed" else ""


def _checked(part: list[tuple[str, dict[str, Line], Excuse | None]]) -> list[str]:
    """How many of the excused tests pass without the numbers, and how many fail with an ordinary network as well."""
    passing = sum(_became(test, columns, "rest") == "passed" for test, columns, _ in part)
    failing = sum(_became(test, columns, "relu") == "failed" for test, columns, _ in part)
    said = "Without the statements that assert those numbers, and with everything else they assert"
    return [f"{said}, {passing} of these {len(part)} pass. {failing} of them fail with the ReLU network as well.", ""]


def _both(found: dict[str, dict[str, Line]]) -> list[str]:
    rows = [
        "Failed by ART's own classifier, with the first line of the error:",
        "",
    ]
    for columns in found.values():
        canary = columns.get("canary", {"tests": {}})["tests"]
        for test, value in columns.get("plain", {"tests": {}})["tests"].items():
            if value["outcome"] == "failed":
                passes = " **Passes with the canary.**" if canary.get(test, {}).get("outcome") == "passed" else ""
                error = value["error"].replace("|", "\\|").replace("<", "&lt;")
                rows.append(f"* `{test.removeprefix('tests/')}`: {error[:140]}{passes}")
    return rows


def report(lines: Iterable[Line], page: Path, network: dict[str, float] | None = None) -> None:
    """Put the table between the marks of ``page``."""
    text = page.read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    page.write_text(text[:start] + "\n" + "\n".join(table(list(lines), network)) + "\n" + text[end:])
