"""How long it still takes, from how long it took: measured, or said to be unknown.

A cell is expected to take the mean of the finished cells most like it: same kind, attack and model, else same kind and
attack. What has no such cell is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

from art_snn.evaluation.sweep.plan import Cell


class Expectation:
    """Mean durations of finished cells by what they are like."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def learn(self, cell: Cell, seconds: float) -> None:
        """Take in a finished cell."""
        for key in _likeness(cell):
            self._seen[key].append(seconds)

    def of(self, cell: Cell) -> float | None:
        """Seconds that a cell should take; ``None`` if nothing like it was measured."""
        for key in _likeness(cell):
            if key in self._seen:
                return sum(self._seen[key]) / len(self._seen[key])
        return None

    def remaining(self, cells: Iterable[Cell], workers: int) -> str:
        """The time that is left, in words.

        >>> known, train = Expectation(), Cell("train", "digits", "ann", 0)
        >>> known.remaining([train], 1)
        'time left unknown'
        >>> known.learn(train, 60.0)
        >>> known.remaining([train, train, train], 2), known.remaining([train, Cell("flags", "digits", "ann", 0)], 1)
        ('about 2 min left', 'at least 1 min left (not measured yet: flags)')
        """
        times = [(cell, self.of(cell)) for cell in cells]
        known = [seconds for _, seconds in times if seconds is not None]
        missing = sorted({" ".join(filter(None, (cell.kind, cell.attack))) for cell, time in times if time is None})
        if not known:
            return "time left unknown" if missing else "done"
        words = duration(max(sum(known) / workers, max(known)))
        listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        return f"at least {words} left (not measured yet: {listed})" if missing else f"about {words} left"


def _likeness(cell: Cell) -> list[tuple[str, ...]]:
    attack = f"{cell.attack} {cell.norm:g}"
    return [(cell.kind, attack, cell.dataset, cell.model), (cell.kind, attack, cell.dataset)]


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(12.3), duration(90), duration(5400)
    ('13 s', '2 min', '1.5 h')
    """
    if seconds < 60:
        return f"{int(seconds) + (seconds % 1 > 0)} s"
    minutes = -(-seconds // 60)
    return f"{minutes:.0f} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


class Progress:
    """A bar over the cells of a sweep.

    :param cells: all of them.
    :param finished: addresses of those that are there already.
    :param durations: seconds of those that were measured.
    :param workers: how many cells are computed at once.
    :param verbose: whether it is shown.
    """

    def __init__(
        self, cells: Mapping[str, Cell], finished: set[str], durations: Mapping[str, float], workers: int, verbose: bool
    ) -> None:
        self.left = {address: cell for address, cell in cells.items() if address not in finished}
        self.workers = max(workers, 1)
        self.expected = Expectation()
        for address in cells.keys() & durations.keys():
            self.expected.learn(cells[address], durations[address])
        self.bar: Any = tqdm(
            total=len(cells), initial=len(finished), disable=not verbose, unit="cell",
            bar_format="{desc}: {n_fmt}/{total_fmt} cells |{bar}| {elapsed} gone{postfix}",
        )  # fmt: skip

    def __enter__(self) -> Progress:
        self._show("sweep")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def done(self, cell: Cell, seconds: float | None) -> None:
        """One more; ``None`` for a cell that failed or cannot be computed."""
        if seconds is not None:
            self.expected.learn(cell, seconds)
        self.left.pop(cell.address, None)
        self.bar.update()
        self._show(cell.kind)

    @property
    def text(self) -> str:
        """The time that is left, in words."""
        return self.expected.remaining(self.left.values(), self.workers)

    def _show(self, what: str) -> None:
        if not self.bar.disable:
            self.bar.set_description_str(what, refresh=False)
            self.bar.set_postfix_str(self.text)
