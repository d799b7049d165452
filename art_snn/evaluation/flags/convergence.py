"""W4, W5, W6: would more steps, more restarts or another surrogate have broken more?

Each is run on the samples of a fixed subset that withstand the gradient attacks so far; what it breaks beyond them is
the change.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.attacks.evasion import SNNAutoPGD
from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading, slack
from art_snn.evaluation.flags.climb import climb
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.pool import steered
from art_snn.evaluation.flags.trials import ladder
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.gradients import GradientPolicy
from art_snn.networks.spiking_network import SpikingNetwork

Array = np.ndarray[Any, np.dtype[Any]]
_UNFINISHED = 0.05
_WINDOW = 10
_ASCENT = 50


def broken_beyond(
    evidence: Evidence, rows: Array, steps: int, name: str, policy: GradientPolicy | None = None, **options: Any
) -> Array:
    """Which of the surviving ``rows`` another run of Auto-PGD on the margin breaks, boolean."""
    x, y = evidence.few
    if len(rows) == 0:
        return np.zeros(0, dtype=bool)
    own = isinstance(evidence.model, SpikingNetwork)
    seed = derived_seed(evidence.seed, "beyond", name)
    with seeded_globals(seed), steered(evidence.model, None if own else policy):
        attack = SNNAutoPGD(
            evidence.classifier, norm=np.inf, eps=evidence.eps, max_iter=steps, loss_type="margin",
            policy=policy if own else None, seed=seed, **options,
        )  # fmt: skip
        attack.generate(x[rows], y[rows])
    return np.asarray(attack.record.success)


def _must_run(evidence: Evidence) -> None:
    """Raise what kept the attack from running."""
    error = evidence.run("apgd-margin", _margin(evidence), evidence.eps).error
    if error:
        raise ValueError(f"the attack could not run: {error}")


def _margin(evidence: Evidence) -> Any:
    return ladder(evidence)["apgd-margin"]


class Steps(Check):
    """W4."""

    id = "W4"
    title = "convergence"
    rule = (
        "twice the steps break less than 0.5 % more samples (two where few), and the best loss, rescaled to [0, 1], "
        "moves by at most 0.05 in the last 10 steps, on average"
    )
    threshold = 0.005
    advice = "the attack had not finished: give it more steps, or a better step size, before you quote its number"

    def measure(self, evidence: Evidence) -> Reading:
        """The share of samples that only the longer run breaks."""
        _must_run(evidence)
        steps, rows, n = evidence.steps, evidence.survivors, len(evidence.few[0])
        more = float(broken_beyond(evidence, rows, 2 * steps, "steps").sum() / n)
        moved = _unfinished(evidence, rows)
        limit = slack(self.threshold, n)
        found = f"{steps} to {2 * steps} steps break {more:.1%} more, the loss still moved by {moved:.3g} at the end"
        raised = more > limit or moved > _UNFINISHED
        return Reading(more, raised, n, found, {"steps": steps, "unfinished": moved}, limit)


def _unfinished(evidence: Evidence, rows: Array) -> float:
    """How far the loss still moves at the end of an ascent; one on frozen draws where the model is random."""
    if len(rows) == 0:
        return 0.0
    path = climb(evidence, rows, evidence.eps, max(evidence.steps, _ASCENT), frozen=evidence.declared)
    return float(path.unfinished(_WINDOW).mean())


class Restarts(Check):
    """W5."""

    id = "W5"
    title = "restarts"
    rule = "twice the restarts break less than 0.5 % more samples (two where few)"
    threshold = 0.005
    advice = "a second start finds what the first one missed: use more restarts before you quote the number"

    def measure(self, evidence: Evidence) -> Reading:
        """The share of samples that only a second start breaks."""
        _must_run(evidence)
        rows, n = evidence.survivors, len(evidence.few[0])
        more = float(broken_beyond(evidence, rows, evidence.steps, "restart").sum() / n)
        found = f"a second start breaks {more:.1%} more"
        return Reading(more, samples=n, found=found, threshold=slack(self.threshold, n))


class SurrogateSpread(Check):
    """W6."""

    id = "W6"
    title = "surrogate spread"
    rule = (
        "a pool of other surrogates and policies breaks at most 2 % more samples (two where few) than the model's own"
    )
    threshold = 0.02
    advice = (
        "the training surrogate hides gradient from its own attack: only the worst case over the pool may be quoted"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The share of samples that only the pool breaks; which member how many is a detail."""
        if not evidence.pool:
            raise NotApplicableError("no surrogate that could be replaced")
        steps = max(evidence.steps // 2, 5)
        rows, n = evidence.survivors, len(evidence.few[0])
        fallen = np.zeros(len(rows), dtype=bool)
        by: dict[str, int] = {}
        for name, policy in evidence.pool.items():
            open_rows = np.flatnonzero(~fallen)
            hit = broken_beyond(evidence, rows[open_rows], steps, name, policy)
            fallen[open_rows[hit]] = True
            by[name] = int(hit.sum())
        more = float(fallen.sum() / n)
        best = max(by, key=lambda name: by[name])
        found = f"{len(by)} other gradients break {more:.1%} more ({best} most)"
        return Reading(more, samples=n, found=found, details={"broken_by": by}, threshold=slack(self.threshold, n))
