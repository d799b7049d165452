r"""DetectorAwarePGD: against a network and the detector that watches it, at once.

A point succeeds if it is misclassified *and* not flagged; a flagged point counts as answered rightly. With
:math:`d(x)` the detector's score in units of its threshold, the loss that is kept and reported is the worse of the two
margins, :math:`\min(m(x),\; 1 - d(x))` with :math:`m = \max_{j \ne y} z_j - z_y`, above 0 exactly where both goals are
met. Steps follow one of two directions:

``penalty``
    :math:`\nabla \mathrm{ce} - \lambda \nabla d`, each scaled to a mean absolute value of 1, with a line search for
    :math:`\lambda` per sample: it grows by a fifth at a point that is misclassified but flagged, and shrinks by a fifth
    at one that is still right. Pairs of restarts begin at 1, 0.1, 10, 0.01, 100, and again.
``orthogonal``
    the gradient of the goal that is missed (the class first), without its component along the gradient of the other.

As long as a point is right, d is the distance to the runner-up class, whose samples it is to look like. Gradients go
through the spikes of network and features under the network's own surrogate, or a policy.

Even restarts begin at the clean sample and move only the values of largest gradient, a share of them that falls like a
cosine from 1/2 to 1/50, by 2 :math:`\epsilon`/5: a spike code turns small changes everywhere into spikes everywhere.
Odd ones begin at random and move all values, by a step (sign of the gradient, or normalized for L2) that falls from
2 :math:`\epsilon`/5 to 0.

Source: penalty as in Carlini and Wagner, AISec 2017; orthogonal and selective steps as in Bryniarski et al. 2021.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from art_snn.attacks.evasion import losses
from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.record import Ledger
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.snn_auto_pgd import unit_step
from art_snn.attacks.evasion.summary import Writer
from art_snn.attacks.evasion.victim import Objective, Seen, Victim, first_argmax
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope, GradientPolicy

VARIANTS = ("penalty", "orthogonal")
_STARTS = (1.0, 0.1, 10.0, 0.01, 100.0)
_RATE = 1.2
_FIRST_STEP = 0.4
_FIRST_SHARE, _LAST_SHARE = 0.5, 0.02


class Detector(Protocol):
    """What is attacked: logits and distances with gradient, and the threshold above which a sample is flagged."""

    classifier: Any

    @property
    def threshold(self) -> float:
        """Scores above it are flagged."""
        ...

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and distances to every class, each ``[N, K]``; the score is that of the predicted class."""
        ...

    def detect(self, x: Any, batch_size: int = 128) -> tuple[dict[str, Any], Any]:
        """A report, and flags ``[N]``."""
        ...


class DetectorAwarePGD(PixelAttack):
    """Misclassified and not flagged; see the module's text for the equations.

    :param detector: a fitted :class:`~art_snn.defenses.detector.SpikeTimingDetector`; its classifier is attacked.
    :param variant: ``penalty`` or ``orthogonal``.
    :raises ValueError: for another variant, a norm other than inf and 2, or a stochastic network.
    :raises RuntimeError: if the detector was not fitted.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`, without ``estimator`` and
    ``loss_type``. ``last_run.success`` speaks of both goals.

    >>> from art_snn.coding import Latency
    >>> from art_snn.defenses.detector import SpikeTimingDetector
    >>> from art_snn.estimators import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 4, 4), 2, hidden=(8,), encoder=Latency(T=4))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 2, clip_values=(0.0, 1.0))
    >>> x = np.random.default_rng(0).random((60, 1, 4, 4)).astype(np.float32)
    >>> detector = SpikeTimingDetector(clf, fpr=0.1)
    >>> detector.fit(x, clf.predict(x).argmax(1))
    >>> attack = DetectorAwarePGD(detector, eps=0.1, max_iter=2, nb_random_init=1)
    >>> bool((np.abs(attack.generate(x[:4]) - x[:4]) <= 0.1 + 1e-6).all())
    True
    """

    attack_params = ["variant", *PixelAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    norms = (np.inf, 2.0)
    loss_types = ("ce",)

    def __init__(
        self, detector: Detector, norm: float | str = np.inf, eps: float = 8 / 255, max_iter: int = 100,
        nb_random_init: int = 4, variant: str = "penalty", policy: GradientPolicy | None = None,
        batch_size: int = 64, seed: int = 0, verbose: bool = False, summary_writer: Writer = False,
    ) -> None:  # fmt: skip
        self.detector = detector
        self.variant = variant
        super().__init__(
            detector.classifier, norm, eps, max_iter, nb_random_init, "ce", policy, False, batch_size, seed,
            verbose=verbose, summary_writer=summary_writer,
        )  # fmt: skip

    def _check_params(self) -> None:
        super()._check_params()
        if self.variant not in VARIANTS:
            raise ValueError(explain(f"variant={self.variant!r}", f"one of {VARIANTS}", "variant='penalty'"))
        if self.targeted:
            raise ValueError(explain("targeted=True", "an untargeted attack", "targeted=False"))
        if self.estimator.model.is_stochastic:
            fix = "attack the network without its random code, or with a frozen one"
            raise ValueError(explain("a stochastic network", "a deterministic one: its scores are random", fix))
        _ = self.detector.threshold

    def _victim(self) -> _Watched:
        return _Watched(self.estimator, self.policy, self.detector, self.variant, self.seed)

    def _search(self, problem: Problem) -> Search:
        kind = _SparseDescent if self._sparse else _Descent
        return kind(problem, int(self.max_iter))

    def _run(
        self, victim: Victim, problem: Problem, ledger: Ledger, restart: int, starts: Any, scope: AttackScope
    ) -> None:
        self._sparse = restart % 2 == 0
        watched = cast(_Watched, victim)
        watched.trade = torch.full((len(ledger.best),), _STARTS[restart // 2 % len(_STARTS)], device=ledger.best.device)
        super()._run(victim, problem, ledger, restart, starts, scope)

    def _see(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        cast(_Watched, victim).problem = problem
        return super()._see(victim, problem, point, ledger, step, scope)

    def _confirm(self, victim: Victim, problem: Problem, ledger: Ledger, restart: int) -> None:
        """Successes must be misclassified, and unflagged by a fresh call of the detector itself."""
        super()._confirm(victim, problem, ledger, restart)
        rows = problem.rows[ledger.solved[problem.rows]]
        if len(rows) == 0:
            return
        _, flagged = self.detector.detect(ledger.best[rows].cpu().numpy(), batch_size=self.batch_size)
        ledger.forwards[rows] += 1
        lost = rows[torch.as_tensor(np.asarray(flagged), device=rows.device)]
        ledger.solved[lost], ledger.restart[lost], ledger.step[lost] = False, -1, -1


class _Watched(Victim):
    """The network together with its detector; a flagged sample answers what is right."""

    problem: Problem
    trade: Tensor

    def __init__(
        self, estimator: Any, policy: GradientPolicy | None, detector: Detector, variant: str, seed: int
    ) -> None:
        super().__init__(estimator, policy, None, None, seed)
        self.detector, self.variant = detector, variant

    @property
    def costs(self) -> tuple[int, int]:
        """See :class:`Victim`; there is a gradient for each goal."""
        forwards, backwards = super().costs
        return forwards, 2 * backwards

    def _look(self, x: Tensor, objective: Objective, keys: list[int], gradient: bool) -> Seen:  # noqa: ARG002
        steered = gradient and self.policy is not None
        policy = self.policy.applied(self.model) if steered else nullcontext()  # type: ignore[union-attr, arg-type]
        y = self.problem.y
        with policy, torch.set_grad_enabled(gradient):
            point = x.detach().requires_grad_(gradient)
            logits, distances = self.detector.look(point)
            distances = distances / self.detector.threshold
            answer = first_argmax(logits.detach())
            wrong = answer != y
            score = distances.gather(1, answer[:, None])[:, 0].detach()
            grad = None
            if gradient:
                own = nn.functional.one_hot(y, logits.shape[1]).bool()
                rival = first_argmax(logits.detach().masked_fill(own, -torch.inf))
                distance = distances.gather(1, rival[:, None])[:, 0]
                up = torch.autograd.grad(objective(logits).sum(), point, retain_graph=True)[0]
                down = torch.autograd.grad(distance.sum(), point)[0]
                grad = self._direction(up, down, wrong, score > 1)
        loss = torch.minimum(losses.margin(logits, y).double(), 1 - score).detach()
        right = nn.functional.one_hot(y, logits.shape[1]).to(logits)
        return Seen(loss, grad, torch.where((score > 1)[:, None], right, logits.detach()))

    def _direction(self, up: Tensor, down: Tensor, wrong: Tensor, flagged: Tensor) -> Tensor:
        """Where to go from here; ``up`` raises the loss of the class, ``down`` the distance."""
        up, down = (g / across(g.abs().flatten(1).mean(1), g) for g in (up, down))
        shape = (-1, *[1] * (up.dim() - 1))
        if self.variant == "orthogonal":
            return torch.where(wrong.view(shape), -_without(down, up), _without(up, down))
        rows = self.problem.rows
        change = torch.where(wrong & flagged, _RATE, torch.where(wrong, 1.0, 1 / _RATE))
        self.trade[rows] *= change.to(self.trade)
        return up - self.trade[rows].to(up).view(shape) * down


def _without(g: Tensor, h: Tensor) -> Tensor:
    """``g`` without its component along ``h``, per sample."""
    one, two = g.flatten(1), h.flatten(1)
    share = (one * two).sum(1) / (two * two).sum(1).clamp(min=torch.finfo(g.dtype).tiny)
    return (one - share[:, None] * two).view_as(g)


class _Descent(BallSearch):
    """From a random point, sign or normalized steps whose length falls like a cosine."""

    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem)
        self.steps, self.done = steps, 0

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        return point + self.fallen() * _FIRST_STEP * self.reach() * unit_step(seen.ascent, self.ball.norm)

    def fallen(self) -> float:
        """From 1 to 0 over the steps."""
        self.done += 1
        return (1 + math.cos(math.pi * (self.done - 1) / self.steps)) / 2


class _SparseDescent(_Descent):
    """From the clean sample, steps of constant length for a falling share of the values."""

    def first(self) -> Tensor:
        """The clean sample."""
        return self.problem.x.clone()

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        size = seen.ascent.abs().flatten(1)
        share = _LAST_SHARE + (_FIRST_SHARE - _LAST_SHARE) * self.fallen()
        least = size.topk(max(int(share * size.shape[1]), 1), 1).values[:, -1]
        chosen = seen.ascent * (seen.ascent.abs() >= least.view(-1, *[1] * (point.dim() - 1)))
        return point + _FIRST_STEP * self.reach() * unit_step(chosen, self.ball.norm)
