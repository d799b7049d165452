"""W1, W2, W3, W11: attacks in the order they should come in, and no success thrown away."""

from __future__ import annotations

import numpy as np

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
        trials = [trial for trial in evidence.trials() if trial.eps > 0]
        gaps = []
        for eps in sorted({trial.eps for trial in trials}):
            stronger, weaker = self.pair([trial for trial in trials if trial.eps == eps])
            weaker = [trial for trial in weaker if not trial.error]  # what did not run is no yardstick
            if stronger and weaker:
                best, other = _least(stronger), _least(weaker)
                gaps.append((best.accuracy - other.accuracy, best, other))
        if not gaps:
            raise NotApplicableError(self.needs)
        value, best, other = max(gaps, key=lambda entry: entry[0])
        n = len(best.correct)
        only = int((~other.correct & _standing(trials, best)).sum())
        failed = f" ({best.error})" if best.error else ""
        found = (
            f"{best.name} leaves {best.accuracy:.1%}{failed}, {other.name} {other.accuracy:.1%} at eps {best.eps:.4g}"
        )
        details = {"only_by_the_weaker": only, "eps": best.eps}
        return Reading(float(max(value, _NEVER)), samples=n, found=found, details=details, threshold=slack(_SLACK, n))

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """Trials that should be stronger, and those that they are held against."""
        raise NotImplementedError


def _least(trials: list[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.accuracy)


def _standing(trials: list[Trial], like: Trial) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Samples that every gradient attack of the same budget leaves standing."""
    kept = [t.correct for t in trials if t.eps == like.eps and t.knowledge == "white-box"]
    return np.logical_and.reduce(kept) if kept else like.correct


def _iterated(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.knowledge == "white-box" and trial.name != "fgsm"]


def _knowing(trials: list[Trial], knowledge: str) -> list[Trial]:
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


class BlackBox(_Order):
    """W2."""

    id = "W2"
    title = "black-box sanity"
    rule = "the best gradient attack leaves no more than a query attack, within 0.2 points (two samples where few)"
    advice = "a black-box attack beats every gradient attack: gradients are masked, quote the worst case only"
    needs = "a gradient attack and a query attack are needed at one budget"

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """See the base class."""
        return _knowing(trials, "white-box"), _knowing(trials, "black-box")


class Noise(_Order):
    """W3."""

    id = "W3"
    title = "noise sanity"
    rule = "the best gradient attack leaves no more than random signs of the same size, within 0.2 points (two samples)"
    advice = "noise beats every gradient attack: gradients are masked, or the attack is too weak"
    needs = "a gradient attack and noise are needed at one budget"

    def pair(self, trials: list[Trial]) -> tuple[list[Trial], list[Trial]]:
        """See the base class."""
        return _knowing(trials, "white-box"), _knowing(trials, "none")


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
