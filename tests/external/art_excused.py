"""Tests that pass with ART's own classifier and may fail with a spiking one, by name: ``excused.toml``.

Nothing is excused as a whole. An entry names the statements of the test that may fail, and why; a failure anywhere else
is a failure. What an entry with ``kind = "number"`` names can be cut out of a copy of ART's tests (:func:`cut`): the
rest of the test then has to pass.
"""

from __future__ import annotations

import ast
import shutil
import textwrap
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KINDS = {
    "number": "They assert a number that belongs to ART's reference network",
    "property": "They name parts of the network that a spiking one does not have",
}


def canonical(statement: str) -> str:
    """A statement without its layout and comments; as it came if it is no whole statement.

    >>> canonical('assert  a == "b"  # c')
    "assert a == 'b'"
    """
    try:
        return ast.unparse(ast.parse(textwrap.dedent(statement).strip()))
    except SyntaxError:
        return " ".join(statement.split())


@dataclass(frozen=True)
class Excuse:
    """One test, the statements of it that may fail, and why.

    :param test: ``file::name`` under ``tests/``, or ``file::Class::name``; all parameters of the test, or one in
        brackets.
    :param columns: substitutes for which this holds.
    :param kind: one of :data:`KINDS`.
    :param asserts: the statements, in their canonical form.
    :param where: the file they stand in, if not in the test's own.
    """

    test: str
    columns: tuple[str, ...]
    kind: str
    why: str
    asserts: tuple[str, ...]
    where: str | None = None

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]

    def names(self, test: str) -> bool:
        """Whether ``test``, as pytest calls it, is the one."""
        name = test.removeprefix("tests/")
        return self.test in (name, name.partition("[")[0])


def load(path: Path) -> list[Excuse]:
    """Read the entries.

    :raises ValueError: for a kind that is none of :data:`KINDS`, or an entry without statements or columns.
    """
    found = []
    for entry in tomllib.loads(path.read_text())["test"]:
        for field in ("columns", "asserts"):
            entry[field] = tuple(entry[field])
        entry["asserts"] = tuple(map(canonical, entry["asserts"]))
        excuse = Excuse(**entry)
        if excuse.kind not in KINDS or not excuse.asserts or not excuse.columns:
            raise ValueError(f"{excuse.test}: an entry needs columns, statements, and a kind out of {sorted(KINDS)}")
        found.append(excuse)
    return found


EXCUSED = load(Path(__file__).with_name("excused.toml"))


def excuse_for(test: str, column: str, statement: str, known: Iterable[Excuse] | None = None) -> Excuse | None:
    """The entry by which ``test`` may fail at ``statement``."""
    for excuse in EXCUSED if known is None else known:
        if column in excuse.columns and excuse.names(test) and canonical(statement) in excuse.asserts:
            return excuse
    return None


def cut(source: str, statements: Iterable[str], function: str | None = None) -> str:
    """``source`` with ``pass`` in the place of each of the statements, inside ``function`` where one is named.

    :raises ValueError: if a statement does not occur: the entry is out of date.

    >>> cut("def f():\\n    assert a == 1\\n    assert b\\n", ["assert a == 1"], "f")
    'def f():\\n    pass\\n    assert b\\n'
    """
    lines = source.splitlines(keepends=True)
    tree = ast.parse(source)
    inside: list[ast.AST] = [tree]
    if function is not None:
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    nodes = [node for part in inside for node in ast.walk(part) if isinstance(node, ast.stmt)]
    for statement in statements:
        hits = [node for node in nodes if ast.unparse(node) == statement]
        if not hits:
            raise ValueError(f"not in ART's tests any more: {statement}")
        for node in hits:
            assert node.end_lineno is not None
            first = lines[node.lineno - 1]
            blank = ["\n"] * (node.end_lineno - node.lineno)
            lines[node.lineno - 1 : node.end_lineno] = [first[: node.col_offset] + "pass\n", *blank]
    return "".join(lines)


def cut_copy(source: Path, copy: Path, excuses: Iterable[Excuse]) -> None:
    """A copy of ART's ``tests`` without the numbers that the entries name."""
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    wanted: dict[tuple[str, str | None], set[str]] = {}
    for excuse in excuses:
        function = None if excuse.where else excuse.test.rpartition("::")[2].partition("[")[0]
        wanted.setdefault((excuse.where or excuse.file, function), set()).update(excuse.asserts)
    for (file, function), statements in wanted.items():
        path = copy / file
        path.write_text(cut(path.read_text(), sorted(statements), function))
