"""From many flips to few: drop what is not needed from a change that already fools the model.

A change is a tensor of +1, -1 and 0 added to one clean grid. Both routines only ever return a change that still fools.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Fools = Callable[[Tensor], Tensor]
"""Changes ``[m, *]`` to whether each of them fools the model, bool ``[m]``."""


def without_the_weakest(change: Tensor, worth: Tensor, fools: Fools) -> Tensor:
    """Undo the longest run of least useful flips whose absence still fools, by bisection on its length.

    :param change: a change ``[*]`` that fools.
    :param worth: usefulness of each flip, ``[*]``.
    :param fools: the judge.

    Bisection takes for granted that fewer flips fool less; where that is wrong, the result is longer than it must be.
    """
    used = change.flatten().nonzero()[:, 0]
    order = used[worth.flatten()[used].argsort(stable=True)]
    low, high, best = 0, len(order) - 1, change
    while low < high:
        middle = (low + high + 1) // 2
        shorter = change.clone()
        shorter.view(-1)[order[:middle]] = 0
        if bool(fools(shorter[None])[0]):
            low, best = middle, shorter
        else:
            high = middle - 1
    return best


def without_the_needless(change: Tensor, worth: Tensor, fools: Fools) -> Tensor:
    """Undo single flips, the least useful first, until each one that is left is needed.

    >>> change = torch.tensor([1.0, -1.0, 1.0])
    >>> without_the_needless(change, torch.ones(3), lambda some: some[:, 1] != 0).tolist()
    [0.0, -1.0, 0.0]
    """
    change = change.clone()
    while True:
        used = change.flatten().nonzero()[:, 0]
        if len(used) < 2:
            return change
        order = used[worth.flatten()[used].argsort(stable=True)]
        trials = change.flatten().repeat(len(order), 1)
        trials[torch.arange(len(order)), order] = 0
        needless = fools(trials.view(-1, *change.shape)).nonzero()[:, 0]
        if len(needless) == 0:
            return change
        change.view(-1)[order[needless[0]]] = 0


def shortest_prefix(change: Tensor, worth: Tensor, fools: Fools, chunk: int = 64) -> Tensor | None:
    """The fewest of the most useful flips that fool, applied in order of their worth; ``None`` if none do.

    >>> change = torch.tensor([1.0, -1.0, 1.0])
    >>> shortest_prefix(change, torch.tensor([3.0, 2.0, 1.0]), lambda some: some[:, 1] != 0).tolist()
    [1.0, -1.0, 0.0]
    """
    used = change.flatten().nonzero()[:, 0]
    order = used[worth.flatten()[used].argsort(descending=True, stable=True)]
    for start in range(0, len(order), chunk):
        stops = range(start + 1, min(start + chunk, len(order)) + 1)
        trials = torch.zeros(len(stops), change.numel()).to(change)
        for row, stop in enumerate(stops):
            trials[row, order[:stop]] = change.flatten()[order[:stop]]
        hits = fools(trials.view(-1, *change.shape)).nonzero()[:, 0]
        if len(hits):
            return trials[hits[0]].view_as(change)
    return None
