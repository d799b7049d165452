"""E4, E5, E6: budgets in the units they claim, an attack without limit, a curve that falls."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.stats import binomtest

from art_snn.evaluation.attacks import ATTACKS
from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.forward import guessing
from art_snn.evaluation.flags.spikes import spike_trials
from art_snn.evaluation.flags.trials import Trial
from art_snn.evaluation.statistics import proportion

BUDGET_DUST = 1e-6
"""Of the range: float32 rounding."""
_LEAST = 0.9
_RAW = ((0.0, 1.0), (0.0, 255.0))
_SIGNIFICANT = 0.05


class BudgetUnits(Check):
    """E4."""

    id = "E4"
    title = "budget units"
    rule = (
        "clip values are those of raw input ([0, 1], or [0, 255]) and the samples keep to them; every attack stays "
        "within eps + 1e-6 of the raw samples, and uses at least 0.9 eps at some sample; an attack on spikes or events "
        "keeps to the threat model that it states (legal values, lines, shifts, moved, added and removed spikes)"
    )
    threshold = 1.0
    advice = (
        "an attack left its budget, hardly used it, or the budget is in other units than the input: keep the input "
        "raw, set its clip_values, normalize inside the network, and project every start and step"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The share of the budget that was used, of the attack furthest off."""
        wrong = misplaced(evidence)
        own = [trial for trial in evidence.trials() if trial.knowledge != "transfer"]
        ran = [trial for trial in (*own, *spike_trials(evidence)) if trial.eps > 0 and not trial.error]
        moved = [trial for trial in ran if evidence.clean.any()]
        beyond = [trial for trial in moved if (trial.used - 1) * trial.eps > BUDGET_DUST * evidence.span]
        idle = [trial for trial in moved if trial.used < _LEAST]
        worst = (beyond or idle or moved)[:1]
        value = min(worst[0].used, 1e9) if worst else 1.0
        said = [wrong] if wrong else []
        said += [_misused(trial) for trial in (*beyond, *idle)]
        used = {f"{trial.name}, eps {trial.eps:.4g}": min(trial.used, 1e9) for trial in ran}
        samples = len(ran[0].correct) if ran else 0
        stated = {trial.name: trial.details for trial in ran if "threat" in trial.details}
        return Reading(value, bool(said), samples, "; ".join(said), {"used": used, "stated": stated})


def _misused(trial: Trial) -> str:
    if "threat" in trial.details:
        return f"{trial.name} left {trial.details['threat']} at {trial.details['outside']} samples"
    return f"{trial.name} used {min(trial.used, 1e9):.3g} of its budget"


def misplaced(evidence: Evidence) -> str:
    """What is wrong with the range of the input; empty if nothing is."""
    clip = evidence.classifier.clip_values
    if clip is None:
        return "no clip values, so that an attack may leave the range of legal inputs"
    low, high = float(np.min(clip[0])), float(np.max(clip[1]))
    if (low, high) not in _RAW:
        return f"clip values [{low:.4g}, {high:.4g}] are not those of raw input, so eps is in units of its own"
    lowest, highest = float(evidence.x.min()), float(evidence.x.max())
    dust = BUDGET_DUST * (high - low)
    if lowest < low - dust or highest > high + dust:
        return f"samples in [{lowest:.4g}, {highest:.4g}] leave the clip values [{low:.4g}, {high:.4g}]"
    return ""


class Unbounded(Check):
    """E5."""

    id = "E5"
    title = "unbounded attack"
    rule = (
        "an attack that may change every value at will leaves no more than guessing, at the lower end of the 95 % "
        "interval"
    )
    advice = (
        "an unbounded attack leaves more than chance accuracy: the attack does not work on this model, see E1 and E7"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The lower end of the interval of the accuracy that is left."""
        trial = evidence.unbounded()
        left = proportion(trial.correct)
        limit = guessing(evidence)
        found = f"{left.value:.1%} left" + (f" ({trial.error})" if trial.error else "")
        return Reading(left.low, left.low > limit, left.samples, found, threshold=limit)


class Monotone(Check):
    """E6."""

    id = "E6"
    title = "budget monotone"
    rule = (
        "accuracy under an attack does not rise with the budget: samples that a larger budget loses and a smaller one "
        "breaks are no more than chance allows (exact one-sided McNemar, p >= 0.05 over all steps of the curve)"
    )
    threshold = 1 - _SIGNIFICANT
    advice = (
        "a larger budget breaks less: the optimizer does not scale with eps; check its step size and its projection"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """1 minus the smallest p value, after Bonferroni."""
        curves = _curves(evidence)
        steps = [(name, a, b) for name, curve in curves.items() for a, b in pairwise(curve)]
        if not steps:
            raise NotApplicableError("a curve needs two budgets")
        tested = [(_rise(a, b), f"{name}, eps {a.eps:.4g} to {b.eps:.4g}") for name, a, b in steps]
        p, where = min(tested)
        corrected = min(1.0, p * len(tested))
        found = f"accuracy rises under {where} (p = {corrected:.3g})"
        return Reading(1 - corrected, samples=len(steps[0][1].correct), found=found, details={"steps": len(tested)})


def _curves(evidence: Evidence) -> dict[str, list[Trial]]:
    curves: dict[str, list[Trial]] = defaultdict(list)
    for trial in evidence.given or []:
        if trial.knowledge not in ("none", "transfer") and trial.eps > 0 and trial.name != "unbounded":
            curves[trial.name].append(trial)
    curves = {name: sorted(trials, key=lambda t: t.eps) for name, trials in curves.items() if len(trials) > 1}
    if curves:
        return curves
    budgets = [evidence.eps / 2, evidence.eps, min(2 * evidence.eps, evidence.span)]
    for name in ("apgd-margin", "pgd"):
        attack = ATTACKS[name]
        steps = min(int(attack.parameters["max_iter"]), evidence.steps)
        shorter = replace(attack, parameters={**attack.parameters, "max_iter": steps})
        curve = [evidence.run(f"{name} curve", shorter, eps) for eps in budgets]
        if not any(trial.error for trial in curve):
            return {name: curve}
    raise ValueError(f"no attack could run: {curve[0].error}")


def _rise(smaller: Trial, larger: Trial) -> float:
    """P value of "the larger budget breaks less", one-sided and exact."""
    regained = int((larger.correct & ~smaller.correct).sum())
    lost = int((~larger.correct & smaller.correct).sum())
    if regained + lost == 0:
        return 1.0
    return float(binomtest(regained, regained + lost, 0.5, alternative="greater").pvalue)
