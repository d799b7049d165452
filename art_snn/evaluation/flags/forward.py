"""E2, E3, E8, W10, W12: is it the same model each time it is asked, and does it answer with logits?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.pool import steered
from art_snn.evaluation.seeding import derived_seed
from art_snn.evaluation.statistics import proportion

Array = np.ndarray[Any, np.dtype[Any]]
_FLIPS = 0.05


def gap(first: Array, second: Array) -> Array:
    """Largest difference of each row of logits, relative to 1 + the largest logit.

    >>> gap(np.array([[1.0, 0.0]]), np.array([[1.0, 4.0]])).tolist()
    [2.0]
    """
    scale = 1 + float(np.abs(first).max())
    distance = np.abs(first.astype(np.float64) - second.astype(np.float64)).max(1) / scale
    return np.asarray(np.where(np.isfinite(distance), distance, np.inf))


class ModeParity(Check):
    """E2."""

    id = "E2"
    title = "mode parity"
    rule = (
        "logits of predict and of the forward pass that gradients are taken on differ by less than 1e-5 (relative to "
        "1 + the largest logit), and a surrogate put in place of another leaves every logit as it is, bit for bit"
    )
    threshold = 1e-5
    advice = (
        "the model that is attacked is not the one that is deployed: keep the forward pass free of the training mode "
        "and of postprocessors, and let a surrogate change the backward pass only"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The largest difference; policies that change a logit are listed."""
        seed = derived_seed(evidence.seed, "parity")
        deployed = evidence.logits(evidence.x, seed, 1)
        plain = self._attacked(evidence, seed)
        changed = [
            name
            for name, policy in evidence.steady_pool.items()
            if not policy.modifies_forward and not np.array_equal(self._attacked(evidence, seed, policy), plain)
        ]
        seeded = evidence.declared or not evidence.random  # unannounced draws cannot be made to match
        worst = float(gap(deployed, plain).max()) if seeded else 0.0
        found = f"logits differ by {worst:.3g}" + (f"; changed by {', '.join(changed)}" if changed else "")
        raised = worst >= self.threshold or bool(changed)
        return Reading(worst, raised, len(plain), found, {"swaps": list(evidence.steady_pool), "changed": changed})

    @staticmethod
    def _attacked(evidence: Evidence, seed: int, policy: Any = None) -> Array:
        evidence.model.eval()
        logits = []
        with evidence.drawing(seed), steered(evidence.model, policy):
            for rows in np.array_split(np.arange(len(evidence.x)), max(1, -(-len(evidence.x) // 256))):
                _, prepared = evidence.inputs(evidence.x[rows])
                logits.append(evidence.model(prepared).detach().cpu().numpy())
        return np.concatenate(logits)


class StateHygiene(Check):
    """E3."""

    id = "E3"
    title = "state hygiene"
    rule = (
        "predict gives the same logits twice and after a gradient call (a random model: from the same seed); a "
        "deterministic model also on a permuted batch, one by one, and with a ragged last batch"
    )
    threshold = 1e-4
    advice = (
        "a call leaves something behind for the next one: reset every state before and after a forward pass "
        "(SpikingNetwork does), or draw random numbers from a stream that a seed reaches"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The largest relative difference of logits over the repetitions."""
        seed = derived_seed(evidence.seed, "hygiene")
        x = evidence.x

        def again(points: Array, batch_size: int = 256, other: int = 0) -> Array:
            with evidence.drawing(seed + other):
                return np.asarray(evidence.classifier.predict(points, batch_size=batch_size))

        first = again(x)
        gaps = {"twice": float(gap(first, again(x)).max())}
        try:
            evidence.gradient(x, evidence.y)
        except RuntimeError as error:
            gaps["gradient call"] = float("inf") if "second time" in str(error) else 0.0
        gaps["after a gradient call"] = float(gap(first, again(x)).max())
        random = evidence.declared or float(gap(first, again(x, other=1)).max()) > self.threshold
        if not random:
            order = np.random.default_rng(seed).permutation(len(x))
            ragged = max(1, len(x) // 2 - 1)
            for name, other in (
                ("permuted", again(x[order])[np.argsort(order)]),
                ("one by one", again(x[:8], batch_size=1)),
                ("ragged last batch", again(x, batch_size=ragged)),
            ):
                off = gap(first[: len(other)], other)
                # rounding at a threshold may flip the spike of a sample or two; a state moves them all
                gaps[name] = float(np.quantile(off, 1 - _FLIPS, method="lower"))
        worst = max(gaps, key=lambda name: gaps[name])
        value = min(gaps[worst], 1e9)
        return Reading(
            value, samples=len(x), found=f"logits change {worst}, by {value:.3g}", details={"gaps": _finite(gaps)}
        )


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: min(value, 1e9) for name, value in values.items()}


class CleanSanity(Check):
    """E8."""

    id = "E8"
    title = "clean sanity"
    rule = (
        "clean accuracy, at the lower end of its 95 % interval, is above the share of the largest class, and at least "
        "two classes are predicted"
    )
    advice = "clean accuracy is not above guessing: train the model before you judge its robustness"

    def measure(self, evidence: Evidence) -> Reading:
        """The lower end of the accuracy's interval."""
        correct = evidence.right if evidence.given_clean is None else evidence.given_clean
        classes = len(np.unique(evidence.z.argmax(1)))
        low = proportion(correct).low
        limit = guessing(evidence)
        found = f"accuracy {correct.mean():.1%}, {classes} class(es) predicted"
        return Reading(low, low <= limit or classes < 2, len(correct), found, {"classes": classes}, limit)


def guessing(evidence: Evidence) -> float:
    """Accuracy of a constant answer, and at least 1/K."""
    largest = float(np.bincount(evidence.labels).max() / len(evidence.labels))
    return max(1 / evidence.classifier.nb_classes, largest)


class Ties(Check):
    """W10."""

    id = "W10"
    title = "ties"
    rule = "at most 1 % of the samples have two equal largest logits, and the output is not a probability"
    threshold = 0.01
    advice = (
        "ties and probabilities starve the losses of an attack: read out currents or membranes instead of counts, and "
        "return logits, not their softmax"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The tie rate of single draws."""
        z = evidence.logits(evidence.x, derived_seed(evidence.seed, "ties"), 1)
        top = np.sort(z, axis=1)[:, -2:]
        rate = float((top[:, 0] == top[:, 1]).mean()) if z.shape[1] > 1 else 0.0
        probabilities = bool(((z >= 0) & (z <= 1)).all() and (np.abs(z.sum(1) - 1) < 1e-5).all())
        found = f"{rate:.1%} ties" + (", and the rows are probabilities" if probabilities else "")
        return Reading(rate, rate > self.threshold or probabilities, len(z), found, {"probabilities": probabilities})


class Abstention(Check):
    """W12."""

    id = "W12"
    title = "detector"
    rule = "one logit per class, finite: a model that detects or abstains is judged by ROC, abstentions count as errors"
    advice = (
        "accuracy alone says little of a model that may refuse to answer: report ROC and AUC of the detector, and "
        "count abstentions as errors in the worst case"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """Outputs beyond one per class, plus the share of rows that decide nothing."""
        z, classes = evidence.z, int(evidence.classifier.nb_classes)
        extra = abs(z.shape[1] - classes)
        undecided = float((~np.isfinite(z)).any(1).mean())
        kind = type(evidence.classifier).__name__
        detector = "detector" in kind.lower() and isinstance(evidence.classifier, PyTorchClassifier)
        found = f"{extra} extra output(s), {undecided:.1%} without decision"
        return Reading(extra + undecided + float(detector), samples=len(z), found=found)


def no_gradient() -> NotApplicableError:
    """The reason of a check that needs a gradient where there is none."""
    return NotApplicableError("there is no input gradient, see E1")


def frozen_logits(evidence: Evidence, x: Array, seed: int) -> Array:
    """Logits of one draw on many points, in eval mode, without gradient."""
    evidence.model.eval()
    rows = []
    with evidence.drawing(seed), torch.no_grad():
        for part in np.array_split(x, max(1, -(-len(x) // 250))):
            prepared, _ = evidence.classifier._apply_preprocessing(part, y=None, fit=False, no_grad=True)
            tensor = torch.as_tensor(np.asarray(prepared.cpu() if hasattr(prepared, "cpu") else prepared))
            rows.append(evidence.model(tensor.to(evidence.classifier.device, torch.float32)).cpu().numpy())
    return np.concatenate(rows)
