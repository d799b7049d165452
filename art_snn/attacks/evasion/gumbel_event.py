r"""Gumbel attack on event grids: every cell has a chance to change, and the chances are learned.

Each candidate cell is in one of the states *stay*, *add*, *delete*, with logits A. In every query

.. math:: \pi = \mathrm{softmax}((A + G) / \tau), \quad G \sim \mathrm{Gumbel}(0, 1), \qquad s = \arg\max \pi

is drawn; of more than k changes those with the largest A stay; the gradient of the loss at the hard grid is
passed through s to :math:`\pi` unchanged and through the softmax to A, together with :math:`\lambda` per changed cell.
Every M queries A moves by :math:`\gamma` times the mean gradient, normalized per sample. Only hard grids count as
successes: soft relaxations succeed and then collapse when they are binarized.

Source: the raw-event attack of ECCV 2024, as we understand it from its descriptions; the budget is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.arguments import check_whole
from art_snn.attacks.evasion.grid import GridAttack, GridSearch, allowed
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain
from art_snn.threats.projection import largest

_DUST = 1e-6
"""Weight of the draw itself where A ties: chance decides."""


class GumbelEventAttack(GridAttack):
    """Gumbel attack on event grids; see the module's text.

    :param max_iter: queries of one run; A moves every ``draws`` of them.
    :param draws: queries whose gradients are averaged, M.
    :param temperature: of the softmax.
    :param step: length of a move of A, in logits per cell of mean gradient.
    :param penalty: cost of one changed cell, relative to the mean gradient.
    :param start: probability of change that every cell begins with.
    :raises ValueError: for a parameter out of range.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`. What it finds on a grid is
    carried over to raw events by :func:`~art_snn.attacks.evasion.lift.lift`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = GumbelEventAttack(clf, k=3, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["draws", "temperature", "step", "penalty", "start", *GridAttack.attack_params]  # noqa: RUF012

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 100, draws: int = 4, temperature: float = 4.0,
        step: float = 0.1, penalty: float = 0.1, start: float = 0.05, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.draws = draws
        self.temperature = temperature
        self.step = step
        self.penalty = penalty
        self.start = start
        super().__init__(estimator, k, max_iter, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        check_whole("draws", self.draws, 1)
        for name, value in (("temperature", self.temperature), ("step", self.step)):
            if not value > 0:
                raise ValueError(explain(f"{name}={value}", "a number above 0", f"{name}=0.5"))
        if not self.penalty >= 0:
            raise ValueError(explain(f"penalty={self.penalty}", "0 or more", "penalty=0.1"))
        if not 0 < self.start < 1:
            raise ValueError(explain(f"start={self.start}", "a probability between 0 and 1", "start=0.05"))

    def _search(self, problem: Problem) -> Search:
        settings = (self.temperature, self.step, self.penalty, self.start)
        return _Chances(problem, self._first_runs(problem), int(self.draws), *settings)


class _Chances(GridSearch):
    """Logits relative to *stay*: ``odds [n, 2, *]`` of add and delete."""

    def __init__(
        self, problem: Problem, first_runs: Tensor, draws: int, temperature: float, step: float, penalty: float,
        start: float,
    ) -> None:  # fmt: skip
        super().__init__(problem, first_runs)
        self.draws, self.temperature, self.length, self.penalty = draws, temperature, step, penalty
        self.legal = torch.stack(self.flips.moves(problem.x), 1)
        begin = torch.logit(torch.tensor(start, dtype=torch.double)).to(problem.x)
        self.odds = torch.full((len(problem), 2, *problem.x.shape[1:]), float(begin)).to(problem.x)
        self.pull = torch.zeros_like(self.odds)
        self.soft = torch.zeros_like(self.odds)
        self.done = 0

    def first(self) -> Tensor:
        """A first draw."""
        return self._draw()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - the draw is remembered
        """See :class:`Search`."""
        grad = seen.ascent
        scaled = grad / across(grad.abs().flatten(1).mean(1), grad)
        value = torch.stack([scaled, -scaled], 1) - self.penalty
        mean = (self.soft * value).sum(1, keepdim=True)
        self.pull = self.pull + self.soft * (value - mean)
        if self.done % self.draws == 0:
            size = self.pull.abs().flatten(1).mean(1)
            self.odds = self.odds + self.length * self.pull / across(size, self.pull)
            self.pull = torch.zeros_like(self.pull)
        return self._draw()

    def _draw(self) -> Tensor:
        self.done += 1
        x = self.problem.x
        u = self.problem.uniform(3, *x.shape[1:], salt=20 + self.done).clamp(1e-12, 1 - 1e-12)
        gumbel = -(-u.log()).log()
        odds = self.odds.masked_fill(~self.legal, -torch.inf)
        pi = torch.softmax((torch.cat([torch.zeros_like(odds[:, :1]), odds], 1) + gumbel) / self.temperature, 1)
        self.soft = pi[:, 1:]
        state = pi.argmax(1)
        change = torch.where(state == 1, 1.0, torch.where(state == 2, -1.0, 0.0)).to(x)
        change = allowed(self.problem, change)
        learned = torch.sigmoid(odds.amax(1)) + _DUST * pi[:, 1:].amax(1)
        rank = torch.where(change != 0, learned, torch.zeros_like(x))
        kept = largest(rank.flatten(1), self.flips.k).view_as(x)
        return x + torch.where(kept, change, torch.zeros_like(change))
