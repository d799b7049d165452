"""The promise that every native attack keeps; the ideas are in the subclasses.

* Any visited legal point that is misclassified counts, and is the one returned; on failure, the point of highest loss.
* Each restart starts from the clean sample with fresh noise; solved samples leave, the others do not notice.
* Every success is confirmed by a fresh forward pass of the unchanged model, for a stochastic model by a majority of
  votes, and every returned point by the threat model in float64.
* A sample without gradient takes a random sign step, which is counted. A gradient that is not a number is an error.
* The estimator is left as it was found.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator, LossGradientsMixin
from torch import Tensor
from tqdm.auto import tqdm

from art_snn.attacks.evasion import draws, losses
from art_snn.attacks.evasion.arguments import check_common, index_labels, masked, samples
from art_snn.attacks.evasion.record import AttackRun, Ledger, column
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.summary import Diary, Writer, check_writer
from art_snn.attacks.evasion.victim import Seen, Victim, first_argmax
from art_snn.errors import GuardedInit, explain, guarded
from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.threats import ThreatModel

logger = logging.getLogger(__name__)

_ASKED = 8
"""Steps between two looks at a device that has to be waited for."""

_WITH_TARGETS = ("dlr_targeted", "difference")


def interval(device: torch.device) -> int:
    """How many steps an attack takes before it asks the device who is done: samples that are done leave at once where
    asking is free.
    """
    return 1 if device.type == "cpu" else _ASKED


class NativeAttack(GuardedInit, EvasionAttack):
    """Base class: a subclass says how many queries a run has and makes a :class:`Search`.

    :param estimator: a trained ``SNNClassifier``, or any ART PyTorch classifier.
    :param max_iter: steps of one run.
    :param nb_random_init: runs per sample, each from a start of its own.
    :param loss_type: ``ce``, ``margin``, ``dlr``, or ``dlr_targeted`` (one run per target among the most likely other
        classes and per start).
    :param policy: how gradients cross a spike; ``None`` is the network's own surrogate.
    :param targeted: labels are the classes to reach.
    :param batch_size: samples per forward pass; the result does not depend on it.
    :param seed: seed of every random number of the attack.
    :param eot: draws per gradient of a stochastic model (losses are averaged); ``None`` is at least 10.
    :param votes: predictions per decision of a stochastic model; ``None`` is 10.
    :param nb_targets: targets of ``dlr_targeted``, at most the number of other classes.
    :param verbose: show a progress bar.
    :param summary_writer: TensorBoard curves, as ART's attacks write them; see :mod:`art_snn.attacks.evasion.summary`.
    :raises ValueError: for a parameter out of range.
    :raises TypeError: for a policy that the model cannot follow.
    :raises ImportError: for a summary writer without tensorboardX.
    """

    attack_params = EvasionAttack.attack_params + [  # noqa: RUF005 - ART's own idiom
        "max_iter", "nb_random_init", "loss_type", "policy", "targeted", "batch_size", "seed", "eot",
        "votes", "nb_targets", "verbose",
    ]  # fmt: skip
    _estimator_requirements = (BaseEstimator, LossGradientsMixin, ClassifierMixin)
    loss_types: tuple[str, ...] = ("ce", "margin", "dlr", "dlr_targeted")

    def __init__(
        self, estimator: Any, max_iter: int = 100, nb_random_init: int = 1, loss_type: str = "ce",
        policy: GradientPolicy | None = None, targeted: bool = False, batch_size: int = 64, seed: int = 0,
        eot: int | None = None, votes: int | None = None, nb_targets: int = 9, verbose: bool = False,
        summary_writer: Writer = False,
    ) -> None:  # fmt: skip
        super().__init__(estimator=estimator, summary_writer=check_writer(summary_writer))
        self.max_iter = max_iter
        self.nb_random_init = nb_random_init
        self.loss_type = loss_type
        self.policy = policy
        self._targeted = targeted
        self.batch_size = batch_size
        self.seed = seed
        self.eot = eot
        self.votes = votes
        self.nb_targets = nb_targets
        self.verbose = verbose
        self._diary: Diary | None = None
        self.last_run: AttackRun | None = None
        self._check_params()

    def _check_params(self) -> None:
        check_common(self)

    def set_params(self, **kwargs: Any) -> None:
        """Set parameters as ART does; a value of another kind is refused with a repair as well.

        :raises ValueError: for an unknown parameter, or a value out of range.
        :raises TypeError: for a value of another kind.
        """
        guarded(super().set_params)(**kwargs)

    @property
    @abstractmethod
    def threat(self) -> ThreatModel:
        """The threat model: what may change, and how much."""

    @property
    def record(self) -> AttackRun:
        """The record of the last ``generate``.

        :raises RuntimeError: before the first one.
        """
        if self.last_run is None:
            raise RuntimeError(explain("an attack that has not run", "a call of generate first", "generate(x, y)"))
        return self.last_run

    @abstractmethod
    def _search(self, problem: Problem) -> Search:
        """A fresh run on a batch."""

    def _victim(self) -> Victim:
        """The model under attack, with the policy that steers its gradients."""
        return Victim(self.estimator, self.policy, self.eot, self.votes, self.seed)

    def _queries(self) -> int:
        """Points visited by one run; the start is one of them."""
        return int(self.max_iter) + 1

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial samples.

        :param x: clean samples ``[N, *]``; not modified.
        :param y: index or one-hot labels; ``None`` takes the model's own predictions (not for targeted attacks).
        :param kwargs: ``mask``: 1 where a value may change, of the shape of ``x`` or of one sample. ``starts``: points
            ``[N, *]`` that every run begins with instead of a random start. ``first_restart``: number of the first
            restart, one for all or one per sample, so that restarts can be repeated alone or run side by side.
        :return: float32 array of the shape of ``x``; samples that were wrong to begin with come back unchanged.
        :raises ValueError: for unusable samples, labels or mask.
        :raises RuntimeError: if a point left the budget, which would be an error of the attack.
        """
        victim = self._victim()
        clean = torch.as_tensor(samples(x, self.estimator), device=victim.device)
        ids = draws.sample_ids(clean)
        mask = masked(kwargs.get("mask"), clean)
        with victim.attached():
            predicted = self._decided(victim, clean, ids)
            labels = index_labels(y, len(clean), self.estimator.nb_classes, self.targeted, predicted)
            wrong = (predicted == labels) if self.targeted else (predicted != labels)
            ledger = Ledger(clean.clone(), wrong, victim.is_stochastic)
            ledger.forwards += victim.votes
            rows = torch.arange(len(clean), device=clean.device)
            offsets = np.broadcast_to(kwargs.get("first_restart", 0), (len(clean),)).tolist()
            whole = Problem(clean, labels, labels, rows, mask, ids, offsets, self.threat)
            if self.summary_writer is not None:
                self._diary = Diary(self.summary_writer, self.estimator, labels, self.batch_size, self.targeted)
            self._attack(victim, whole, ledger, kwargs.get("starts"))
        if self._diary is not None:
            self._diary.close(ledger)
            self._diary = None
        usage = self._verified(clean, ledger.best)
        self.last_run = ledger.report(usage, repr(self.threat), None if self.policy is None else repr(self.policy))
        return ledger.best.cpu().numpy()

    def _decided(self, victim: Victim, x: Tensor, ids: list[int], salt: int = 0) -> Tensor:
        pieces = torch.arange(len(x)).split(self.batch_size)
        return torch.cat([victim.decide(x[piece], [ids[i] for i in piece.tolist()], salt) for piece in pieces])

    def _attack(self, victim: Victim, whole: Problem, ledger: Ledger, starts: Any) -> None:
        runs = self.nb_random_init * (self._targets_per_start() if self.loss_type in _WITH_TARGETS else 1)
        if self.threat.is_zero:
            ledger.close_restart()
            return
        for restart in tqdm(range(runs), desc=type(self).__name__, disable=not self.verbose):
            for rows in self._open(ledger).split(self.batch_size):
                if len(rows) == 0:
                    continue
                problem = self._problem(victim, whole.select(rows), restart)
                with self._scope(victim, rows.tolist()) as scope:
                    self._run(victim, problem, ledger, restart, starts, scope)
                self._confirm(victim, whole.select(rows), ledger, restart)
            ledger.close_restart()

    def _scope(self, victim: Victim, rows: list[int]) -> AbstractContextManager[AttackScope]:
        """State of a stateful policy, for one run."""
        return victim.scope(rows)

    def _open(self, ledger: Ledger) -> Tensor:
        """Rows that the next run takes on."""
        return ledger.open()

    def _targets_per_start(self) -> int:
        return min(int(self.nb_targets), int(self.estimator.nb_classes) - 1)

    def _problem(self, victim: Victim, problem: Problem, restart: int) -> Problem:
        seeds = [draws.key(self.seed, r + restart, one) for r, one in zip(problem.seeds, problem.ids, strict=True)]
        target = problem.y
        if self.loss_type in _WITH_TARGETS:
            own = torch.nn.functional.one_hot(problem.y, self.estimator.nb_classes).bool()
            ranked = victim.logits(problem.x, problem.ids).masked_fill(own, -torch.inf).argsort(1, descending=True)
            target = ranked[:, restart % self._targets_per_start()]
        keys = torch.tensor(seeds, device=problem.x.device)
        return replace(problem, target=target, seeds=seeds, keys=keys)

    def _run(
        self, victim: Victim, problem: Problem, ledger: Ledger, restart: int, starts: Any, scope: AttackScope
    ) -> None:
        search = self._search(problem)
        start = search.first() if starts is None else torch.as_tensor(starts, device=problem.x.device)[problem.rows]
        point = search.problem.project(start.to(problem.x))
        with self._waiting(victim):
            self._climb(victim, search, point, ledger, restart, scope, interval(point.device))

    def _waiting(self, victim: Victim) -> AbstractContextManager[None]:
        """Inside, a device that has to be waited for is not asked before :meth:`_settle_queries`."""
        return victim.unasked() if interval(victim.device) > 1 else nullcontext()

    def _settle_queries(self, victim: Victim) -> None:
        """Judge the queries since the last call."""
        victim.settle()

    def _climb(
        self, victim: Victim, search: Search, point: Tensor, ledger: Ledger, restart: int, scope: AttackScope,
        every: int,
    ) -> None:  # fmt: skip
        """The loop. Samples that are done leave every so many steps; until then they are carried, and not counted."""
        queries = self._queries()
        gone = torch.zeros(len(point), dtype=torch.bool, device=point.device)
        for step in range(queries):
            gradient = search.wants_gradient and step + 1 < queries
            rows = search.problem.rows
            paid = ledger.paid(rows)
            seen = self._look(victim, search.problem, point, ledger, step, scope if gradient else None)
            hit = self._hit(seen.logits, search.problem.y) & (not victim.is_stochastic) & ~gone
            ledger.note(rows, point, torch.where(gone, -torch.inf, seen.loss), hit, restart, step)
            if every > 1:
                ledger.refund(rows, paid, gone)
            gone = gone | hit
            if (step + 1) % every == 0 or step + 1 == queries:
                self._settle_queries(victim)
                if bool(gone.any()):
                    left = (~gone).nonzero()[:, 0]
                    if len(left) == 0:
                        return
                    search.keep(left)
                    scope.batch(search.problem.rows.tolist())
                    point, seen, gone = point[left], seen.select(left), gone[left]
            if step + 1 < queries:
                point = search.problem.project(search.next(point, seen))
                ledger.forwards[search.problem.rows] += search.extra[0] * (~gone)
                ledger.backwards[search.problem.rows] += search.extra[1] * (~gone)

    def _look(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        """:meth:`_see`, told to the summary writer if there is one."""
        seen = self._see(victim, problem, point, ledger, step, scope)
        if self._diary is not None:
            self._diary.note(problem, point, seen, ledger)
        return seen

    def _see(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        """One query, with gradient if there is a scope; a sample without gradient gets random signs."""
        wanted = scope is not None
        seen = victim.query(point, lambda z: self._loss(z, problem), problem.ids, step, gradient=wanted, scope=scope)
        if seen.grad is None:
            ledger.forwards[problem.rows] += victim.eot
            return seen
        ledger.forwards[problem.rows] += victim.costs[0]
        ledger.backwards[problem.rows] += victim.costs[1]
        grad = seen.grad if problem.mask is None else torch.where(problem.mask != 0, seen.grad, 0.0)
        flat = (grad == 0).flatten(1).all(1)
        if not victim.is_asked or bool(flat.any()):
            ledger.zeros[problem.rows] += flat.long()
            grad = torch.where(column(flat, grad), problem.signs(step, grad), grad)
        return Seen(seen.loss, grad, seen.logits)

    def _loss(self, z: Tensor, problem: Problem) -> Tensor:
        """What the attack maximizes."""
        if self.loss_type in _WITH_TARGETS:
            return losses.WITH_TARGET[self.loss_type](z, problem.y, problem.target)
        if self.targeted:
            return losses.towards(self.loss_type, z, problem.y)
        return losses.LOSSES[self.loss_type](z, problem.y)

    def _hit(self, z: Tensor, y: Tensor) -> Tensor:
        """Where the attack has what it wants; the lowest of the largest logits decides, so a tie is no success."""
        predicted = first_argmax(z)
        return (predicted == y) if self.targeted else (predicted != y)

    def _confirm(self, victim: Victim, problem: Problem, ledger: Ledger, restart: int) -> None:
        """Judge what this run found by fresh forward passes of the model as it is."""
        if victim.is_stochastic:
            self._vote(victim, problem, ledger, restart)
            return
        solved = problem.select(ledger.solved[problem.rows].nonzero()[:, 0])
        if len(solved) == 0:
            return
        decided = victim.decide(ledger.best[solved.rows], solved.ids)
        ledger.forwards[solved.rows] += 1
        kept = (decided == solved.y) if self.targeted else (decided != solved.y)
        lost = solved.rows[~kept]
        ledger.solved[lost], ledger.restart[lost], ledger.step[lost] = False, -1, -1

    def _vote(self, victim: Victim, problem: Problem, ledger: Ledger, restart: int) -> None:
        order = ledger.candidate_loss[problem.rows].argsort(1, descending=True)
        for place in range(order.shape[1]):
            waiting = (~ledger.solved[problem.rows]).nonzero()[:, 0]
            if len(waiting) == 0:
                return
            part, slot = problem.select(waiting), order[waiting, place]
            decided = victim.decide(ledger.candidates[part.rows, slot], part.ids, salt=1 + restart)
            ledger.forwards[part.rows] += victim.votes
            hit = (decided == part.y) if self.targeted else (decided != part.y)
            ledger.elect(part.rows[hit], slot[hit], restart)

    def _verified(self, clean: Tensor, points: Tensor) -> Any:
        """Usage of each point, once all of them have been found inside the budget."""
        inside, usage = self.threat.contains(clean, points), self.threat.usage(clean, points)
        if not bool(inside.all()):
            came = f"{int((~inside).sum())} points outside {self.threat!r}, of usage {usage}"
            raise RuntimeError(explain(came, "points inside the budget", "report this: the attack forgot to project"))
        if isinstance(usage, Mapping):
            return {name: used.cpu().numpy() for name, used in usage.items()}
        return usage.cpu().numpy()
