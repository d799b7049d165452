"""The ladder of SNNAutoAttack: presets, rungs, and the record of what each rung did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from art_snn.attacks.evasion.record import AttackRun

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Preset:
    """How much is tried.

    ``finalists`` of the grid are calibrated again at full length. ``restarts`` is (least, most), ``patience`` the
    restarts in which the robust accuracy must fall by half a point to go on. ``others`` is the number of further
    policies, ``targets`` of targeted runs, ``fab_targets`` of minimum-norm runs; ``long_steps`` are those of a last
    long run, 0 for none.

    :param full_grid: whether the whole grid of policies is calibrated, or a short list.
    :param calibration_steps: steps of each candidate on the calibration split.
    :param steps: steps of one run.
    :param fab_steps: steps of a minimum-norm run.
    :param square: queries of the black-box search.
    :param corners: random corners of the ball that are tried per sample.

    >>> from art_snn.attacks.evasion.snn_auto_attack import PRESETS
    >>> {name: preset.steps for name, preset in PRESETS.items()}
    {'fast': 50, 'standard': 100, 'thorough': 100}
    """

    full_grid: bool
    calibration_steps: int
    finalists: int
    steps: int
    restarts: tuple[int, int]
    patience: int
    others: int
    targets: int
    fab_targets: int
    fab_steps: int
    square: int
    corners: int
    long_steps: int = 0


PRESETS = {
    "fast": Preset(False, 20, 3, 50, (3, 8), 2, 1, 0, 0, 0, 300, 50),
    "standard": Preset(True, 20, 4, 100, (5, 25), 5, 3, 4, 3, 50, 1000, 200),
    "thorough": Preset(True, 30, 6, 100, (10, 50), 10, 6, 9, 9, 100, 5000, 200, 1000),
}
"""``fast`` for a look, ``standard`` for a number to publish, ``thorough`` to doubt it."""

PLATEAU = 0.005
"""Restarts go on while the last of them lowered the robust accuracy by this much."""


@dataclass(frozen=True)
class LadderRow:
    """One rung: how many samples it got and broke, the robust accuracy after it, and its cost.

    :param rung: name of the attack.
    :param gradients: the policy that its gradients were taken with.
    :param attempted: samples that still stood when it began.
    :param broken: those that it broke.
    :param robust_accuracy: share of all samples that stand after it, 0 to 1.
    :param forwards: forward passes, summed over samples.
    :param backwards: backward passes, summed over samples.
    :param seconds: wall-clock time.

    >>> row = LadderRow("pgd", "atan", 80, 30, 0.5, forwards=800, backwards=400, seconds=2.0)
    >>> row.attempted - row.broken
    50
    """

    rung: str
    gradients: str
    attempted: int
    broken: int
    robust_accuracy: float
    forwards: int
    backwards: int
    seconds: float

    def line(self) -> str:
        """The row as text."""
        return (
            f"{self.rung:<24} {self.gradients:<20} {self.attempted:>6} {self.broken:>6} {self.robust_accuracy:>8.2%} "
            f"{self.forwards:>10} {self.backwards:>10} {self.seconds:>8.1f}"
        )


HEADER = (
    f"{'rung':<24} {'gradients':<20} {'tried':>6} {'broken':>6} {'robust':>8} {'forwards':>10} {'backwards':>10} "
    f"{'seconds':>8}"
)


@dataclass(frozen=True)
class SuiteRun:
    """The record of one SNNAutoAttack; arrays have one entry per sample.

    ``broken_by`` names the rung (empty: not broken), ``unconfirmed`` counts successes that the last fresh forward took
    back. ``calibration`` has (candidate, robust accuracy) pairs, the strongest first; it is empty where no split was
    given. ``surrogate_gap`` is how much higher the robust accuracy looked under the network's own surrogate, on the
    calibration split. ``preflight`` holds what was measured before.

    :param success: right before, wrong now, confirmed, inside the budget.
    :param initially_wrong: misclassified without attack, and left alone.
    :param usage: distance from the clean sample in the norm of the budget.
    :param best_loss: largest margin that was seen.
    :param forwards: forward passes.
    :param backwards: backward passes.
    :param rows: the rungs in the order they ran.
    :param calibration_cost: (forward, backward) passes of the calibration.
    :param eot: draws per gradient.
    :param votes: predictions per decision.
    :param threat: the budget with its norm.
    :param preset: its name.
    :param seed: seed of everything random.

    >>> from art_snn import SNNAutoAttack
    >>> from art_snn.testing import tiny
    >>> from art_snn.networks import mlp
    >>> x, y = tiny.samples(4)
    >>> attack = SNNAutoAttack(tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,), seed=0)), eps=0.1, preset="fast")
    >>> _ = attack.generate(x, y)
    >>> attack.last_run.success.shape, attack.last_run.preset
    ((4,), 'fast')
    """

    success: Array
    initially_wrong: Array
    broken_by: Array
    usage: Array
    best_loss: Array
    forwards: Array
    backwards: Array
    rows: list[LadderRow]
    calibration: list[tuple[str, float]]
    calibration_cost: tuple[int, int]
    surrogate_gap: float | None
    preflight: dict[str, float]
    unconfirmed: int
    eot: int
    votes: int
    threat: str
    preset: str
    seed: int

    @property
    def robust_accuracy(self) -> float:
        """Share of all samples that are right and stay right: the per-sample worst case over the ladder."""
        return float((~self.initially_wrong & ~self.success).mean())

    @property
    def summary(self) -> dict[str, float]:
        """Robust accuracy, success rate among initially correct samples, and cost on the evaluated samples."""
        right = ~self.initially_wrong
        return {
            "robust_accuracy": self.robust_accuracy,
            "success_rate": float(self.success[right].mean()) if right.any() else 0.0,
            "forwards": float(self.forwards.sum()),
            "backwards": float(self.backwards.sum()),
            "seconds": sum(row.seconds for row in self.rows),
        }

    def table(self) -> str:
        """The ladder as text, one rung per line."""
        return "\n".join(
            [f"{self.threat}, preset {self.preset}, seed {self.seed}", HEADER, *map(LadderRow.line, self.rows)]
        )


def first_success(run: AttackRun, points: Array, copies: int) -> tuple[Array, AttackRun]:
    """One entry per sample from restarts that ran side by side (all samples once, then all again): the first success,
    else the highest loss. Costs are added up.
    """

    def by_copy(values: Array) -> Array:
        return values.reshape(copies, -1, *values.shape[1:])

    worth = np.where(by_copy(run.success), np.inf, by_copy(run.best_loss))
    chosen = worth.argmax(0)
    samples = np.arange(worth.shape[1])
    names = ("initially_wrong", "success", "best_loss", "restart", "step", "usage")
    picked = {name: by_copy(getattr(run, name))[chosen, samples] for name in names}
    picked["restart"] = np.where(picked["success"], chosen, -1)
    added = {name: by_copy(getattr(run, name)).sum(0) for name in ("forwards", "backwards", "zero_gradients")}
    solved = np.logical_or.accumulate(by_copy(run.success), 0)
    return by_copy(points)[chosen, samples], replace(
        run, **picked, **added, robust_accuracy=[float(1 - one.mean()) for one in solved]
    )


class Climb:
    """State of a running evaluation: who is still standing, and who broke whom at which cost."""

    def __init__(self, clean: Array, labels: Array, wrong: Array) -> None:
        n = len(clean)
        self.best = clean.copy()
        self.labels, self.wrong = labels, wrong
        self.solved = np.zeros(n, dtype=bool)
        self.broken_by = np.full(n, "", dtype=object)
        self.best_loss = np.full(n, -np.inf)
        self.forwards = np.zeros(n, dtype=np.int64)
        self.backwards = np.zeros(n, dtype=np.int64)
        self.rows: list[LadderRow] = []

    @property
    def open(self) -> Array:
        """Rows that still stand."""
        return np.flatnonzero(~self.wrong & ~self.solved)

    @property
    def robust_accuracy(self) -> float:
        """Share of samples that still stand."""
        return len(self.open) / len(self.labels)

    def take(self, rung: str, rows: Array, points: Array, run: Any, *, comparable: bool) -> int:
        """Add what an attack did to ``rows``; returns how many fell.

        :param comparable: whether its losses are those of the main attack, so that its points can be the best.
        """
        fell = run.success
        better = fell | (comparable & (run.best_loss > self.best_loss[rows]))
        self.best[rows[better]] = points[better]
        if comparable:
            self.best_loss[rows] = np.maximum(self.best_loss[rows], run.best_loss)
        self.solved[rows[fell]] = True
        self.broken_by[rows[fell]] = rung
        self.forwards[rows] += run.forwards
        self.backwards[rows] += run.backwards
        return int(fell.sum())
