"""W1, W3, W11: attacks in the order they should come in, and no success thrown away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from art_snn.evaluation.attacks import ATTACKS
from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading, slack
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.trials import Trial

_SLACK = 0.002
_NEVER = -1.0


class _Order(Check):
    """One attack should leave no more than another; compared at every budget that both ran at."""

    threshold = _SLACK
    needs = ""

    def measure(self, evidence: Evidence) -> Reading:
        """The largest surplus of the attack that should be stronger."""
        trials = [trial for trial in self.tried(evidence) if trial.eps > 0]
        gaps = []
        for eps in sorted({trial.eps for trial in trials}):
            stronger, weaker = self.pair([trial for trial in trials if trial.eps == eps])
            weaker = [trial for trial in weaker if not trial.error]  # what did not run is no yardstick
            if stronger and weaker:
                best, other = least(stronger), least(weaker)
                gaps.append((best.accuracy - other.accuracy, best, other))
        if not gaps:
            raise NotApplicableError(self.needs)
        value, best, other = max(gaps, key=lambda entry: entry[0] - slack(_SLACK, len(entry[1].correct)))
        n = len(best.correct)
        only = int((~other.correct & standing(trials, best)).sum())
        failed = f" ({best.error})" if best.error else ""
        found = (
            f"{best.name} leaves {best.accuracy:.1%}{failed}, {other.name} {other.accuracy:.1%} at eps {best.eps:.4g}"
        )
        details = {"only_by_the_weaker": only, "eps": best.eps}
        return Reading(float(max(value, _NEVER)), samples=n, found=found, details=details, threshold=slack(_SLACK, n))

    def tried(self, evidence: Evidence) -> list[Trial]:
        """What is compared."""
        return evidence.trials()

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """Trials that should be stronger, and those that they are held against."""
        raise NotImplementedError


def least(trials: list[Trial]) -> Trial:
    """The attack that leaves the fewest samples."""
    return min(trials, key=lambda trial: trial.accuracy)


def standing(trials: list[Trial], like: Trial) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Samples that every gradient attack of the same budget leaves standing."""
    kept = [t.correct for t in trials if t.eps == like.eps and t.knowledge == "white-box"]
    return np.logical_and.reduce(kept) if kept else like.correct


def _iterated(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.knowledge == "white-box" and trial.name != "fgsm"]


def knowing(trials: list[Trial], knowledge: str) -> list[Trial]:
    """The attacks of one kind of knowledge."""
    return [trial for trial in trials if trial.knowledge == knowledge]


class Iterating(_Order):
    """W1."""

    id = "W1"
    title = "iterative >= single step"
    rule = "the best iterated gradient attack leaves no more than FGSM, within 0.2 points (two samples where few)"
    advice = "one step beats many: the step size or the gradient is off"
    needs = "an iterated attack and FGSM are needed at one budget"

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """See the base class."""
        return _iterated(trials), [trial for trial in trials if trial.name == "fgsm"]


class Noise(_Order):
    """W3."""

    id = "W3"
    title = "noise sanity"
    rule = (
        "the best gradient attack leaves no more than random signs of the same size, within 0.2 points (two samples), "
        "at the budgets in question and over the whole range"
    )
    advice = "noise beats every gradient attack: gradients are masked, or the attack is too weak"
    needs = "a gradient attack and noise are needed at one budget"

    def tried(self, evidence: Evidence) -> list[Trial]:
        """Also over the whole range, on the subset: there noise breaks what no dead gradient can."""
        whole = evidence.unbounded()
        if len(whole.correct) != len(evidence.few[0]):
            whole = replace(whole, correct=evidence.of_few(whole))
        return [*evidence.trials(), whole, evidence.run("noise", ATTACKS["noise"], evidence.span)]

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """See the base class."""
        return knowing(trials, "white-box"), knowing(trials, "none")


class SilentSuccess(Check):
    """W11."""

    id = "W11"
    title = "silent success"
    rule = "no sample that an attack had broken on the way is returned unbroken"
    advice = "an attack throws its successes away: keep the best iterate instead of the last one"
    needs = "attacks ran elsewhere, or the model draws random numbers, where one broken draw is no success"

    def measure(self, evidence: Evidence) -> Reading:
        """The number of successes that native attacks and attacks under test threw away; ART's PGD is a detail."""
        seen = [trial for trial in evidence.trials() if trial.missed is not None]
        if not seen:
            raise NotApplicableError(self.needs)
        customary = ("fgsm", "pgd")
        held = [trial for trial in seen if trial.name not in customary]
        missed = {trial.name: int(trial.missed or 0) for trial in seen}
        value = sum(int(trial.missed or 0) for trial in held)
        names = ", ".join(trial.name for trial in held if trial.missed)
        return Reading(
            value, samples=len(seen[0].correct), found=f"{value} lost by {names or 'none'}", details={"missed": missed}
        )
