r"""Random changes of a spike grid: the floor that an attack with a gradient has to beat.

Each query is an independent draw that uses up the budget of k cells:

====================  ==================================================================================
``flip``              k random legal single events, as :class:`SpikeFlips` allows them
``delete``            k random events go
``insert``            k random empty cells get an event
``polarity``          k/2 events change their polarity (one cell off, one on); grids ``[T, C >= 2, *]``
``hot_pixel``         random pixels of one polarity fire at all times, as many as fit
``burst``             a square of random place at one random time fires in all polarities
``time_warp``         :math:`t \to t_{max} (t / t_{max})^\kappa`, :math:`\ln \kappa` uniform in ±ln 2 and halved until
                      it fits; events that meet in a cell are one
====================  ==================================================================================

An attack that does not beat its random twin on an undefended model is broken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import GridAttack, GridSearch, allowed, column
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen
from art_snn.attacks.evasion.windows import box
from art_snn.errors import explain, suggest

_HALVINGS = 12


class RandomEvents(GridAttack):
    """``max_iter`` random changes per run, no gradient; see the module's text.

    :param kind: one of :data:`KINDS`.
    :raises ValueError: for an unknown kind, or one that the grids or ``add`` and ``delete`` do not allow.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = RandomEvents(clf, k=3, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["kind", *GridAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 40, kind: str = "flip", loss_type: str = "margin",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self.kind = kind
        super().__init__(estimator, k, max_iter, loss_type=loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if self.kind not in KINDS:
            raise ValueError(suggest(self.kind, KINDS, "kind of random change"))
        adds = self.kind in ("insert", "polarity", "hot_pixel", "burst", "time_warp")
        deletes = self.kind in ("delete", "polarity", "time_warp")
        if (adds and not self.add) or (deletes and not self.delete):
            came = f"kind={self.kind!r} with add={self.add}, delete={self.delete}"
            raise ValueError(explain(came, "a kind that the budget allows", "kind='flip' follows add and delete"))
        if self.kind in ("time_warp", "polarity") and self.most != 1:
            came = f"kind={self.kind!r} on grids of counts"
            raise ValueError(explain(came, "binary grids, where a cell is one event", "kind='flip'"))

    def _queries(self) -> int:
        return int(self.max_iter)

    def _search(self, problem: Problem) -> Search:
        if self.kind != "flip" and problem.x.dim() != 5:
            came = f"kind={self.kind!r} for samples of shape {tuple(problem.x.shape[1:])}"
            raise ValueError(explain(came, "grids [T, C, H, W]", "kind='flip' works on any grid"))
        if self.kind == "polarity" and problem.x.shape[2] < 2:
            raise ValueError(explain("kind='polarity' with one polarity", "two channels", "kind='flip'"))
        return _Dice(problem, self._first_runs(problem), KINDS[self.kind])


class _Dice(GridSearch):
    wants_gradient = False

    def __init__(self, problem: Problem, first_runs: Tensor, kind: Callable[[_Dice], Tensor]) -> None:
        super().__init__(problem, first_runs)
        self.kind, self.done = kind, 0

    def first(self) -> Tensor:
        """A first draw."""
        return self._throw()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - draws are independent
        """See :class:`Search`."""
        return self._throw()

    def _throw(self) -> Tensor:
        self.done += 1
        return self.kind(self)

    def draw(self, *shape: int) -> Tensor:
        """Uniform numbers of this query, ``[n, *shape]``."""
        return self.problem.uniform(*shape, salt=30 + self.done)

    def weights(self) -> Tensor:
        """A positive random number per cell: taking the largest draws cells without replacement."""
        return self.draw(*self.problem.x.shape[1:]) + 0.5


def _flip(dice: _Dice) -> Tensor:
    up, down = dice.flips.moves(dice.problem.x)
    weights = dice.weights()
    side = dice.problem.uniform(*weights.shape[1:], salt=7000 + dice.done) < 0.5
    return dice.step(torch.where(up & (side | ~down), weights, -weights))


def _delete(dice: _Dice) -> Tensor:
    return dice.step(-dice.weights())


def _insert(dice: _Dice) -> Tensor:
    return dice.step(dice.weights() * (dice.problem.x == 0))


def _polarity(dice: _Dice) -> Tensor:
    x = dice.problem.x
    fires = (x[:, :, :2] >= 1) & (x[:, :, :2].flip(2) == 0)
    change = torch.where(fires, -1.0, 0.0).to(x) + torch.where(fires.flip(2), 1.0, 0.0).to(x)
    rank = dice.draw(*x.shape[1:2], 1, *x.shape[3:]) * fires.any(2, keepdim=True)
    order = rank.flatten(1).argsort(dim=1, descending=True).argsort(dim=1)
    pairs = (order < min(dice.flips.k // 2, order.shape[1])).view_as(rank) & (rank > 0)
    moved = x.clone()
    moved[:, :, :2] += allowed_pairs(dice.problem, torch.where(pairs, change, torch.zeros_like(change)))
    return moved


def allowed_pairs(problem: Problem, change: Tensor) -> Tensor:
    """``change [n, T, 2, H, W]`` without the pairs of which the mask forbids a half."""
    if problem.mask is None:
        return change
    free = (problem.mask[:, :, :2] != 0).all(2, keepdim=True)
    return torch.where(free, change, torch.zeros_like(change))


def _hot_pixel(dice: _Dice) -> Tensor:
    x = dice.problem.x
    up = dice.flips.moves(x)[0]
    if dice.problem.mask is not None:
        up = up & (dice.problem.mask != 0)
    cost = up.sum(1, keepdim=True)
    order = dice.draw(1, *x.shape[2:]).flatten(1).argsort(dim=1)
    spent = cost.flatten(1).gather(1, order).cumsum(1)
    lit = torch.zeros_like(spent, dtype=torch.bool).scatter(1, order, spent <= dice.flips.k).view_as(cost)
    return x + (lit & up).to(x)


def _burst(dice: _Dice) -> Tensor:
    x = dice.problem.x
    T, C, H, W = x.shape[1:]
    side = max(min(math.isqrt(int(min(dice.flips.k, C * H * W) // C)), H, W), 1)
    square = box(dice.draw(3), (T, H, W), (1, side, side))
    return dice.step(dice.weights() * square)


def _time_warp(dice: _Dice) -> Tensor:
    x = dice.problem.x
    power = (2 * dice.draw(1)[:, 0] - 1) * math.log(2)
    result = x.clone()
    open_rows = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for _ in range(_HALVINGS):
        warped = warp_time(x, power.exp())
        warped = x + allowed(dice.problem, warped - x)
        fits = open_rows & ((warped != x).flatten(1).sum(1) <= dice.flips.k)
        result = torch.where(column(fits, x), warped, result)
        open_rows = open_rows & ~fits
        power = torch.where(open_rows, power / 2, power)
    return result


def warp_time(x: Tensor, kappa: Tensor) -> Tensor:
    r"""Binary grids ``[n, T, *]`` with every event moved from t to :math:`t_{max} (t / t_{max})^\kappa`, rounded.

    >>> warp_time(torch.eye(3)[None, :, :], torch.tensor([2.0]))[0].tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    last = max(x.shape[1] - 1, 1)
    t = torch.arange(x.shape[1], device=x.device).double() / last
    goal = (last * t[None] ** kappa[:, None].double()).round().long()
    index = goal.view(*goal.shape, *[1] * (x.dim() - 2)).expand(x.shape)
    return torch.zeros_like(x).scatter_reduce(1, index, x, "amax")


KINDS: dict[str, Callable[[_Dice], Tensor]] = {
    "flip": _flip, "delete": _delete, "insert": _insert, "polarity": _polarity, "hot_pixel": _hot_pixel,
    "burst": _burst, "time_warp": _time_warp,
}  # fmt: skip
"""Random changes by name."""
