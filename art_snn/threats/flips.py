r"""Spike flips: at most k cells of a spike grid change, each by one event.

.. math:: x'_i - x_i \in \{-1, 0, 1\}, \qquad x'_i \in \{0, 1, \dots, m\}, \qquad \sum_i |x'_i - x_i| \le k

On binary grids (:math:`m = 1`) this is the Hamming ball; add-only leaves :math:`x' \ge x`, delete-only
:math:`x' \le x`. On count grids (:math:`m = \infty`) to add is one event more in a cell and to delete is one less, and
k counts events. Everything is judged in whole numbers from the two grids alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from art_snn.errors import explain, summary
from art_snn.threats.base import ThreatModel, in_kind_of, paired
from art_snn.threats.projection import largest
from art_snn.trust import is_trusted


class SpikeFlips(ThreatModel):
    """At most ``k`` cells change, each by one event.

    :param k: number of cells, 0 or more; ``math.inf`` for no limit.
    :param add: whether events may be added.
    :param delete: whether events may be deleted.
    :param most: largest number of events in a cell: 1 for binary grids, ``math.inf`` for counts.
    :raises ValueError: if ``k`` is no whole number of 0 or more, ``most`` none of 1 or more, or nothing may change.

    >>> threat = SpikeFlips(1, delete=False)
    >>> x, far = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.6, 1.0, 0.0]])
    >>> threat, threat.project(x, far).tolist(), threat.contains(x, far).tolist()
    (SpikeFlips(1 cell, add), [[0.0, 1.0, 1.0]], [False])
    """

    def __init__(self, k: float, add: bool = True, delete: bool = True, most: float = 1) -> None:
        if not _whole(k, 0):
            raise ValueError(explain(f"k={k!r}", "a whole number of cells, 0 or more, or inf", "SpikeFlips(10)"))
        if not _whole(most, 1):
            fix = "most=1 for binary grids, most=math.inf for counts"
            raise ValueError(explain(f"most={most!r}", "a whole number of events, 1 or more, or inf", fix))
        if not (add or delete):
            raise ValueError(explain("add=False and delete=False", "at least one of them", "SpikeFlips(10, add=True)"))
        self.k = float(k)
        self.add = bool(add)
        self.delete = bool(delete)
        self.most = float(most)

    @property
    def is_zero(self) -> bool:
        """Whether no cell may change."""
        return self.k == 0

    def usage(self, x: Any, x_adv: Any) -> Any:
        """Number of changed cells of each sample, float64 ``[N]``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        return in_kind_of(x, (point != clean).flatten(1).sum(1).double())

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether both grids are legal and differ in at most ``k`` allowed single events, bool ``[N]``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        change = (point - clean).flatten(1)
        legal = self.legal(clean) & self.legal(point) & (change.abs() <= 1).all(1)
        allowed = ((change <= 0) | self.add).all(1) & ((change >= 0) | self.delete).all(1)
        return in_kind_of(x, legal & allowed & ((change != 0).sum(1) <= self.k))

    def legal(self, x: Tensor) -> Tensor:
        """Whether each grid holds whole numbers of events from 0 to ``most``, bool ``[N]``."""
        rows = x.flatten(1)
        return (torch.isfinite(rows) & (rows == rows.round()) & (rows >= 0) & (rows <= self.most)).all(1)

    def moves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Where an event can be added, and where one can be deleted, both of the shape of ``x``."""
        return (x < self.most) & self.add, (x >= 1) & self.delete

    def project(self, x: Any, x_adv: Any) -> Any:
        """The nearest legal grid: changes of half an event or more, the ``k`` largest of them, the first among equals.

        :raises ValueError: if the shapes differ, or ``x`` itself is no legal grid.
        """
        clean, point = paired(x, x_adv)
        self.check(clean)
        change = point - clean
        up, down = self.moves(clean)
        size = torch.where(((change > 0) & up) | ((change < 0) & down), change.abs(), 0.0).flatten(1)
        kept = largest(torch.where(size >= 0.5, size, 0.0), self.k).view_as(clean)
        moved = clean + torch.where(kept, change.sign(), 0.0)
        return in_kind_of(x, moved.to(torch.as_tensor(x).dtype))

    def check(self, x: Tensor) -> None:
        """Refuse a grid that holds anything but whole numbers of events.

        :raises ValueError: naming what came.
        """
        if is_trusted() or bool(self.legal(x).all()):
            return
        counts = bool(SpikeFlips(0, most=math.inf).legal(x).all())
        grid = "a binary grid" if self.most == 1 else f"whole numbers from 0 to {self.most:g}"
        fix = "pass most=math.inf for counts" if counts else "binarize the grid, or attack the spikes: at_spikes()"
        raise ValueError(explain(summary(x), grid, fix))

    def __repr__(self) -> str:
        kind = "flip" if self.add and self.delete else "add" if self.add else "delete"
        unit = "cell" if self.k == 1 else "cells"
        most = "" if self.most == 1 else f", up to {self.most:g} events in a cell"
        return f"SpikeFlips({self.k:g} {unit}, {kind}{most})"


def _whole(value: float, least: float) -> bool:
    number = float(value)
    return not isinstance(value, bool) and number >= least and (number == math.inf or number == int(number))
