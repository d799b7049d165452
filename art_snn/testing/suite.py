"""The whole canary suite through the doctor with its default settings, as a table.

``python -m art_snn.testing.suite`` prints it as Markdown; ``--write docs/flags.md`` puts it between the two marks of
that page; names run a part of it. The exit code is 1 if a canary is missed, a flag that is named for it did not fire,
or an honest model is called invalid.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from art_snn.files import write_whole
from art_snn.testing.canaries import CANARIES, Canary

MARKS = ("<!-- canaries: begin -->", "<!-- canaries: end -->")
_HEAD = ("canary", "fault", "named flags", "flags raised", "plan", "CPU seconds")


@dataclass(frozen=True)
class Row:
    """One canary: what had to fire, what did, under which plan, and the CPU seconds that it took."""

    canary: Canary
    raised: tuple[str, ...]
    plan: str
    seconds: float

    @property
    def right(self) -> bool:
        """Whether every named flag fired, and no E flag on an honest model."""
        if self.canary.honest:
            return not any(name.startswith("E") for name in self.raised)
        return set(self.canary.flags) <= set(self.raised)

    def cells(self) -> list[str]:
        """The row of the table."""
        named = ", ".join(self.canary.flags) or "no E flag"
        raised = ", ".join(self.raised) or "none"
        return [self.canary.id, self.canary.fault, named, raised, self.plan, f"{self.seconds:.0f}"]


def examine(canary: Canary) -> Row:
    """Diagnose one canary with default settings."""
    report = canary.diagnose()
    raised = tuple(flag.id for flag in report.raised)
    return Row(canary, raised, str(report.about["plan_name"]), float(report.about["cpu_seconds"]))


def markdown(rows: Iterable[Row]) -> str:
    """The table.

    >>> print(markdown([Row(CANARIES["ann"], (), "ample", 4.2)]).splitlines()[-1])
    | ann | none | no E flag | none | ample | 4 |
    """
    lines = [_HEAD, ["---"] * len(_HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def placed(text: str, table: str) -> str:
    """``text`` with the table between its marks.

    :raises ValueError: if the marks are not there.
    """
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise ValueError(f"got a page without {MARKS[0]} and {MARKS[1]}. Fix: put both on lines of their own.")
    return f"{before}{begin}\n{table}\n{end}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m art_snn.testing.suite", description="The canaries, as a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="canaries; all by default")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in CANARIES]
    if unknown:
        parser.error(f"no canary {', '.join(unknown)}; there are {', '.join(CANARIES)}")
    rows = []
    for name in asked.names or CANARIES:
        rows.append(examine(CANARIES[name]))
        sys.stderr.write(f"{' | '.join(rows[-1].cells())}{'' if rows[-1].right else '  WRONG'}\n")
    table = markdown(rows)
    if asked.write is not None:
        write_whole(asked.write, placed(asked.write.read_text(encoding="utf-8"), table))
    sys.stdout.write(table + "\n")
    return 0 if all(row.right for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
