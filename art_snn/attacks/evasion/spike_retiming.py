r"""SpikeRetiming: the same spikes, at the times that the network can stand least.

Momentum Frank-Wolfe over legal retimings. With the gradient :math:`g = \partial L/\partial x'` at the hard spikes, at
empty cells too, and :math:`\mathrm{LMO}` the exact linear step from the *clean* train (see
:mod:`art_snn.threats.retiming_step`),

.. math:: m \leftarrow 0.9\, m + \frac{g}{\mathrm{mean}|g|}, \qquad
          x' \leftarrow \mathrm{LMO}\bigl(m + \rho\, \mathrm{mean}|m|\; x'\bigr).

The inertia :math:`\rho` is 0 at first. At the check points of Auto-PGD, a sample that found no larger loss since the
last one goes back to its best train and doubles its :math:`\rho`, from 1/2: so steps shrink from all spikes to a few,
and each stays inside every budget.

Source: linear steps over retimings derived in the documentation; the threat model is that of "Time Is All It Takes:
Spike-Retiming Attacks on Event-Driven Spiking Neural Networks", ICLR 2026.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.retiming import RetimingAttack, RetimingSearch, inside
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.snn_auto_pgd import CheckPoints
from art_snn.attacks.evasion.victim import Seen

_KEPT = 0.9
_FIRST_INERTIA = 0.5


class SpikeRetiming(RetimingAttack):
    """Moves spikes in time under budgets that hold jointly; see the module's text for the equations.

    The parameters are those of :class:`~art_snn.attacks.evasion.retiming.RetimingAttack`; three runs, each from a
    random legal retiming.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((2, 4, 4), 10, encoder=EventFrames(5)), nn.CrossEntropyLoss(), (5, 2, 4, 4), 10)
    >>> x = (np.random.default_rng(0).random((3, 5, 2, 4, 4)) < 0.3).astype(np.float32)
    >>> attack = SpikeRetiming(clf, jitter=1, moves=4, max_iter=5)
    >>> x_adv = attack.generate(x)
    >>> bool((x_adv.sum(1) == x.sum(1)).all()), bool((attack.last_run.usage["moves"] <= 4).all())
    (True, True)
    """

    def __init__(
        self, estimator: Any, jitter: int | None = None, delay: int | None = None, moves: int | None = None,
        causal: bool = False, max_iter: int = 40, nb_random_init: int = 3, loss_type: str = "ce", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(estimator, jitter, delay, moves, causal, max_iter, nb_random_init, loss_type, **kwargs)

    def _search(self, problem: Problem) -> Search:
        return _FrankWolfe(inside(problem), int(self.max_iter))


class _FrankWolfe(RetimingSearch):
    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem)
        self.plan = CheckPoints(steps)
        self.done = 0
        self.momentum = torch.zeros_like(problem.x)
        self.inertia = torch.zeros(len(problem)).to(problem.x)
        self.best = problem.x.clone()
        self.best_loss = torch.full_like(self.inertia, -torch.inf)
        self.best_at_check = self.best_loss.clone()

    def first(self) -> Tensor:
        """A random retiming."""
        return self.random(0)

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        better = seen.loss > self.best_loss
        self.best[better] = point[better]
        self.best_loss = torch.maximum(self.best_loss, seen.loss)
        grad = seen.ascent
        self.momentum = _KEPT * self.momentum + grad / across(grad.abs().flatten(1).mean(1), grad)
        if self.done and self.plan.due(self.done):
            point = self._review(point)
        self.done += 1
        pull = self.inertia * self.momentum.abs().flatten(1).mean(1)
        return self.step(self.momentum + pull.view(-1, *[1] * (point.dim() - 1)) * point)

    def _review(self, point: Tensor) -> Tensor:
        stuck = self.best_loss <= self.best_at_check
        self.best_at_check = self.best_loss.clone()
        self.inertia = torch.where(stuck, (2 * self.inertia).clamp(min=_FIRST_INERTIA), self.inertia)
        return torch.where(stuck.view(-1, *[1] * (point.dim() - 1)), self.best, point)
