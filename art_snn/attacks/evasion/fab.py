r"""FAB: the smallest perturbation that changes the decision, by steps to linearized decision boundaries.

Towards a target class t, with :math:`f = z_t - z_y` and :math:`w = \nabla f` at the current point x of a sample
:math:`x_0`, let :math:`d` and :math:`d_0` be the shortest ways from x and from :math:`x_0` to the plane :math:`f = 0`.

.. math::
   \alpha = \min\Bigl(\frac{\|d\|}{\|d\| + \|d_0\|}, 0.1\Bigr), \qquad
   x \leftarrow \Pi\bigl((1-\alpha)(x + 1.05\, d) + \alpha (x_0 + 1.05\, d_0)\bigr).

A point beyond the boundary is a candidate, and the search goes back to :math:`x_0 + 0.9 (x - x_0)`. At the end the
smallest candidate is pulled towards :math:`x_0` by bisection. The logits of a spiking network are steps, and the
gradient of a step is what the policy says: distances are upper bounds, never certificates.

Source: Croce and Hein, ICML 2020 (FAB; targeted form of AutoAttack).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.hyperplane import to_hyperplane
from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack, surface
from art_snn.attacks.evasion.record import Ledger, column
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope
from art_snn.threats import PixelBudget, pixel_budget

_BIAS, _OVERSHOOT, _BACK = 0.1, 1.05, 0.9
_BISECTIONS = 8


class FAB(PixelAttack):
    """Minimum-norm attack; one run per start and target class, the ``nb_targets`` most likely others.

    :param eps: ``None`` looks for the smallest perturbation of every sample. With a number, samples leave once a
        perturbation of at most that size is found, and only those are successes.
    :raises ValueError: if ``targeted``, or for a stochastic model, whose boundary moves from draw to draw.

    The distances are ``last_run.usage``. The remaining parameters are those of
    :class:`~art_snn.attacks.evasion.pixel.PixelAttack`.

    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(8)
    >>> attack = FAB(tiny.classifier(tiny.direct()), eps=0.1, max_iter=5)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x, y))).all())
    True
    """

    loss_types = ("difference",)

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float | None = None, max_iter: int = 50,
        nb_random_init: int = 1, loss_type: str = "difference", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(estimator, norm, np.inf if eps is None else eps, max_iter, nb_random_init, loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if self.targeted:
            raise ValueError(explain("targeted=True", "an untargeted minimum-norm attack", "use SNNAutoPGD"))
        if getattr(self.estimator.model, "is_stochastic", False):
            fix = "use SNNAutoPGD, which judges by votes"
            raise ValueError(explain("a stochastic model", "a decision boundary that stands still", fix))

    @property
    def _range(self) -> PixelBudget:
        return pixel_budget(self.norm, np.inf, self.estimator.clip_values)

    def _open(self, ledger: Ledger) -> Tensor:
        """With an epsilon, what still stands; without, everything, since a smaller perturbation may exist."""
        return ledger.open() if np.isfinite(self.eps) else (~ledger.wrong).nonzero()[:, 0]

    def _search(self, problem: Problem) -> Search:
        return _Boundary(problem)

    def _run(
        self, victim: Victim, problem: Problem, ledger: Ledger, restart: int, starts: Any, scope: AttackScope
    ) -> None:
        free = problem.within(self._range)
        search = _Boundary(free)
        point = search.first() if restart < self._targets_per_start() else search.elsewhere(self.eps)
        if starts is not None:
            point = torch.as_tensor(starts, device=problem.x.device)[problem.rows].to(point)
        point = free.project(point)
        with self._waiting(victim):
            for step in range(self._queries()):
                seen = self._look(victim, free, point, ledger, step, scope)
                search.note(point, self._hit(seen.logits, free.y))
                point = free.project(search.next(point, seen))
            self._bisect(victim, search, ledger)
            self._settle_queries(victim)
        self._settle(problem, search, ledger, restart)

    def _bisect(self, victim: Victim, search: _Boundary, ledger: Ledger) -> None:
        """Pull the smallest candidates towards their clean samples, as long as they fool the model."""
        problem = search.problem
        low, high = torch.zeros_like(search.smallest), torch.ones_like(search.smallest)
        far = search.best.clone()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            point = problem.project(problem.x + across(middle, far) * (far - problem.x))
            fooled = self._hit(victim.logits(point, problem.ids), problem.y) & torch.isfinite(search.smallest)
            ledger.forwards[problem.rows] += 1
            search.note(point, fooled)
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)

    def _settle(self, problem: Problem, search: _Boundary, ledger: Ledger, restart: int) -> None:
        """Smaller perturbations than those known replace them; what does not fit the budget is projected."""
        smaller = torch.isfinite(search.smallest) & (-search.smallest > ledger.loss[problem.rows])
        chosen = problem.select(smaller.nonzero()[:, 0])
        points = search.best[smaller]
        fits = self.threat.contains(chosen.x, points)
        ledger.best[chosen.rows] = chosen.project(points)
        ledger.loss[chosen.rows] = -search.smallest[smaller]
        ledger.solved[chosen.rows[fits]] = True
        ledger.restart[chosen.rows[fits]] = restart
        ledger.step[chosen.rows[fits]] = search.when[smaller][fits]


class _Boundary(BallSearch):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.done = 0
        self.best = problem.x.clone()
        self.smallest = torch.full((len(problem),), torch.inf, dtype=torch.double, device=problem.x.device)
        self.when = torch.full((len(problem),), -1, device=problem.x.device)
        self.fooled = torch.zeros(len(problem), dtype=torch.bool, device=problem.x.device)

    def first(self) -> Tensor:
        """The clean sample."""
        return self.problem.x.clone()

    def elsewhere(self, eps: float) -> Tensor:
        """A random start, at half the radius or a tenth of the range."""
        distance = min(eps / 2, self.reach() / 10)
        noise = surface(self.problem) - self.problem.x
        return self.problem.x + noise * (distance / self.reach())

    def note(self, point: Tensor, fooled: Tensor) -> None:
        """Keep a point beyond the boundary if it is the nearest so far."""
        size = self.ball.usage(self.problem.x, point)
        nearer = fooled & (size < self.smallest)
        self.best = torch.where(column(nearer, point), point, self.best)
        self.smallest = torch.where(nearer, size, self.smallest)
        self.when = torch.where(nearer, self.done, self.when)
        self.fooled = fooled

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        self.done += 1
        clean = self.problem.x
        back = clean + _BACK * (point - clean)
        w = seen.ascent.double().flatten(1)
        offset = (w * (clean - point).double().flatten(1)).sum(1)
        here = self._way(w, -seen.loss.double(), point)
        from_clean = self._way(w, -seen.loss.double() - offset, clean)
        one, two = self.ball.distance(here), self.ball.distance(from_clean)
        alpha = (one / (one + two).clamp(min=1e-300)).clamp(max=_BIAS)[:, None]
        step = (1 - alpha) * (point.double().flatten(1) + _OVERSHOOT * here)
        step = step + alpha * (clean.double().flatten(1) + _OVERSHOOT * from_clean)
        ahead = step.view_as(clean).to(clean)
        return torch.where(column(self.fooled, clean), back, ahead)

    def _way(self, w: Tensor, need: Tensor, start: Tensor) -> Tensor:
        low, high = self.ball.bounds(start)
        below, above = (start.double() - low).flatten(1), (high - start.double()).flatten(1)
        return to_hyperplane(w, need, below, above, self.ball.norm)
