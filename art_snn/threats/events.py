r"""Budgets on raw event streams: what was inserted, deleted, flipped and shifted, counted from the two streams alone.

A stream is a structured array with the fields ``t`` (microseconds), ``x``, ``y`` and ``p`` (0 or 1). The edits that
turn one stream into the other are found pixel by pixel: equal events cancel; of the rest, events of one time and pixel
but another polarity are flips; events of one pixel and polarity, at most :math:`\Delta t` apart, are shifts (as many as
can be paired); what remains was inserted or deleted. The *edit distance* is insertions + deletions + 2 flips; shifts
are counted apart. The edits found do turn one stream into the other, so a stream that is accepted is inside the budget;
where flips and shifts compete for the same events, a cheaper account may exist.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from art_snn.errors import explain
from art_snn.threats.base import ThreatModel

Events = np.ndarray[Any, np.dtype[Any]]
_FIELDS = ("t", "x", "y", "p")


@dataclass(frozen=True)
class Edits:
    """How one stream becomes another: places in the clean stream, and places in the changed one for what is new."""

    deleted: list[int]
    inserted: list[int]
    flipped: list[int]
    shifted: list[tuple[int, int]]

    @property
    def distance(self) -> int:
        """Insertions + deletions + 2 flips."""
        return len(self.inserted) + len(self.deleted) + 2 * len(self.flipped)


def edits(clean: Events, changed: Events, delta_t: float = 0.0, flips: float = math.inf) -> Edits:
    """The edits between two streams; see the module's text.

    :param delta_t: largest shift, in microseconds.
    :param flips: how many pairs may count as flips; more are a deletion and an insertion each.

    >>> kind = [("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i1")]
    >>> one, two = np.array([(10, 0, 0, 1)], kind), np.array([(12, 0, 0, 1), (20, 3, 3, 0)], kind)
    >>> edits(one, two, delta_t=5)
    Edits(deleted=[], inserted=[1], flipped=[], shifted=[(0, 0)])
    """
    left, right = _unequal(clean, changed)
    flipped: list[int] = []
    waiting = defaultdict(list)
    for j in right:
        t, x, y, p = _event(changed, j)
        waiting[t, x, y, 1 - p].append(j)
    if flips > 0:
        for i in left:
            partners = waiting[_event(clean, i)]
            if partners and len(flipped) < flips:
                right.remove(partners.pop())
                flipped.append(i)
    left = sorted(set(left) - set(flipped))
    shifted = _shifts(clean, changed, left, right, delta_t) if delta_t > 0 else []
    left = sorted(set(left) - {i for i, _ in shifted})
    right = sorted(set(right) - {j for _, j in shifted})
    return Edits(left, right, flipped, shifted)


class EventBudget(ThreatModel):
    """How many events may be inserted, deleted, flipped and shifted, and what a legal stream is.

    Streams come one by one or in a list; answers have one entry per stream.

    :param insert: number of events that may be new; ``math.inf`` for no limit. So with ``delete`` and ``flip``
        (another polarity) and ``shift`` (another time).
    :param delta_t: largest shift of one event, in microseconds.
    :param size: ``(H, W)`` of the sensor.
    :param refractory: least time between two events of a pixel, in microseconds; gaps that the clean stream already
        falls short of are not counted against the changed one.
    :param rate: largest mean number of events per second, over the duration of the clean stream, or its own rate where
        that is higher.
    :raises ValueError: if a number is negative, or the sensor has no pixels.

    >>> kind = [("t", "i8"), ("x", "i4"), ("y", "i4"), ("p", "i1")]
    >>> one, two = np.array([(10, 0, 0, 1)], kind), np.array([(12, 0, 0, 1), (20, 3, 3, 0)], kind)
    >>> EventBudget(insert=1, shift=1, delta_t=5, size=(4, 4)).contains(one, two).tolist()
    [True]
    """

    def __init__(
        self, insert: float = 0, delete: float = 0, flip: float = 0, shift: float = 0, delta_t: float = 0.0, *,
        size: tuple[int, int], refractory: float = 0.0, rate: float = math.inf,
    ) -> None:  # fmt: skip
        numbers = {"insert": insert, "delete": delete, "flip": flip, "shift": shift, "delta_t": delta_t}
        for name, value in {**numbers, "refractory": refractory, "rate": rate}.items():
            if not float(value) >= 0:
                raise ValueError(explain(f"{name}={value!r}", "0 or more", f"EventBudget({name}=0, size=(34, 34))"))
        if len(size) != 2 or min(size) < 1:
            raise ValueError(explain(f"size={size!r}", "(H, W) of the sensor", "size=(34, 34)"))
        self.insert, self.delete, self.flip, self.shift = insert, delete, flip, shift
        self.delta_t, self.size, self.refractory, self.rate = delta_t, size, refractory, rate

    @property
    def is_zero(self) -> bool:
        """Whether no event may change."""
        return self.insert == self.delete == self.flip == 0 and (self.shift == 0 or self.delta_t == 0)

    def edits(self, clean: Events, changed: Events) -> Edits:
        """The edits between two streams, as this budget counts them."""
        return edits(clean, changed, self.delta_t if self.shift else 0.0, self.flip)

    def usage(self, x: Any, x_adv: Any) -> dict[str, Any]:
        """Insertions, deletions, flips, shifts, longest shift in microseconds and edit distance, each ``[N]``.

        :raises ValueError: if something is no stream, or the numbers of streams differ.
        """
        rows: dict[str, list[float]] = defaultdict(list)
        for clean, changed in _pairs(x, x_adv):
            found = self.edits(clean, changed)
            moved = [abs(int(changed["t"][j]) - int(clean["t"][i])) for i, j in found.shifted]
            for name, value in (
                ("insert", len(found.inserted)), ("delete", len(found.deleted)), ("flip", len(found.flipped)),
                ("shift", len(moved)), ("delta_t", max(moved, default=0)), ("distance", found.distance),
            ):  # fmt: skip
                rows[name].append(value)
        return {name: np.array(values, dtype=np.float64) for name, values in rows.items()}

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether each stream is sorted, in the sensor, slow enough and inside the budget, bool ``[N]``.

        :raises ValueError: if something is no stream, or the numbers of streams differ.
        """
        return np.array([self._holds(clean, changed) for clean, changed in _pairs(x, x_adv)], dtype=bool)

    def _holds(self, clean: Events, changed: Events) -> bool:
        if not self.legal(changed) or short_gaps(changed, self.refractory) > short_gaps(clean, self.refractory):
            return False
        found = self.edits(clean, changed)
        counts = (len(found.inserted), len(found.deleted), len(found.flipped), len(found.shifted))
        limits = (self.insert, self.delete, self.flip, self.shift)
        few = all(count <= limit for count, limit in zip(counts, limits, strict=True))
        return few and len(changed) <= self._most_events(clean)

    def legal(self, events: Events) -> bool:
        """Whether a stream is sorted in time, inside the sensor, and of polarity 0 and 1."""
        height, width = self.size
        inside = (events["x"] >= 0) & (events["x"] < width) & (events["y"] >= 0) & (events["y"] < height)
        polar = (events["p"] == 0) | (events["p"] == 1)
        return bool((inside & polar).all() and (np.diff(events["t"].astype(np.int64)) >= 0).all())

    def project(self, x: Any, x_adv: Any) -> Any:
        """Undo the edits that are too many (the latest first), illegal, or too soon after another event of a pixel.

        :return: a stream, or a list of streams, as ``x`` is.
        :raises ValueError: if something is no stream, or the numbers of streams differ.
        """
        streams = [self._undo(clean, changed) for clean, changed in _pairs(x, x_adv)]
        return streams[0] if isinstance(x, np.ndarray) else streams

    def _undo(self, clean: Events, changed: Events) -> Events:
        changed = changed[[self.legal(changed[i : i + 1]) for i in range(len(changed))]]
        changed = changed[np.argsort(changed["t"], kind="stable")]
        found = self.edits(clean, changed)
        result = clean.copy()
        flipped = found.flipped[: _limit(self.flip)]
        result["p"][flipped] = 1 - result["p"][flipped]
        for i, j in found.shifted[: _limit(self.shift)]:
            result["t"][i] = changed["t"][j]
            if short_gaps(result, self.refractory) > short_gaps(clean, self.refractory):
                result["t"][i] = clean["t"][i]
        result = np.delete(result, found.deleted[: _limit(self.delete)])
        for j in found.inserted[: _limit(self.insert)]:
            more = np.append(result, changed[j : j + 1])
            fits = short_gaps(more, self.refractory) <= short_gaps(clean, self.refractory)
            if fits and len(more) <= self._most_events(clean):
                result = more
        return result[np.argsort(result["t"], kind="stable")]

    def _most_events(self, clean: Events) -> float:
        if len(clean) == 0 or math.isinf(self.rate):
            return math.inf
        seconds = float(clean["t"].max() - clean["t"].min()) / 1e6
        return max(self.rate * seconds, float(len(clean)))

    def __repr__(self) -> str:
        counts = {"insert": self.insert, "delete": self.delete, "flip": self.flip}
        parts = [f"{name} {value:g}" for name, value in counts.items() if value]
        parts += [f"shift {self.shift:g} by {self.delta_t:g} us"] if self.shift else []
        parts += [f"refractory {self.refractory:g} us"] if self.refractory else []
        parts += [] if math.isinf(self.rate) else [f"{self.rate:g} events/s"]
        return f"EventBudget({', '.join([*parts, f'sensor {self.size[0]} x {self.size[1]}'])})"


def short_gaps(events: Events, refractory: float) -> int:
    """Number of events that follow another event of their pixel in less than ``refractory`` microseconds."""
    if refractory <= 0 or len(events) < 2:
        return 0
    order = np.lexsort((events["t"], events["x"], events["y"]))
    ordered = events[order]
    same = (np.diff(ordered["x"].astype(np.int64)) == 0) & (np.diff(ordered["y"].astype(np.int64)) == 0)
    gaps = np.diff(ordered["t"].astype(np.float64))
    return int((same & (gaps < refractory)).sum())


def _unequal(clean: Events, changed: Events) -> tuple[list[int], list[int]]:
    """Places of the events that the other stream does not have, with their multiplicity."""
    places = defaultdict(list)
    for i in range(len(clean)):
        places[_event(clean, i)].append(i)
    new = []
    for j in range(len(changed)):
        partners = places[_event(changed, j)]
        if partners:
            partners.pop()
        else:
            new.append(j)
    return sorted(i for rest in places.values() for i in rest), new


def _shifts(clean: Events, changed: Events, left: list[int], right: list[int], delta_t: float) -> list[tuple[int, int]]:
    """As many pairs of one pixel and polarity at most ``delta_t`` apart as there are: earliest with earliest."""
    sources: defaultdict[Any, list[int]] = defaultdict(list)
    goals: defaultdict[Any, list[int]] = defaultdict(list)
    for events, places, lines in ((clean, left, sources), (changed, right, goals)):
        for i in sorted(places, key=lambda i: int(events["t"][i])):
            lines[_event(events, i)[1:]].append(i)
    pairs = []
    for line, waiting in sources.items():
        targets = goals[line]
        a = b = 0
        while a < len(waiting) and b < len(targets):
            apart = int(changed["t"][targets[b]]) - int(clean["t"][waiting[a]])
            if abs(apart) <= delta_t:
                pairs.append((waiting[a], targets[b]))
            a, b = a + (apart >= -delta_t), b + (apart <= delta_t)
    return sorted(pairs)


def _event(events: Events, i: int) -> tuple[int, int, int, int]:
    t, x, y, p = (int(events[name][i]) for name in _FIELDS)
    return t, x, y, p


def _limit(count: float) -> int | None:
    return None if math.isinf(count) else int(count)


def _pairs(x: Any, x_adv: Any) -> list[tuple[Events, Events]]:
    clean, changed = ([one] if isinstance(one, np.ndarray) and one.dtype.names else one for one in (x, x_adv))
    _check(clean)
    _check(changed)
    if len(clean) != len(changed):
        came = f"{len(clean)} clean and {len(changed)} changed streams"
        raise ValueError(explain(came, "as many of one as of the other", "pass the streams in the same order"))
    return list(zip(clean, changed, strict=True))


def _check(streams: Sequence[Any]) -> None:
    for events in streams:
        names = getattr(getattr(events, "dtype", None), "names", None)
        if names is None or not set(_FIELDS) <= set(names):
            came = f"{type(events).__name__} with fields {names}"
            fix = "pass structured arrays with the fields t, x, y and p"
            raise ValueError(explain(came, f"event streams with fields {_FIELDS}", fix))
