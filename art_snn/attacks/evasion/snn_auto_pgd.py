r"""Auto-PGD for spiking networks: step sizes per sample, any visited success, logits that tie.

With :math:`\Pi` the projection, :math:`a = 1` at the first step and 3/4 later,

.. math::
   p &= \Pi(x^i + \eta\, \mathrm{step}(g)), \qquad
   x^{i+1} = \Pi\bigl(x^i + a (p - x^i) + (1-a)(x^i - x^{i-1})\bigr),

from :math:`\eta = 2\epsilon`. At check points, k steps apart (:math:`k = \lfloor .22N \rfloor`, shrinking by
:math:`\lfloor .03N \rfloor` to :math:`\lfloor .06N \rfloor`), a sample whose loss rose in at most 75 % of the steps, or
whose :math:`\eta` was kept at the last check without a new best loss since, halves :math:`\eta` and returns to its best
point. For L1 the step takes the largest gradient entries only, and their share follows the sparsity of what was found.

Source: Croce and Hein, ICML 2020 (Auto-PGD) and "Mind the box", ICML 2021 (L1).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack, ball
from art_snn.attacks.evasion.pixel_fw import PixelFrankWolfe
from art_snn.attacks.evasion.record import column
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen

_MOMENTUM = 0.75
_RISES = 0.75
_FIRST_SHARE = 0.2


class SNNAutoPGD(PixelAttack):
    """Auto-PGD with a gradient policy: see the module's text for the equations and :class:`PixelAttack` for the rest.

    With ``norm=0``, ``eps`` is a number of pixels, and the optimizer that of
    :mod:`~art_snn.attacks.evasion.pixel_fw`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> x = np.full((2, 1, 8, 8), 0.5, dtype=np.float32)
    >>> x_adv = SNNAutoPGD(clf, eps=0.1, max_iter=3).generate(x)
    >>> bool(np.abs(x_adv - x).max() <= 0.1)
    True
    """

    norms = (np.inf, 2.0, 1.0, 0.0)

    def _search(self, problem: Problem) -> Search:
        return ascent(problem, int(self.max_iter))


def ascent(problem: Problem, steps: int) -> Search:
    """The optimizer for the norm of the problem."""
    if ball(problem).norm == 0:
        return PixelFrankWolfe(problem)
    return _SparseAscent(problem, steps) if ball(problem).norm == 1 else _Ascent(problem, steps)


class CheckPoints:
    """When the step size is reviewed: after ``.22 N`` steps, then at shrinking intervals.

    >>> plan = CheckPoints(100)
    >>> [step for step in range(1, 101) if plan.due(step)]
    [22, 41, 57, 70, 80, 87, 93, 99]
    """

    def __init__(self, steps: int) -> None:
        self.interval = max(int(0.22 * steps), 1)
        self._least = max(int(0.06 * steps), 1)
        self._less = max(int(0.03 * steps), 1)
        self._since = 0
        self.length = self.interval

    def due(self, step: int) -> bool:
        """Whether ``step``, counted from 1 without a gap, is a check point; ``length`` is then the interval behind."""
        self._since += 1
        if self._since < self.interval:
            return False
        self.length = self.interval
        self.interval = max(self.interval - self._less, self._least)
        self._since = 0
        return step > 0


def unit_step(grad: Tensor, norm: float) -> Tensor:
    """Direction of steepest ascent of length 1 in the norm: the sign, or the normalized gradient."""
    if norm == torch.inf:
        return grad.sign()
    return grad / across(grad.flatten(1).norm(dim=1), grad)


class _BestSoFar(BallSearch):
    """Keeps the best point with its gradient, and counts the steps on which the loss rose."""

    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem)
        self.steps = steps
        self.done = 0
        self.best = problem.x.clone()
        self.best_grad = torch.zeros_like(problem.x)
        self.best_loss = torch.full((len(problem),), -torch.inf).to(problem.x)
        self.last_loss = self.best_loss.clone()
        self.rises = torch.zeros_like(self.best_loss)

    def _look_back(self, point: Tensor, seen: Seen, grad: Tensor) -> None:
        self.rises += (seen.loss > self.last_loss) & (self.done > 0)
        better = seen.loss > self.best_loss
        self.best = torch.where(column(better, point), point, self.best)
        self.best_grad = torch.where(column(better, grad), grad, self.best_grad)
        self.best_loss = torch.maximum(self.best_loss, seen.loss)
        self.last_loss = seen.loss


class _Ascent(_BestSoFar):
    """L-infinity and L2."""

    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem, steps)
        self.plan = CheckPoints(steps)
        self.eta = torch.full_like(self.best_loss, 2 * self.reach())
        self.before = problem.x.clone()
        self.best_at_check = self.best_loss.clone()
        self.reduced = torch.ones_like(self.eta, dtype=torch.bool)

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        grad = seen.ascent
        self._look_back(point, seen, grad)
        if self.done == 0:
            self.best_at_check = self.best_loss.clone()
        elif self.plan.due(self.done):
            point, grad = self._review(point, grad)
        ahead = self.problem.project(point + across(self.eta, point) * unit_step(grad, self.ball.norm))
        a = 1.0 if self.done == 0 else _MOMENTUM
        moved = point + a * (ahead - point) + (1 - a) * (point - self.before)
        self.before = point
        self.done += 1
        return moved

    def _review(self, point: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        seldom = self.rises <= _RISES * self.plan.length
        stuck = ~self.reduced & (self.best_loss <= self.best_at_check)
        self.reduced = seldom | stuck
        self.best_at_check = self.best_loss.clone()
        self.rises = torch.zeros_like(self.rises)
        self.eta = torch.where(self.reduced, self.eta / 2, self.eta)
        back = self.reduced.view(-1, *[1] * (point.dim() - 1))
        return torch.where(back, self.best, point), torch.where(back, self.best_grad, grad)


class _SparseAscent(_BestSoFar):
    """L1: no momentum, and steps along the largest entries of the gradient."""

    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem, steps)
        self.radius = self.reach()
        self.eta = torch.full_like(self.best_loss, self.radius)
        self.share = torch.full_like(self.best_loss, _FIRST_SHARE)
        self.nonzeros = torch.full_like(self.best_loss, _FIRST_SHARE * problem.x[0].numel())
        self.interval = max(int(0.04 * steps), 1)

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        grad = seen.ascent
        self._look_back(point, seen, grad)
        if self.done > 0 and self.done % self.interval == 0:
            point, grad = self._review(point, grad)
        self.done += 1
        return point + across(self.eta, point) * self._sparse_step(grad)

    def _review(self, point: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
        size = point[0].numel()
        found = (self.best != self.problem.x).flatten(1).sum(1).to(self.share)
        self.share = (found / (1.5 * size)).clamp(min=1 / size)
        sparser = found < 0.95 * self.nonzeros
        self.nonzeros = found
        start = torch.full_like(self.eta, self.radius)
        self.eta = torch.where(sparser, start, self.eta / 1.5).clamp(min=self.radius / 10)
        back = sparser.view(-1, *[1] * (point.dim() - 1))
        return torch.where(back, self.best, point), torch.where(back, self.best_grad, grad)

    def _sparse_step(self, grad: Tensor) -> Tensor:
        flat = grad.flatten(1)
        size = flat.abs()
        kept = (self.share * flat.shape[1]).ceil().long().clamp(1, flat.shape[1])
        least = size.sort(1, descending=True).values.gather(1, (kept - 1)[:, None])
        chosen = flat.sign() * (size >= least)
        return (chosen / across(chosen.abs().sum(1), chosen)).view_as(grad)
