r"""How far a spike train was retimed, from the clean and the changed lines alone.

Lines are ``[T, L]``; every non-zero cell is a packet, and a retiming keeps the multiset of values of each line. With
cumulative counts C, for lines of equal packets:

.. math::
   B_\infty \le D &\iff C_x(t - D) \le C_{x'}(t) \le C_x(t + D) \text{ for all } t \\
   B_1 &= \sum_t |C_x(t) - C_{x'}(t)|, \qquad B_0 = \tfrac12 \sum_t |x_t - x'_t| \\
   \text{causal} &\iff C_{x'}(t) \le C_x(t) \text{ for all } t

Matching the packets in order of time attains the first two together, so that is how they are measured here; packets of
several values are matched value by value. A jitter D and :math:`B_0` are *not* separable: a block shifted by one step
has :math:`B_\infty = 1` with every spike moved, or :math:`B_0 = 1` with one long move. The fewest moves under a jitter
of D leave a largest set S of spikes in place for which

.. math:: |S \cap (t - D, t]| \le \min\bigl(C_{x'}(t) - C_x(t - D),\; C_x(t) - C_{x'}(t - D)\bigr)
          \text{ for all } t,

found greedily in order of time. The spikes outside S, matched in order, attain :math:`B_1` as well, and are delays
alone where the lines are causal: all budgets hold at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Displacement:
    """What it takes to turn one line into the other, each ``[L]``.

    ``conserved``: the packets are the same. ``jitter``: largest displacement in steps. ``delay``: sum of displacements.
    ``moves``: packets that must move, within the jitter asked for. ``delayed``: no packet comes earlier. Lines that are
    not conserved have no displacement; theirs is 0.
    """

    conserved: Tensor
    jitter: Tensor
    delay: Tensor
    moves: Tensor
    delayed: Tensor


def displacement(x: Tensor, x_adv: Tensor, jitter: int | None = None) -> Displacement:
    """Measure every line.

    :param x: clean lines ``[T, L]``.
    :param x_adv: changed lines ``[T, L]``.
    :param jitter: D, within which ``moves`` is the fewest; ``None``: any distance. Lines that exceed it count the
        packets that are out of place.

    >>> x, shifted = torch.tensor([[1], [1], [0]]), torch.tensor([[0], [1], [1]])
    >>> displacement(x, shifted).moves.tolist(), displacement(x, shifted, jitter=1).moves.tolist()
    ([1], [2])
    """
    lines = x.shape[1]
    changed = (x != x_adv).any(0)
    conserved = ~changed
    where = changed.nonzero()[:, 0]
    conserved[where] = (x[:, where].sort(0).values == x_adv[:, where].sort(0).values).all(0)
    where = (changed & conserved).nonzero()[:, 0]
    line, before, value = _packets(x[:, where])
    _, after, _ = _packets(x_adv[:, where])
    shift = after - before
    home = where[line]
    zero = torch.zeros(lines, dtype=torch.long, device=x.device)
    moves = (x_adv != x).logical_and(x != 0).sum(0) * conserved
    largest = zero.scatter_reduce(0, home, shift.abs(), "amax")
    if jitter is not None and 0 < jitter < len(x) - 1:
        rows, row = torch.unique(torch.stack([line.double(), value.double()], 1), dim=0, return_inverse=True)
        one, other = (_spread(len(x), len(rows), row, times) for times in (before, after))
        needed = one.sum(0) - stayed(one, other, jitter)
        within = zero.scatter_add(0, where[rows[:, 0].long()], needed)
        moves = torch.where(conserved & changed & (largest <= jitter), within, moves)
    return Displacement(
        conserved=conserved, jitter=largest, delay=zero.scatter_add(0, home, shift.abs()), moves=moves,
        delayed=zero.scatter_reduce(0, home, (shift < 0).long(), "amax") == 0,
    )  # fmt: skip


def stayed(x: Tensor, x_adv: Tensor, jitter: int) -> Tensor:
    """Most spikes that can stay in place while the others move at most ``jitter`` steps; binary lines ``[T, L]``.

    Both lines have equally many spikes and are at most ``jitter`` apart.

    >>> stayed(torch.tensor([[1], [1], [0]]), torch.tensor([[0], [1], [1]]), 1).tolist()
    [0]
    """
    T = len(x)
    before, after = (_cumulative(lines, jitter) for lines in (x, x_adv))
    room = torch.minimum(after[jitter:] - before[:-jitter], before[jitter:] - after[:-jitter])
    common = (x != 0) & (x_adv != 0)
    total = torch.zeros(x.shape[1], dtype=torch.long, device=x.device)
    for t in range(T):
        stays = common[t] & (room[t : t + jitter].amin(0) >= 1)
        room[t : t + jitter] -= stays.long()
        total += stays
    return total


def _cumulative(x: Tensor, jitter: int) -> Tensor:
    """C(t) for t from 1 - D to T + D - 1, ``[T + 2 D - 1, L]``."""
    count = (x != 0).long().cumsum(0)
    before = torch.zeros_like(count[:1]).expand(jitter, -1)
    return torch.cat([before, count, count[-1:].expand(jitter - 1, -1)])


def _packets(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Line, time and value of every packet, in order of line, value and time."""
    line, time = x.t().nonzero(as_tuple=True)
    value = x[time, line]
    order = torch.argsort(value, stable=True)
    order = order[torch.argsort(line[order], stable=True)]
    return line[order], time[order], value[order]


def _spread(T: int, lines: int, line: Tensor, time: Tensor) -> Tensor:
    out = torch.zeros((T, lines), dtype=torch.long, device=line.device)
    out[time, line] = 1
    return out
