"""From the outcomes of single tests to the table, and to what is worse than it should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from art_table import ASSERTED, EXPECTED

Line = dict[str, Any]
MARKS = ("<!-- table -->", "<!-- end of table -->")


def counts(line: Line | None) -> tuple[int, int] | None:
    """Passed and failed; ``None`` if the file did not run to an end."""
    if line is None or line["died"]:
        return None
    return tuple(sum(t["outcome"] == kind for t in line["tests"].values()) for kind in ("passed", "failed"))  # type: ignore[return-value]


def _by_file(lines: Iterable[Line]) -> dict[str, dict[str, Line]]:
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        found.setdefault(line["file"], {})[line["column"]] = line
    return found


def excused(test: str, column: str) -> str | None:
    """Why a test may fail although it passes with ART's own classifier."""
    name = test.rpartition("::")[2].partition("[")[0]
    reason = ASSERTED.get((test.partition("::")[0].removeprefix("tests/"), name))
    return None if reason is None or column not in reason.columns else reason.why


def lost(columns: dict[str, Line], column: str) -> list[str]:
    """Tests that pass with ART's own classifier and fail with the substitute."""
    plain, other = (columns.get(name, {"tests": {}})["tests"] for name in ("plain", column))
    return [t for t, v in other.items() if v["outcome"] == "failed" and plain.get(t, {}).get("outcome") == "passed"]


def compare(lines: Iterable[Line]) -> list[str]:
    """What is wrong: a file that did not finish, or a test that fails with the substitute alone and is not excused."""
    wrong = []
    for file, columns in _by_file(lines).items():
        for column, line in columns.items():
            if line["died"]:
                wrong.append(f"{file}, {column}: {line['died']}")
            if column != "plain":
                wrong += [
                    f"{test}: fails with {column} alone: {line['tests'][test]['error']}"
                    for test in lost(columns, column)
                    if excused(test, column) is None
                ]
    return wrong


def _cell(pair: tuple[int, int] | None) -> str:
    return "–" if pair is None else f"{pair[0]}/{pair[1]}"


def table(lines: Iterable[Line]) -> list[str]:
    """The table and the lists under it, in Markdown."""
    found = _by_file(lines)
    columns = [name for name in ("plain", "canary", "snn") if any(name in one for one in found.values())]
    heads = {"plain": "ART's classifier", "canary": "canary", "snn": "trained LIF"}
    rows = [
        "| file under `tests/` | " + " | ".join(f"{heads[c]} | expected" for c in columns) + " | without estimator |",
        "|---|" + "---|---|" * len(columns) + "---|",
    ]  # fmt: skip
    sums = {column: [0, 0] for column in columns}
    for file in [name for name in EXPECTED if name in found] + [name for name in found if name not in EXPECTED]:
        cells = []
        for column in columns:
            got = counts(found[file].get(column))
            wanted = EXPECTED.get(file, {}).get(column)  # type: ignore[union-attr]
            cells += [_cell(got), _cell(wanted)]
            if got is not None:
                sums[column] = [a + b for a, b in zip(sums[column], got, strict=True)]
        empty = sum(t["empty"] for t in found[file].get("plain", {"tests": {}})["tests"].values())
        rows.append(f"| {file} | " + " | ".join(cells) + f" | {empty or ''} |")
    rows.append("| **sum** | " + " | ".join(f"**{a}/{b}** |" for a, b in sums.values()) + " |")
    for column in columns[1:]:
        rows += ["", *_listed(found, column, heads[column])]
    return [*rows, "", *_both(found)]


def _listed(found: dict[str, dict[str, Line]], column: str, head: str) -> list[str]:
    rows = [f"Passed by ART's classifier, failed by the {head}:", ""]
    for columns in found.values():
        rows += [
            f"* `{test.removeprefix('tests/')}`: {excused(test, column) or 'NOT EXCUSED'}"
            for test in lost(columns, column)
        ]
    return rows if len(rows) > 2 else [f"Passed by ART's classifier, failed by the {head}: none."]


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


def report(lines: Iterable[Line], page: Path) -> None:
    """Put the table between the marks of ``page``."""
    text = page.read_text()
    start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
    page.write_text(text[:start] + "\n" + "\n".join(table(list(lines))) + "\n" + text[end:])
