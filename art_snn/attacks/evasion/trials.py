"""Many trials on one sample: an attack that compares single flips asks the model about hundreds of grids at once."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import GridAttack, Standing
from art_snn.attacks.evasion.record import Ledger
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Victim
from art_snn.gradients.base import AttackScope

CHUNK = 64
"""Grids per forward pass; a number of its own, so that results do not depend on the batch size."""


class Trials:
    """The model as seen from one sample; every grid asked about is legal and is noted in the ledger.

    :param attack: the attack, for its loss and what it calls a success.
    :param victim: the model.
    :param problem: one sample.
    :param ledger: the account.
    :param restart: number of the run.
    """

    def __init__(self, attack: GridAttack, victim: Victim, problem: Problem, ledger: Ledger, restart: int) -> None:
        self.attack, self.victim, self.problem, self.ledger, self.restart = attack, victim, problem, ledger, restart
        self.step = 0

    def look(self, changes: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and success of the clean sample plus each of ``changes [m, *]``; never a success where the model is
        stochastic, since the votes come later.
        """
        losses, hits = [], []
        for piece in changes.split(CHUNK):
            rows = torch.zeros(len(piece), dtype=torch.long, device=piece.device)
            many = self.problem.select(rows)
            points = many.x + piece
            objective = partial(self.attack._loss, problem=many)
            seen = self.victim.query(points, objective, many.ids, self.step, gradient=False)
            hit = self.attack._hit(seen.logits, many.y) & (not self.victim.is_stochastic)
            self.ledger.forwards[self.problem.rows] += len(piece) * self.victim.eot
            self._note(points, seen.loss, hit)
            losses.append(seen.loss)
            hits.append(hit)
        self.step += 1
        return torch.cat(losses), torch.cat(hits)

    def fools(self, changes: Tensor) -> Tensor:
        """Success of the clean sample plus each of ``changes``; the latest success is the one that counts."""
        return self.look(changes)[1]

    def _note(self, points: Tensor, loss: Tensor, hit: Tensor) -> None:
        """The first success among these grids, else the highest loss, unless a success is known."""
        rows = self.problem.rows
        if bool(hit.any()):
            place = hit.nonzero()[:1, 0]
        elif self.solved:
            return
        else:
            place = loss.argmax()[None]
        self.ledger.note(rows, points[place], loss[place], hit[place], self.restart, self.step)

    @property
    def solved(self) -> bool:
        """Whether a success is known."""
        return bool(self.ledger.solved[self.problem.rows].all())

    def settle(self, change: Tensor) -> None:
        """Make this success the one that counts."""
        self.look(change[None])


class TrialAttack(GridAttack):
    """Base class of attacks that go through the samples one by one; a subclass implements :meth:`_one`."""

    @abstractmethod
    def _one(self, victim: Victim, problem: Problem, trials: Trials, start: Tensor, scope: AttackScope) -> None:
        """Attack one sample, beginning with the change ``start [*]``."""

    def _search(self, problem: Problem) -> Search:
        return Standing(problem, self._first_runs(problem))

    def _run(
        self, victim: Victim, problem: Problem, ledger: Ledger, restart: int, starts: Any, scope: AttackScope
    ) -> None:
        search = self._search(problem)
        begin = search.first() if starts is None else torch.as_tensor(starts).to(problem.x)[problem.rows]
        change = problem.project(begin) - problem.x
        for place in range(len(problem)):
            one = problem.select(torch.tensor([place], device=problem.x.device))
            scope.batch(one.rows.tolist())
            self._one(victim, one, Trials(self, victim, one, ledger, restart), change[place], scope)
