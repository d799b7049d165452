"""Cases by the ART classes they call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from art_matrix.stage import Stage

Run = Callable[[Stage], None]


@dataclass(frozen=True)
class Case:
    """One call.

    :param name: unique.
    :param covers: names of the ART classes or functions that it calls.
    :param run: raises if the call fails, or returns what cannot be right.
    :param limit: seconds after which it is stopped.
    """

    name: str
    covers: tuple[str, ...]
    run: Run
    limit: int


CASES: dict[str, Case] = {}


def case(*covers: str, name: str = "", limit: int = 90) -> Callable[[Run], Run]:
    """Register a function as the case of these ART names; ``name`` tells several cases of one class apart."""

    def register(run: Run) -> Run:
        title = covers[0] + (f", {name}" if name else "")
        if title in CASES:
            raise ValueError(f"two cases are named {title!r}")
        CASES[title] = Case(title, covers, run, limit)
        return run

    return register
