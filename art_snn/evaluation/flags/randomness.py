"""W7: a model that answers differently from call to call, and whether the attack averages over it."""

from __future__ import annotations

import numpy as np

from art_snn.attacks.evasion import SNNAutoPGD
from art_snn.evaluation.flags.base import Check, Reading, slack
from art_snn.evaluation.flags.climb import climb
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.seeding import derived_seed

_CALLS = 5
_DRAWS = (1, 5, 20)
_ROWS = 16
_LARGE = 0.5
_BROKEN = 0.9


class Randomness(Check):
    """W7."""

    id = "W7"
    title = "randomness"
    rule = (
        "five forward passes agree (number of correct samples; L2-normalized logits within 1e-4), or the model says "
        "that it is random, so that attacks average over 10 draws and more, 5 to 20 draws change nothing, and an "
        "attack on frozen draws breaks 90 % at half the range"
    )
    threshold = 1e-4
    advice = (
        "the model is random: average gradients over draws (EOT >= 10) and judge by votes (>= 10); a module with "
        "is_stochastic = True and a reseed method gets both from the attacks here"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The largest L2 difference of normalized logits between calls."""
        seeds = [derived_seed(evidence.seed, "call", call) for call in range(_CALLS)]
        runs = [evidence.logits(evidence.x, seed, 1) for seed in seeds]
        counts = {int((z.argmax(1) == evidence.y).sum()) for z in runs}
        unit = [z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) for z in runs]
        spread = max(float(np.linalg.norm(z - unit[0], axis=1).max()) for z in unit)
        random = spread > self.threshold or len(counts) > 1
        details = {"correct": sorted(counts), "declared": evidence.declared}
        if not random:
            return Reading(spread, raised=False, samples=len(evidence.x), details=details)
        if not evidence.declared:
            found = f"logits change from call to call by {spread:.3g}, and the model does not say that it is random"
            return Reading(spread, raised=True, samples=len(evidence.x), found=found, details=details)
        return self._answered(evidence, spread, details)

    @staticmethod
    def _answered(evidence: Evidence, spread: float, details: dict[str, object]) -> Reading:
        x, y = (part[:_ROWS] for part in evidence.few)
        left = []
        for draws in _DRAWS:
            attack = SNNAutoPGD(
                evidence.classifier, norm=np.inf, eps=evidence.eps, max_iter=evidence.plan.random_steps,
                loss_type="margin", eot=draws, seed=derived_seed(evidence.seed, "eot"),
            )  # fmt: skip
            attack.generate(x, y)
            left.append(attack.record.summary["robust_accuracy"])
        rows = np.flatnonzero(evidence.right[: len(x)])
        reach = _LARGE * evidence.span
        frozen = (
            climb(evidence, rows, reach, 4 * evidence.plan.random_steps, frozen=True).broken.mean() if len(rows) else 1
        )
        gain = left[1] - left[2]
        raised = gain > slack(0.005, len(x)) or frozen < _BROKEN
        curve = ", ".join(f"{draws} draws {value:.1%}" for draws, value in zip(_DRAWS, left, strict=True))
        found = f"left with {curve}; frozen draws break {frozen:.1%} at eps {reach:.3g}"
        return Reading(spread, raised, len(x), found, {**details, "eot": left, "frozen": frozen})
