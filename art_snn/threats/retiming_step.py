r"""The linear step of retiming under the budgets of whole samples.

.. math:: \max_{x'} \sum m \cdot x' \quad \text{over retimings with} \quad
          B_\infty \le D,\; B_1 \le \text{delay},\; B_0 \le \text{moves}

* A jitter binds each line by itself: one run of :mod:`art_snn.threats.retiming_dp`, exact.
* Moves alone, packets of equal value in each line: swap the worst spikes for the best empty cells, the pairs of all
  lines in one ranking; exact.
* Small problems: :mod:`art_snn.threats.retiming_exact`, exact for the count or order form of the moves.
* Otherwise a price per unit of budget, :math:`\lambda (B_0/\text{moves} + B_1/\text{delay})`, is bisected for each
  sample until the total fits; a line whose cost is the same at both ends of the bracket is settled. What is left of the
  budget goes to the lines that still differ, in the order of gain per cost. The result fits; under one such budget it
  misses less than the gain of one line.

Where a jitter and moves bind together, packets are taken in order (the order form): the best of all moves that do not
cross, which the certificate may price lower.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from art_snn.threats.retiming_certificates import displacement
from art_snn.threats.retiming_dp import best_lines, packet_times, uneven
from art_snn.threats.retiming_exact import best_spending, profiles

_BISECTIONS = 18
_CHUNK = 8_000_000
_SMALL = 400_000
"""States of the exact program for a sample, beyond which budgets get a price."""


@dataclass(frozen=True)
class Budgets:
    """What a retiming may do: steps per packet, steps and packets per sample; ``None``: any number."""

    jitter: int | None = None
    delay: int | None = None
    moves: int | None = None
    causal: bool = False


def linear_step(x: Tensor, gain: Tensor, budgets: Budgets) -> Tensor:
    """The retiming of largest gain.

    :param x: clean trains ``[N, T, *]``.
    :param gain: value per unit of packet in each cell, of the same shape.
    :param budgets: what is allowed, jointly.
    :return: trains of the shape and dtype of ``x``.

    >>> x = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    >>> gain = torch.tensor([[[0.0, 0.0], [1.0, 2.0]]])
    >>> linear_step(x, gain, Budgets(jitter=1)).tolist()
    [[[0.0, 0.0], [1.0, 1.0]]]
    >>> linear_step(x, gain, Budgets(jitter=1, moves=1)).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """
    lines, worth = to_lines(x), to_lines(gain).double()
    counts = (lines != 0).sum(0)
    movable = bool(((counts > 0) & (counts < len(lines))).any())
    if 0 in (budgets.jitter, budgets.delay, budgets.moves) or not movable:
        return x.clone()
    if budgets.delay is None and budgets.moves is None:
        best = best_lines(lines, worth, jitter=budgets.jitter, causal=budgets.causal)
    elif _swaps_suffice(lines, budgets):
        best = _best_swaps(lines, worth, len(x), int(budgets.moves or 0))
    elif _states(lines, len(x), budgets) <= _SMALL:
        best = _best_spending(lines, worth, len(x), budgets)
    else:
        best = _Priced(lines, worth, len(x), budgets).solve()
    return from_lines(best, x)


def to_lines(x: Tensor) -> Tensor:
    """``[N, T, *]`` to ``[T, L]``, the lines of a sample side by side.

    >>> to_lines(torch.zeros(2, 5, 3, 4)).shape
    torch.Size([5, 24])
    """
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def from_lines(lines: Tensor, like: Tensor) -> Tensor:
    """``[T, L]`` back to the shape of ``like [N, T, *]``."""
    return lines.view(like.shape[1], like.shape[0], *like.shape[2:]).transpose(0, 1).contiguous()


def _swaps_suffice(x: Tensor, budgets: Budgets) -> bool:
    free = budgets.delay is None and budgets.jitter is None and not budgets.causal
    return free and not bool(uneven(x).any())


def _best_swaps(x: Tensor, gain: Tensor, samples: int, moves: int) -> Tensor:
    """Trade the worst spikes of each line for its best empty cells, the ``moves`` best trades of each sample."""
    packets = x != 0
    counts = packets.sum(0)
    value = torch.where(packets, x, 0.0).sum(0) / counts.clamp(min=1)
    worth = gain * value
    leaves = torch.where(packets, worth, torch.inf).sort(dim=0, stable=True)
    enters = torch.where(packets, -torch.inf, worth).sort(dim=0, descending=True, stable=True)
    half = max(len(x) // 2, 1)
    trades = (enters.values[:half] - leaves.values[:half]).nan_to_num(nan=-torch.inf)
    ranked = trades.view(half, samples, -1).transpose(0, 1).reshape(samples, -1)
    best, place = ranked.topk(min(moves, ranked.shape[1]), dim=1)
    taken = torch.zeros_like(ranked, dtype=torch.bool).scatter_(1, place, best > 0)
    trades_of_line = taken.view(samples, half, -1).sum(1).reshape(-1)
    swapped = torch.arange(len(x), device=x.device)[:, None] < trades_of_line
    out = x.clone()
    out.scatter_(0, leaves.indices, torch.where(swapped, torch.zeros_like(x), x.gather(0, leaves.indices)))
    filled = torch.where(swapped, value.expand_as(x).to(x), out.gather(0, enters.indices))
    return out.scatter_(0, enters.indices, filled)


def _spendable(x: Tensor, samples: int, budgets: Budgets) -> tuple[int | None, int | None]:
    """Budgets of moves and delay, cut to what a sample could spend at all."""
    packets = (x != 0).sum(0).view(samples, -1).sum(1).max()
    most = int(packets)
    reach = len(x) - 1 if budgets.jitter is None else min(budgets.jitter, len(x) - 1)
    moves = None if budgets.moves is None else min(budgets.moves, most)
    return moves, None if budgets.delay is None else min(budgets.delay, most * reach)


def _states(x: Tensor, samples: int, budgets: Budgets) -> int:
    moves, delay = _spendable(x, samples, budgets)
    spendings = (1 if moves is None else moves + 1) * (1 if delay is None else delay + 1)
    lines = x.shape[1] // samples
    return spendings * lines * max(len(x) * (int((x != 0).sum(0).max()) + 1), spendings)


def _best_spending(x: Tensor, gain: Tensor, samples: int, budgets: Budgets) -> Tensor:
    moves, delay = _spendable(x, samples, budgets)
    ordered = budgets.jitter is not None or bool(uneven(x).any())
    per_sample = x.shape[1] // samples
    out = x.clone()
    for some in torch.arange(samples, device=x.device).split(max(_CHUNK // _states(x, samples, budgets), 1)):
        part = slice(int(some[0]) * per_sample, (int(some[-1]) + 1) * per_sample)
        profile, trains = profiles(
            x[:, part], gain[:, part], moves, delay, jitter=budgets.jitter, causal=budgets.causal, ordered=ordered
        )
        spent = best_spending(profile.view(len(profile), len(some), -1), moves, delay).reshape(1, 1, -1)
        out[:, part] = trains.gather(1, spent.expand(len(x), 1, -1))[:, 0]
    return out


class _Priced:
    """Bisection of one price per sample; ``dear`` fits the budget and ``cheap`` does not, where they differ."""

    def __init__(self, x: Tensor, gain: Tensor, samples: int, budgets: Budgets) -> None:
        self.x, self.gain, self.budgets = x, gain, budgets
        self.lines_per_sample = x.shape[1] // samples
        self.sample = torch.arange(samples, device=x.device).repeat_interleave(self.lines_per_sample)
        limits = [torch.inf if one is None else float(one) for one in (budgets.moves, budgets.delay)]
        self.limit = torch.tensor(limits, dtype=torch.double, device=x.device)[:, None]
        self.weight = 1 / self.limit[:, 0]
        self.ordered = budgets.moves is not None and budgets.jitter is not None
        self.bound_to_order = torch.ones_like(self.sample, dtype=torch.bool) if self.ordered else uneven(x)

    def solve(self) -> Tensor:
        dear, dear_cost = self.x.clone(), torch.zeros(2, len(self.sample), dtype=torch.double, device=self.x.device)
        cheap, cheap_cost = dear.clone(), dear_cost.clone()
        counts = (self.x != 0).sum(0)
        movable = ((counts > 0) & (counts < len(self.x))).nonzero()[:, 0]
        free = torch.zeros(len(self.sample) // self.lines_per_sample).to(dear_cost)
        cheap[:, movable], cheap_cost[:, movable] = self._priced(movable, free)
        fits = self._fits(cheap_cost)[self.sample]
        dear[:, fits], dear_cost[:, fits] = cheap[:, fits], cheap_cost[:, fits]
        gained = torch.zeros_like(dear_cost[0])
        gained[movable] = self._gain(cheap[:, movable], movable)
        low = free
        least = self.weight[self.weight > 0].min()
        high = low.scatter_reduce(0, self.sample, gained, "amax") / least
        price = self._first_price(gained) / least
        for _ in range(_BISECTIONS):
            active = (self._price(cheap_cost) != self._price(dear_cost)).nonzero()[:, 0]
            if len(active) == 0:
                break
            worthwhile = active[gained[active] > (price * least)[self.sample[active]]]
            tried, cost = self.x[:, active], torch.zeros(2, len(active)).to(dear_cost)
            place = torch.searchsorted(active, worthwhile)
            tried[:, place], cost[:, place] = self._priced(worthwhile, price)
            total = dear_cost.clone()
            total[:, active] = cost
            fits = self._fits(total)
            high, low = torch.where(fits, price, high), torch.where(fits, low, price)
            price = (low + high) / 2
            into = fits[self.sample[active]]
            dear[:, active[into]], dear_cost[:, active[into]] = tried[:, into], cost[:, into]
            cheap[:, active[~into]], cheap_cost[:, active[~into]] = tried[:, ~into], cost[:, ~into]
        return self._filled(dear, dear_cost, cheap, cheap_cost)

    def _first_price(self, gained: Tensor) -> Tensor:
        """What the last line gains that the budget could pay for if each cost one unit."""
        rows = gained.view(-1, self.lines_per_sample)
        paid = int(self.limit.min().clamp(max=self.lines_per_sample))
        return rows.topk(max(paid, 1), dim=1).values[:, -1]

    def _priced(self, lines: Tensor, price: Tensor) -> tuple[Tensor, Tensor]:
        x, each = self.x[:, lines], price[self.sample[lines]]
        best = best_lines(
            x, self.gain[:, lines], jitter=self.budgets.jitter, causal=self.budgets.causal,
            move_cost=each * self.weight[0], delay_cost=each * self.weight[1], ordered=self.ordered,
        )  # fmt: skip
        return best, self._cost(x, best, self.bound_to_order[lines])

    def _cost(self, x: Tensor, best: Tensor, in_order: Tensor) -> Tensor:
        """Moves and delay of each line, ``[2, L]``, as the form that found it counts them."""
        count = (x != 0).cumsum(0) - (best != 0).cumsum(0)
        moves = ((x != 0) & (best == 0)).sum(0)
        where = (in_order & (moves > 0)).nonzero()[:, 0]
        if len(where):
            most = int((x[:, where] != 0).sum(0).max())
            moves[where] = (packet_times(x[:, where], most)[0] != packet_times(best[:, where], most)[0]).sum(0)
        return torch.stack([moves, count.abs().sum(0)]).double()

    def _gain(self, best: Tensor, lines: Tensor) -> Tensor:
        return (self.gain[:, lines] * (best - self.x[:, lines])).sum(0)

    def _price(self, cost: Tensor) -> Tensor:
        return (cost * self.weight[:, None]).sum(0)

    def _totals(self, cost: Tensor) -> Tensor:
        return cost.view(2, -1, self.lines_per_sample).sum(2)

    def _fits(self, cost: Tensor) -> Tensor:
        return (self._totals(cost) <= self.limit).all(0)

    def _filled(self, dear: Tensor, dear_cost: Tensor, cheap: Tensor, cheap_cost: Tensor) -> Tensor:
        """Spend the rest on lines where the cheaper price does more, by gain per cost."""
        waiting = (self._price(cheap_cost) > self._price(dear_cost)).nonzero()[:, 0]
        extra = self._gain(cheap[:, waiting], waiting) - self._gain(dear[:, waiting], waiting)
        more = cheap_cost[:, waiting] - dear_cost[:, waiting]
        rate = extra / self._price(more)
        order = torch.argsort(rate, descending=True, stable=True)
        order = order[torch.argsort(self.sample[waiting[order]], stable=True)]
        order = order[extra[order] > 0]
        rest = self.limit - self._totals(dear_cost)
        while len(order):
            owner = self.sample[waiting[order]]
            spent = _running_sum(more[:, order], owner)
            taken = (spent <= rest[:, owner]).all(0)
            taken &= _running_sum((~taken).double()[None], owner)[0] == 0
            lines = waiting[order[taken]]
            dear[:, lines] = cheap[:, lines]
            rest = rest.index_add(1, owner[taken], -more[:, order[taken]])
            fits = ~taken & (more[:, order] <= rest[:, owner]).all(0)
            order = order[fits]
        return dear


def _running_sum(values: Tensor, owner: Tensor) -> Tensor:
    """Cumulative sum along ``values [B, E]`` that starts anew with each owner ``[E]``, which are sorted."""
    total = values.cumsum(1)
    first = torch.cat([owner.new_ones(1, dtype=torch.bool), owner[1:] != owner[:-1]])
    before = (total - values)[:, first]
    return total - before[:, first.long().cumsum(0) - 1]


def certified(x: Tensor, x_adv: Tensor, budgets: Budgets) -> dict[str, Tensor]:
    """What each sample uses, from the two trains ``[N, T, *]`` alone: ``jitter``, ``delay`` and ``moves``, ``[N]``.

    Whole numbers in float64; ``inf`` where packets were lost, made or changed, or came earlier under ``causal``.
    ``moves`` is the fewest within the jitter of the budget.

    >>> x = torch.tensor([[[1], [0], [0]]])
    >>> {name: used.tolist() for name, used in certified(x, x.flip(1), Budgets()).items()}
    {'jitter': [2.0], 'delay': [2.0], 'moves': [1.0]}
    """
    n = len(x)
    seen = displacement(to_lines(x), to_lines(x_adv), budgets.jitter)
    illegal = ~seen.conserved if not budgets.causal else ~(seen.conserved & seen.delayed)
    per_sample = len(illegal) // max(n, 1)
    bad = illegal.view(n, per_sample).any(1)
    lines = {"jitter": seen.jitter, "delay": seen.delay, "moves": seen.moves}
    used: dict[str, Tensor] = {}
    for name, values in lines.items():
        rows = values.view(n, per_sample)
        whole = rows.sum(1) if name != "jitter" else torch.cat([rows, rows.new_zeros(n, 1)], 1).amax(1)
        used[name] = torch.where(bad, torch.inf, whole.double())
    return used
