r"""The best retiming under whole-number budgets of a sample, without a price: exact, for small problems.

The dynamic program of :mod:`art_snn.threats.retiming_dp` with what has been spent as a part of its state: with
:math:`r = (\text{moves}, \text{delay})`, :math:`V_t(k, r)` is the best value of a line that has put k packets by time t
and spent at most r. Its last row is the line's profile :math:`G_l(r) = V_T(K, r)`, and a knapsack joins the lines,

.. math:: F_l(r) = \max_{q \le r} F_{l-1}(r - q) + G_l(q).

Time and memory grow with the number of budgets' values, :math:`R = (\text{moves} + 1)(\text{delay} + 1)`, where a price
costs nothing; hence the limit on size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.threats.retiming_dp import packet_times


class Spending:
    """Every pair of (moves, delay) up to the budgets, as one axis of R places.

    :param moves: most moves, or ``None`` if they are free.
    :param delay: most steps in all, or ``None`` if they are free.
    """

    def __init__(self, moves: int | None, delay: int | None, device: torch.device) -> None:
        self.priced = (moves is not None, delay is not None)
        self.wide = 1 if delay is None else delay + 1
        self.size = (1 if moves is None else moves + 1) * self.wide
        self.place = torch.arange(self.size, device=device)

    def cost(self, moves: Tensor, delay: Tensor) -> Tensor:
        """Moves and steps packed into one number, without those that are free."""
        return moves.long() * self.wide * self.priced[0] + delay.long() * self.priced[1]

    def spend(self, value: Tensor, moves: Tensor, delay: Tensor) -> Tensor:
        """``value [k, R, L]`` after spending ``moves`` and ``delay``, ``[k, L]`` each; -inf beyond the budget."""
        moves = moves.long()[:, None] * self.priced[0]
        delay = delay.long()[:, None] * self.priced[1]
        r = self.place[None, :, None]
        left, short = r - moves * self.wide - delay, (r % self.wide < delay) | (r // self.wide < moves)
        taken = value.gather(1, left.clamp(min=0).expand(value.shape))
        return taken.masked_fill(short, -torch.inf)


def profiles(
    x: Tensor, gain: Tensor, moves: int | None, delay: int | None, *, jitter: int | None, causal: bool, ordered: bool
) -> tuple[Tensor, Tensor]:
    """Best gain of each line for each spending, and the trains that reach it: ``[R, L]`` and ``[T, R, L]``.

    :param x: lines ``[T, L]``, each of equal packets unless ``ordered``.
    :param gain: value per unit of packet in each cell.
    :param ordered: count moves packet by packet (see the order form), as the jitter needs.
    """
    spending = Spending(moves, delay, x.device)
    packets = x != 0
    count = packets.cumsum(0)
    most = int(count[-1].max())
    times, values = packet_times(x, most)
    T, lines = x.shape
    value = torch.full((most + 1, spending.size, lines), -torch.inf, dtype=torch.double, device=x.device)
    value[0] = 0.0
    picks = torch.zeros((T, *value.shape), dtype=torch.bool, device=x.device)
    k = torch.arange(most + 1, device=x.device)[:, None]
    nothing = torch.zeros_like(times)
    for t in range(T):
        away = t - times
        home = away == 0 if ordered else packets[t].expand_as(away)
        put = spending.spend(value[:-1], ~home, away.abs() if ordered else nothing)
        put = put + (gain[t] * values.double())[:, None]
        put = put.masked_fill(_forbidden(away, jitter, causal)[:, None], -torch.inf)
        picks[t, 1:] = (put > value[1:]) | (home[:, None] & (put == value[1:]))
        value[1:] = torch.maximum(put, value[1:])
        if not ordered:
            off = (count[t] - k).abs()
            value = spending.spend(value, torch.zeros_like(off), off)
    return _last(value, count[-1]), _trace(x, picks, times, values, count, spending, ordered)


def _forbidden(away: Tensor, jitter: int | None, causal: bool) -> Tensor:
    """Where a packet may not go, in order of time."""
    out = torch.zeros_like(away, dtype=torch.bool)
    if jitter is not None:
        out |= away.abs() > jitter
    if causal:
        out |= away < 0
    return out


def _last(value: Tensor, count: Tensor) -> Tensor:
    return value.gather(0, count.expand(1, value.shape[1], -1))[0]


def _trace(
    x: Tensor, picks: Tensor, times: Tensor, values: Tensor, count: Tensor, spending: Spending, ordered: bool
) -> Tensor:
    """Back from every spending at the end, ``[T, R, L]``; where a spending is unreachable the trace is arbitrary."""
    T, _, size, lines = picks.shape
    k = count[-1].expand(size, lines).clone()
    r = spending.place[:, None].expand(size, lines).clone()
    line = torch.arange(lines, device=x.device).expand(size, lines)
    out = torch.zeros((T, size, lines), dtype=x.dtype, device=x.device)
    none = torch.zeros_like(k)
    for t in reversed(range(T)):
        if not ordered:
            r = (r - spending.cost(none, (count[t] - k).abs())).clamp(min=0)
        chosen = picks[t][k, r, line]
        rank = (k - 1).clamp(min=0)
        away = t - times[rank, line]
        home = away == 0 if ordered else (x[t] != 0).expand_as(k)
        cost = spending.cost(~home, away.abs() if ordered else none)
        out[t] = torch.where(chosen, values[rank, line], torch.zeros_like(out[t]))
        r = torch.where(chosen, r - cost, r).clamp(min=0)
        k = k - chosen.long()
    return out


def best_spending(profile: Tensor, moves: int | None, delay: int | None) -> Tensor:
    """The spending of each line, ``[n, P]``, whose gains add up to most within the budget of the sample.

    :param profile: gain of each line for each spending, ``[R, n, P]``, which never falls with what is spent.
    """
    spending = Spending(moves, delay, profile.device)
    size, samples, lines = profile.shape
    r, q = spending.place[:, None], spending.place[None]
    wide = spending.wide
    legal = (q % wide <= r % wide) & (q // wide <= r // wide)
    left = (r - q).clamp(min=0)
    total = torch.zeros((samples, size), dtype=torch.double, device=profile.device)
    chosen = torch.zeros((lines, samples, size), dtype=torch.long, device=profile.device)
    for line in range(lines):
        options = total[:, left] + profile[:, :, line].t()[:, None]
        total, chosen[line] = options.masked_fill(~legal, -torch.inf).max(2)
    at = torch.full((samples,), size - 1, device=profile.device)
    spent = torch.zeros((samples, lines), dtype=torch.long, device=profile.device)
    row = torch.arange(samples, device=profile.device)
    for line in reversed(range(lines)):
        spent[:, line] = chosen[line, row, at]
        at = at - spent[:, line]
    return spent
