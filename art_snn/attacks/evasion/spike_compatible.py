r"""Spike-compatible gradient: a gradient becomes spikes by chance, in proportion to its size.

At the spike grid s, with the gradient g of the loss taken under :class:`~art_snn.gradients.SCG`,

.. math:: \mathrm{keep}_i \sim B(|g_i| / \max|g|), \qquad
          s_i \leftarrow 1 \text{ where kept and } g_i > 0, \quad 0 \text{ where kept and } g_i < 0,

and where there is no gradient at all, each cell flips with probability 0.05. On grids
(:class:`SpikeCompatibleGradient`) the kept moves are legal single events, and of more than k changes those with the
largest gradient stay. On images (:class:`SpikeCompatibleImages`) the spikes are drawn from the pixels, and what changed
on average over time is added to them,

.. math:: x \leftarrow \Pi\bigl(x + \mathrm{mean}_t(s' - s) - 0.1\,(x - x_0)\bigr),

within a ball, which the original does not have.

Source: Liang et al., TNNLS, arXiv 2001.01587; the budgets are ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import GridAttack, GridSearch, allowed, column
from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.record import Ledger
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.errors import explain
from art_snn.gradients import SCG
from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.threats.projection import largest

_FLIPS = 0.05
_PULL = 0.1


def to_spikes(s: Tensor, g: Tensor, u: Tensor, flat: Tensor) -> Tensor:
    """Where each cell of ``s`` wants to go, as +1, -1 and 0 (the cell may already be there), ``[n, *]``.

    :param s: spikes ``[n, *]``.
    :param g: gradient of the loss.
    :param u: uniform numbers in [0, 1).
    :param flat: samples without gradient, bool ``[n]``: random flips.

    >>> s, g = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[2.0, -2.0, 0.1]])
    >>> to_spikes(s, g, torch.full((1, 3), 0.5), torch.tensor([False])).tolist()
    [[1.0, -1.0, 0.0]]
    """
    chance = g.abs() / across(g.abs().flatten(1).amax(1), g)
    kept = torch.where(u < chance, g.sign(), torch.zeros_like(g))
    random = torch.where(u < _FLIPS, torch.where(s >= 1, -1.0, 1.0).to(s), torch.zeros_like(s))
    return torch.where(column(flat, s), random, kept.to(s))


class SpikeCompatibleGradient(GridAttack):
    """Spike-compatible gradient on spike grids, within ``k`` cells; see the module's text.

    :param policy: how gradients are taken; ``None`` is :class:`~art_snn.gradients.SCG` with the paper's threshold.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = SpikeCompatibleGradient(clf, k=3, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 25, policy: GradientPolicy | None = None, **kwargs: Any
    ) -> None:
        super().__init__(estimator, k, max_iter, policy=SCG() if policy is None else policy, **kwargs)

    def _search(self, problem: Problem) -> Search:
        return _GridConverter(problem, self._first_runs(problem))

    def _see(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        return _zeros_kept(self, victim, problem, point, ledger, step, scope)


class _GridConverter(GridSearch):
    def __init__(self, problem: Problem, first_runs: Tensor) -> None:
        super().__init__(problem, first_runs)
        self.done = 0

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        self.done += 1
        grad = seen.ascent
        u = self.problem.uniform(*point.shape[1:], salt=100 + self.done)
        flat = (grad == 0).flatten(1).all(1)
        wish = allowed(self.problem, to_spikes(point, grad, u, flat))
        clean = self.problem.x
        up, down = self.flips.moves(clean)
        change = (point - clean + wish).clamp(-1, 1)
        change = torch.where(((change > 0) & up) | ((change < 0) & down), change, torch.zeros_like(change))
        size = grad.abs() / across(grad.abs().flatten(1).amax(1), grad)
        rank = torch.where(change != 0, 1.0 + torch.where(column(flat, u), u, size), torch.zeros_like(u))
        kept = largest(rank.flatten(1), self.flips.k).view_as(clean)
        return clean + torch.where(kept, change, torch.zeros_like(change))


class SpikeCompatibleImages(PixelAttack):
    """Spike-compatible gradient on images, within a ball; see the module's text.

    :param policy: how gradients are taken; ``None`` is :class:`~art_snn.gradients.SCG` with the paper's threshold.
    :raises TypeError: for an estimator whose network has no spike code.
    :raises ValueError: if the code clips or standardizes: pixels must be firing probabilities in [0, 1].

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`. Successes are judged on
    the image classifier itself, by votes where its code is stochastic.

    >>> from art_snn.coding import Poisson
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(4)
    >>> clf = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,), encoder=Poisson(T=4)))
    >>> attack = SpikeCompatibleImages(clf, eps=0.1, max_iter=2)
    >>> bool(attack.threat.contains(x, attack.generate(x, y)).all())
    True
    """

    loss_types = ("ce", "margin", "dlr")

    def __init__(self, estimator: Any, norm: Any = np.inf, eps: float = 8 / 255, max_iter: int = 25,
                 policy: GradientPolicy | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(estimator, norm, eps, max_iter, policy=SCG() if policy is None else policy, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if not hasattr(self.estimator, "at_spikes"):
            came = f"a {type(self.estimator).__name__}"
            raise TypeError(explain(came, "an SNNClassifier", "attack a spiking network"))
        clip = self.estimator.clip_values
        if clip is None or (float(np.min(clip[0])), float(np.max(clip[1]))) != (0.0, 1.0):
            came = f"clip_values={clip}"
            raise ValueError(explain(came, "(0.0, 1.0): pixels are firing probabilities", "scale the images to [0, 1]"))

    def _victim(self) -> Victim:
        self._spikes = Victim(self.estimator.at_spikes(), self.policy, 1, 1, self.seed)
        return Victim(self.estimator, None, self.eot, self.votes, self.seed)

    def _search(self, problem: Problem) -> Search:
        return _ImageConverter(problem, int(self.estimator.at_spikes().input_shape[0]))

    def _see(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        """The loss of the image; the gradient of spikes drawn from it, ``[n, T, *]``."""
        seen = super()._see(victim, problem, point, ledger, step, None)
        if scope is None:
            return seen
        spikes = drawn(problem, point, int(self._spikes.estimator.input_shape[0]), step)
        with self._spikes.attached():
            at = self._spikes.query(
                spikes, lambda z: self._loss(z, problem), problem.ids, step, gradient=True, scope=scope
            )
        ledger.forwards[problem.rows] += self._spikes.costs[0]
        ledger.backwards[problem.rows] += self._spikes.costs[1]
        ledger.zeros[problem.rows] += (at.ascent == 0).flatten(1).all(1).long()
        return Seen(seen.loss, at.ascent, seen.logits)


class _ImageConverter(BallSearch):
    def __init__(self, problem: Problem, T: int) -> None:
        super().__init__(problem)
        self.T, self.done = T, 0

    def first(self) -> Tensor:
        """The clean image: chance is in the spikes."""
        return self.problem.x.clone()

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        spikes = drawn(self.problem, point, self.T, self.done)
        self.done += 1
        grad = seen.ascent
        u = self.problem.uniform(*grad.shape[1:], salt=5000 + self.done)
        wish = to_spikes(spikes, grad, u, (grad == 0).flatten(1).all(1))
        change = ((spikes + wish).clamp(0, 1) - spikes).mean(1)
        return point + change - _PULL * (point - self.problem.x)


def drawn(problem: Problem, point: Tensor, T: int, step: int) -> Tensor:
    """Spikes that fire with the probability of their pixel, ``[n, T, *]``."""
    return (problem.uniform(T, *point.shape[1:], salt=9000 + step) < point[:, None]).to(point)


def _zeros_kept(
    attack: GridAttack, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int,
    scope: AttackScope | None,
) -> Seen:  # fmt: skip
    """One query whose missing gradients stay zero, since this attack has its own answer to them."""
    seen = victim.query(
        point, lambda z: attack._loss(z, problem), problem.ids, step, gradient=scope is not None, scope=scope
    )
    costs = victim.costs if scope is not None else (victim.eot, 0)
    ledger.forwards[problem.rows] += costs[0]
    ledger.backwards[problem.rows] += costs[1]
    if seen.grad is not None:
        ledger.zeros[problem.rows] += (seen.grad == 0).flatten(1).all(1).long()
    return seen
