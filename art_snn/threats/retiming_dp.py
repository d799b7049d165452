r"""The best retiming of a spike train under a linear objective: an exact dynamic program, all lines at once.

A *line* is the train :math:`x_1..x_T` of one sample, channel and pixel; its non-zero cells are packets. With gains
:math:`m_t`, cumulative counts :math:`C_x(t)` and K packets, the *count form* maximizes
:math:`\sum_t m_t x'_t - \lambda_1 B_1 - \lambda_0 B_0` over all count-preserving binary :math:`x'`:

.. math:: V_t(k) = \max\bigl(V_{t-1}(k),\; V_{t-1}(k-1) + m_t - \lambda_0 (1 - x_t)\bigr) - \lambda_1 |C_x(t) - k|,

with :math:`C_x(t-D) \le k \le C_x(t+D)` under a jitter of D steps, :math:`k \le C_x(t)` for causal moves, and
:math:`k = K` at the end. Its :math:`B_0` is the set difference, which says nothing about how far a spike went. The
*order form* moves the k-th packet, of time :math:`\tau_k` and value :math:`a_k`, explicitly:

.. math:: V_t(k) = \max\bigl(V_{t-1}(k),\; V_{t-1}(k-1) + m_t a_k - \lambda_0 1[t \ne \tau_k] - \lambda_1 |t -
          \tau_k|\bigr), \qquad |t - \tau_k| \le D.

Its map is legal by construction under every joint budget, and packets keep their values; it is exact among moves that
do not cross. Where a line's packets are equal, the two agree unless :math:`\lambda_0 > 0`. Ties keep the clean spike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_CELLS = 1 << 17
"""States :math:`k \\times` lines that are solved at once: small enough for the cache."""

Bonus = Callable[[int], tuple[Tensor, Tensor]]
"""Time to (value of putting packet k there, whether it is at home there), each ``[K, L]`` or ``[1, L]``."""
Settle = Callable[[int, Tensor], Tensor]
"""Time and values ``[K + 1, L]`` to the values after the costs of that time."""


def best_lines(
    x: Tensor, gain: Tensor, *, jitter: int | None = None, causal: bool = False, move_cost: Tensor | float = 0.0,
    delay_cost: Tensor | float = 0.0, ordered: bool = False,
) -> Tensor:  # fmt: skip
    r"""The best line for the gains, minus what moves cost.

    :param x: lines ``[T, L]``; every non-zero cell is a packet.
    :param gain: value per unit of packet in each cell, ``[T, L]``.
    :param jitter: D, the most steps that a packet may move; ``None``: any.
    :param causal: packets may only be delayed.
    :param move_cost: :math:`\lambda_0 \ge 0`, one number or one per line.
    :param delay_cost: :math:`\lambda_1 \ge 0` per step of displacement, one number or one per line.
    :param ordered: use the order form for every line; lines whose packets differ in value always get it.
    :return: lines ``[T, L]`` in the dtype of ``x``.

    >>> x, gain = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    >>> best_lines(x, gain)[:, 0].tolist(), best_lines(x, gain, jitter=1)[:, 0].tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    >>> best_lines(x, gain, delay_cost=2.0)[:, 0].tolist()
    [1.0, 0.0, 0.0]
    """
    packets = x != 0
    counts = packets.sum(0)
    out = x.clone()
    if jitter == 0:
        return out
    costs = [
        torch.as_tensor(c, dtype=torch.double, device=x.device).expand(x.shape[1]) for c in (move_cost, delay_cost)
    ]
    in_order = (torch.ones_like(counts, dtype=torch.bool) if ordered else uneven(x)) & (counts < len(x))
    in_counts = ~in_order & (counts > 0) & (counts < len(x))
    for form, chosen in ((_count_form, in_counts), (_order_form, in_order & (counts > 0))):
        for lines, most in _bundles(counts, chosen):
            own = [cost.expand(x.shape[1])[lines] for cost in costs]
            out[:, lines] = form(x[:, lines], gain[:, lines].double(), most, jitter, causal, *own)
    return out


def uneven(x: Tensor) -> Tensor:
    """Lines ``[L]`` of ``x [T, L]`` whose packets differ in value.

    >>> uneven(torch.tensor([[0.0, 1.0], [3.0, 0.0], [3.0, 2.0]])).tolist()
    [False, True]
    """
    packets = x != 0
    largest = torch.where(packets, x, -torch.inf).amax(0)
    smallest = torch.where(packets, x, torch.inf).amin(0)
    return smallest < largest


def packet_times(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Times (int64) and values of the first ``most`` packets of each line, ``[most, L]``; time T and value 0 after the
    last.

    >>> packet_times(torch.tensor([[0.0], [2.0], [1.0]]), 3)[0][:, 0].tolist()
    [1, 2, 3]
    """
    T = len(x)
    times = torch.where(x != 0, torch.arange(T, device=x.device)[:, None], T).sort(0).values[:most]
    values = torch.cat([x, torch.zeros_like(x[:1])]).gather(0, times)
    return times, values


def _bundles(counts: Tensor, chosen: Tensor) -> list[tuple[Tensor, int]]:
    """Lines of similar count, in bundles that fit the cache; and the largest count of each."""
    found: list[tuple[Tensor, int]] = []
    most = int(counts[chosen].max()) if bool(chosen.any()) else 0
    low, high = 0, 1
    while low < most:
        lines = (chosen & (counts > low) & (counts <= high)).nonzero()[:, 0]
        if len(lines):
            found += [(piece, int(counts[piece].max())) for piece in lines.split(max(_CELLS // (high + 1), 1))]
        low, high = high, 2 * high
    return found


def _count_form(
    x: Tensor, gain: Tensor, most: int, jitter: int | None, causal: bool, move_cost: Tensor, delay_cost: Tensor
) -> Tensor:
    packets = x != 0
    value = x.abs().amax(0) * torch.where((x > 0).any(0), 1.0, -1.0).to(x)
    count = packets.cumsum(0)
    k = torch.arange(most + 1, device=x.device)[:, None]
    put = gain * value.double() - move_cost * ~packets
    pays = bool((delay_cost != 0).any())
    low, high = _band(count, jitter, causal)

    def bonus(t: int) -> tuple[Tensor, Tensor]:
        return put[t : t + 1], packets[t : t + 1]

    def settle(t: int, values: Tensor) -> Tensor:
        if pays:
            values = values - delay_cost * (count[t] - k).abs()
        if jitter is not None or causal:
            values = values.masked_fill((k < low[t]) | (k > high[t]), -torch.inf)
        return values

    chosen, _ = _solve(len(x), count[-1], most, bonus, settle)
    return chosen.to(x) * value


def _band(count: Tensor, jitter: int | None, causal: bool) -> tuple[Tensor, Tensor]:
    """Least and largest cumulative count at each time, ``[T, L]``."""
    T, reach = len(count), len(count) if jitter is None else min(jitter, len(count))
    none = torch.zeros_like(count[:1])
    low = torch.cat([none.expand(reach, -1), count])[:T]
    if causal:
        return low, count
    return low, torch.cat([count, count[-1:].expand(reach, -1)])[reach:]


def _order_form(
    x: Tensor, gain: Tensor, most: int, jitter: int | None, causal: bool, move_cost: Tensor, delay_cost: Tensor
) -> Tensor:
    times, values = packet_times(x, most)
    weights = values.double()

    def bonus(t: int) -> tuple[Tensor, Tensor]:
        away = t - times
        home = away == 0
        put = gain[t] * weights - move_cost * ~home - delay_cost * away.abs()
        if jitter is not None:
            put = put.masked_fill(away.abs() > jitter, -torch.inf)
        if causal:
            put = put.masked_fill(away < 0, -torch.inf)
        return put, home

    chosen, rank = _solve(len(x), (times < len(x)).sum(0), most, bonus, lambda _, values: values)
    return torch.where(chosen, values.gather(0, rank), torch.zeros_like(x))


def _solve(T: int, count: Tensor, most: int, bonus: Bonus, settle: Settle) -> tuple[Tensor, Tensor]:
    """Forward over time, then back from ``count``: chosen cells, and the number of the packet in each, ``[T, L]``."""
    lines = len(count)
    value = torch.full((most + 1, lines), -torch.inf, dtype=torch.double, device=count.device)
    value[0] = 0.0
    picks = torch.zeros((T, most + 1, lines), dtype=torch.bool, device=count.device)
    for t in range(T):
        gained, home = bonus(t)
        put = value[:-1] + gained
        torch.logical_or(put > value[1:], home & (put == value[1:]), out=picks[t, 1:])
        value[1:] = torch.maximum(put, value[1:])
        value = settle(t, value)
    chosen = torch.zeros((T, lines), dtype=torch.bool, device=count.device)
    rank = torch.zeros((T, lines), dtype=torch.long, device=count.device)
    k = count.clone()
    for t in reversed(range(T)):
        chosen[t] = picks[t].gather(0, k[None])[0]
        rank[t] = (k - 1).clamp(min=0)
        k -= chosen[t].long()
    return chosen, rank
