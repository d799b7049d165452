"""W2: attacks that see no gradient of the model: random search, another model's examples, a walk along the border.

Square and the transfers run on every sample; HopSkipJump, which asks thousands of times per sample, takes on a few of
those that withstand every gradient attack.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from art.attacks.evasion import HopSkipJump

from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading, slack
from art_snn.evaluation.flags.evidence import FAILURES, Evidence
from art_snn.evaluation.flags.order import knowing, least, standing
from art_snn.evaluation.flags.trials import Trial
from art_snn.evaluation.seeding import derived_seed, seeded_globals

Array = np.ndarray[Any, np.dtype[Any]]
_SHARE = 0.002
_PATIENCE = 1000
"""Questions of one walk; a walk of ten steps asks some three hundred."""
_IMAGES = 50
"""Random images among which a walk finds its start."""


class BlackBox(Check):
    """W2."""

    id = "W2"
    title = "black-box sanity"
    rule = (
        "the best gradient attack leaves no more than Square or examples transferred from another model, and what all "
        "gradient attacks leave is not broken by these or by HopSkipJump, within 0.2 points (two samples where few)"
    )
    threshold = _SHARE
    advice = "a black-box attack beats every gradient attack: gradients are masked, quote the worst case only"

    def measure(self, evidence: Evidence) -> Reading:
        """The largest surplus of the gradient attacks, or share of samples that only a black-box attack breaks."""
        found = [*_compared(evidence), *_walked(walked := _walk(evidence), len(evidence.few[0]))]
        if not found:
            raise NotApplicableError("a gradient attack and one without gradient are needed at one budget")
        value, n, text, more = max(found, key=lambda entry: entry[0] - slack(_SHARE, entry[1]))
        details = {**more, "hopskipjump": walked}
        return Reading(value, samples=n, found=text, details=details, threshold=slack(_SHARE, n))


class Walk(HopSkipJump):
    """ART's HopSkipJump, in float32, and with an end where it would halve its step for ever.

    It does so where the last binary search did not end at an adversarial point, and it asks in float64.
    """

    asked = 0

    def from_start(self, x: Array, start: Array) -> Array:
        """The walk of one sample ``[1, *]``; the sample itself where it gets stuck."""
        self.asked = 0
        try:
            return np.asarray(self.generate(x, x_adv_init=start))
        except StuckError:
            return x

    def _adversarial_satisfactory(self, samples: Array, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        if self.asked > _PATIENCE:
            raise StuckError
        return super()._adversarial_satisfactory(samples.astype(np.float32), *args, **kwargs)


class StuckError(RuntimeError):
    """A walk asked too often to be on its way."""


Found = tuple[float, int, str, dict[str, Any]]
"""A surplus, the samples that it is over, what was found in words, and details."""


def _compared(evidence: Evidence) -> list[Found]:
    """Square and transfers, at every budget."""
    trials = [trial for trial in evidence.trials() if trial.eps > 0]
    found = [
        entry for eps in sorted({t.eps for t in trials}) for entry in _surplus([t for t in trials if t.eps == eps])
    ]
    alone = {f"{other.name}, eps {other.eps:.4g}": only for _, other, only in found}
    entries: list[Found] = []
    for best, other, only in found:
        n, gap = len(best.correct), best.accuracy - other.accuracy
        failed = f" ({best.error})" if best.error else ""
        text = (
            f"{best.name} leaves {best.accuracy:.1%}{failed}, {other.name} {other.accuracy:.1%} at eps {best.eps:.4g}, "
            f"and breaks {only} that no gradient attack does"
        )
        details = {"only_by_the_weaker": only, "eps": best.eps, "alone": alone}
        entries.append((max(gap, only / n) if only else gap, n, text, details))
    return entries


def _surplus(trials: list[Trial]) -> list[tuple[Trial, Trial, int]]:
    """At one budget, per black-box attack: the best gradient attack, it, and the samples that it alone breaks."""
    strong = knowing(trials, "white-box")
    others = [t for t in (*knowing(trials, "black-box"), *knowing(trials, "transfer")) if not t.error]
    if not strong or not others:
        return []
    best = least(strong)
    left = standing(trials, best)
    return [(best, t, int((left & ~t.correct).sum())) for t in others]


def _walked(walk: dict[str, Any], samples: int) -> list[Found]:
    if not walk["tried"]:
        return []
    text = f"HopSkipJump breaks {walk['broken']} of {walk['tried']} samples that withstand every gradient attack"
    return [(walk["broken"] / samples, samples, text, {})]


def _walk(evidence: Evidence) -> dict[str, Any]:
    """What HopSkipJump does to a few samples that withstand every gradient attack, or why it did not run."""
    plan = evidence.plan
    if plan.hops == 0 or evidence.random:
        why = "the model is random, and a walk along its border asks for one answer" if plan.hops else "not in the plan"
        return {"tried": 0, "broken": 0, "reason": why}
    try:
        rows = evidence.unbroken[: plan.hops]
        if len(rows) == 0:
            return {"tried": 0, "broken": 0, "reason": "no sample withstands the gradient attacks"}
        seed = derived_seed(evidence.seed, "hopskipjump")
        starts, started = _starts(evidence, rows, seed)
        x, y = evidence.few[0][rows[started]], evidence.few[1][rows[started]]
        if len(x) == 0:
            return {"tried": len(rows), "broken": 0, "reason": f"no random image of {_IMAGES} is of another class"}
        attack = Walk(
            evidence.classifier, norm=np.inf, max_iter=plan.hop_steps, max_eval=200, init_eval=40, verbose=False
        )
        with seeded_globals(seed):
            x_adv = np.concatenate([attack.from_start(x[i : i + 1], starts[i : i + 1]) for i in range(len(x))])
    except FAILURES as error:
        return {"tried": 0, "broken": 0, "reason": " ".join(str(error).split())[:200]}
    distance = np.abs(x_adv.astype(np.float64) - x).reshape(len(x), -1).max(1)
    inside = distance <= evidence.eps * (1 + 1e-6)
    fallen = inside & (evidence.logits(x_adv.astype(np.float32), derived_seed(seed, "judge"), 20).argmax(1) != y)
    return {"tried": len(rows), "broken": int(fallen.sum()), "distance": [float(d) for d in distance]}


def _starts(evidence: Evidence, rows: Array, seed: int) -> tuple[Array, Array]:
    """A random image of another class for each row that finds one, and which rows do, boolean.

    ART would draw them from a generator that nobody can seed.
    """
    clip = evidence.classifier.clip_values
    low, high = (float(evidence.x.min()), float(evidence.x.max())) if clip is None else clip
    shape = (_IMAGES, *evidence.x.shape[1:])
    images = np.random.default_rng(derived_seed(seed, "starts")).uniform(low, high, size=shape).astype(np.float32)
    classes = np.asarray(evidence.classifier.predict(images)).argmax(1)
    others = classes[None, :] != evidence.few[1][rows][:, None]
    started = others.any(1)
    return images[others.argmax(1)[started]], started
