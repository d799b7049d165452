"""What an attack did to each sample: kept while it runs, reported as ``last_run``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]

CANDIDATES = 3
"""Points of highest loss per sample that are put to the vote, for a stochastic model."""


def column(flags: Tensor, like: Tensor) -> Tensor:
    """One flag per sample, shaped to broadcast over ``like [n, *]``."""
    return flags.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class AttackRun:
    """The record of one ``generate``; every array has one entry per sample.

    ``success`` counts samples that were right and are now wrong, confirmed by a fresh forward pass and inside the
    budget. ``initially_wrong`` samples were left alone. ``restart`` and ``step`` tell where the success was first seen
    (-1: nowhere), ``usage`` how much of the budget it uses (the distance from the clean sample; one array per budget
    where there are several), ``forwards`` and ``backwards`` the cost in passes, ``zero_gradients`` the steps without
    any gradient. ``robust_accuracy`` has one entry per restart.

    :param best_loss: largest loss that was seen.
    :param threat: the budget with its norm.
    :param policy: how gradients crossed a spike; ``None`` is the network's own surrogate.

    >>> one, none = np.array([True, False]), np.array([False, False])
    >>> cost = np.array([10, 10])
    >>> run = AttackRun(one, none, cost * 0.0, cost, cost, cost * 0.01, cost, cost, 0 * cost, [0.5], "Linf(0.1)")
    >>> run.summary
    {'robust_accuracy': 0.5, 'success_rate': 0.5, 'forwards': 20.0, 'backwards': 20.0}
    """

    success: Array
    initially_wrong: Array
    best_loss: Array
    restart: Array
    step: Array
    usage: Array | dict[str, Array]
    forwards: Array
    backwards: Array
    zero_gradients: Array
    robust_accuracy: list[float]
    threat: str
    policy: str | None = None

    @property
    def summary(self) -> dict[str, float]:
        """Robust accuracy, attack success rate among initially correct samples, and total cost.

        Initially wrong samples count as broken in the first and are left out of the second.
        """
        right = ~self.initially_wrong
        return {
            "robust_accuracy": float((right & ~self.success).mean()),
            "success_rate": float(self.success[right].mean()) if right.any() else 0.0,
            "forwards": float(self.forwards.sum()),
            "backwards": float(self.backwards.sum()),
        }


@dataclass
class Ledger:
    """Running account of one ``generate``; rows are samples of the whole input."""

    best: Tensor
    wrong: Tensor
    stochastic: bool
    robust_accuracy: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        n, device = len(self.best), self.best.device
        self.loss = torch.full((n,), -torch.inf, dtype=torch.double, device=device)
        self.solved = torch.zeros(n, dtype=torch.bool, device=device)
        self.restart = torch.full((n,), -1, device=device)
        self.step = torch.full((n,), -1, device=device)
        self.forwards = torch.zeros(n, dtype=torch.long, device=device)
        self.backwards = torch.zeros(n, dtype=torch.long, device=device)
        self.zeros = torch.zeros(n, dtype=torch.long, device=device)
        self.candidates = self.best.unsqueeze(1).repeat(1, CANDIDATES, *[1] * (self.best.dim() - 1))
        self.candidate_loss = torch.full((n, CANDIDATES), -torch.inf, dtype=torch.double, device=device)

    def open(self) -> Tensor:
        """Rows that are still to be broken."""
        return (~self.wrong & ~self.solved).nonzero()[:, 0]

    def note(self, rows: Tensor, point: Tensor, loss: Tensor, hit: Tensor, restart: int, step: int) -> None:
        """Account for one query: keep the point where it is a hit, or the best so far."""
        loss = loss.double()
        better = hit | (loss > self.loss[rows])
        self.best[rows] = torch.where(column(better, point), point, self.best[rows])
        self.loss[rows] = torch.where(better, loss, self.loss[rows])
        self.solved[rows] = hit | self.solved[rows]
        self.restart[rows] = torch.where(hit, restart, self.restart[rows])
        self.step[rows] = torch.where(hit, step, self.step[rows])
        if self.stochastic:
            self._nominate(rows, point, loss)

    def _nominate(self, rows: Tensor, point: Tensor, loss: Tensor) -> None:
        lowest, slot = self.candidate_loss[rows].min(1)
        better = loss > lowest
        self.candidates[rows, slot] = torch.where(column(better, point), point, self.candidates[rows, slot])
        self.candidate_loss[rows, slot] = torch.where(better, loss, lowest)

    def paid(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Forwards, backwards and zero gradients so far."""
        return self.forwards[rows], self.backwards[rows], self.zeros[rows]

    def refund(self, rows: Tensor, paid: tuple[Tensor, ...], gone: Tensor) -> None:
        """Take back what samples that were done already paid since."""
        for account, before in zip((self.forwards, self.backwards, self.zeros), paid, strict=True):
            account[rows] = torch.where(gone, before, account[rows])

    def elect(self, rows: Tensor, slot: Tensor, restart: int) -> None:
        """Rows whose candidate was voted wrong: that point is the success."""
        self.best[rows] = self.candidates[rows, slot]
        self.loss[rows] = self.candidate_loss[rows, slot]
        self.solved[rows] = True
        self.restart[rows] = restart

    def close_restart(self) -> None:
        """Note the robust accuracy reached so far."""
        self.robust_accuracy.append(float((~self.wrong & ~self.solved).double().mean()))

    def report(self, usage: Array | dict[str, Array], threat: str, policy: str | None) -> AttackRun:
        """The account as arrays."""
        names = {
            "success": self.solved, "initially_wrong": self.wrong, "best_loss": self.loss, "restart": self.restart,
            "step": self.step, "forwards": self.forwards, "backwards": self.backwards, "zero_gradients": self.zeros,
        }  # fmt: skip
        arrays = {name: value.cpu().numpy() for name, value in names.items()}
        return AttackRun(**arrays, usage=usage, robust_accuracy=self.robust_accuracy, threat=threat, policy=policy)
