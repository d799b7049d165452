"""A diagnosis of one model: may its robustness be read from attacks at all?"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from art.estimators.classification import PyTorchClassifier

from art_snn.errors import explain
from art_snn.estimators.checks import check_labels
from art_snn.evaluation.flags.evidence import FAILURES, Builder, Evidence
from art_snn.evaluation.flags.plan import DEFAULT, Plan
from art_snn.evaluation.flags.registry import judge_all
from art_snn.evaluation.layers import inspect_layers, policy_cosines
from art_snn.evaluation.reliability import ReliabilityReport

Array = np.ndarray[Any, np.dtype[Any]]


def diagnose(
    classifier: PyTorchClassifier,
    x: Array,
    y: Array,
    eps: float = 8 / 255,
    seed: int = 0,
    *,
    attacks: Mapping[str, Builder] | None = None,
    plan: Plan = DEFAULT,
) -> ReliabilityReport:
    """Every reliability flag of one model, the state of its layers, and what to do next.

    The checks run on a fixed choice of the samples: 64 for the cheap ones, 32 for those that attack, by default. Model,
    weights, modes and random streams are left as they were.

    :param classifier: any ART PyTorch classifier, spiking or not.
    :param x: samples ``[N, *]`` in input units, of the test set.
    :param y: labels, indices ``[N]`` or one-hot.
    :param eps: L-infinity budget in input units.
    :param seed: seed of everything random; the same seed gives the same flags.
    :param attacks: attacks of your own to be checked as well: functions ``classifier -> ART attack``, by name.
    :param plan: sizes of the checks.
    :raises TypeError: if ``classifier`` is not an ART PyTorch classifier.
    :raises ValueError: for a budget that is not positive, or samples and labels that do not fit.
    """
    if not isinstance(classifier, PyTorchClassifier):
        came = f"a {type(classifier).__name__}"
        raise TypeError(explain(came, "an ART PyTorchClassifier", "wrap the network in SNNClassifier"))
    if not (math.isfinite(eps) and eps > 0):
        raise ValueError(explain(f"eps = {eps!r}", "a positive budget in input units", "eps=8/255"))
    x, y = _checked(classifier, x, y)
    start = time.perf_counter()
    evidence = Evidence(classifier, x, y, eps, seed, plan, attacks)
    flags = {flag.id: flag for flag in judge_all(evidence)}
    with evidence.undisturbed():
        few = evidence.few
        layers = _attempt(lambda: inspect_layers(evidence, *few), [])
        cosines = _attempt(lambda: policy_cosines(evidence, *few), {})
    about = {
        "eps": float(eps), "seed": int(seed), "plan": plan.record(), "samples": len(evidence.x),
        "expensive_samples": len(few[0]), **_attempt(lambda: _accuracies(evidence), {}),
        "seconds": time.perf_counter() - start,
    }  # fmt: skip
    return ReliabilityReport(flags, layers, cosines, about)


def _accuracies(evidence: Evidence) -> dict[str, Any]:
    trials = [*evidence.trials(), evidence.unbounded()]
    return {
        "clean_accuracy": float(evidence.right.mean()),
        "accuracy": {trial.name: trial.accuracy for trial in trials},
        "errors": {trial.name: trial.error for trial in trials if trial.error},
    }


def _attempt(measure: Any, otherwise: Any) -> Any:
    try:
        return measure()
    except FAILURES:
        return otherwise


def _checked(classifier: PyTorchClassifier, x: Array, y: Array) -> tuple[Array, Array]:
    x = np.asarray(x)
    shape = tuple(classifier.input_shape)
    if x.shape[1:] != shape or len(x) == 0 or not np.isfinite(x).all():
        came = f"samples of shape {x.shape}"
        raise ValueError(
            explain(came, f"finite samples [N, {', '.join(map(str, shape))}], N >= 1", "check the selection")
        )
    labels = np.asarray(check_labels(y, len(x), classifier.nb_classes))
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    return x.astype(np.float32), labels.argmax(1) if one_hot else labels.reshape(-1).astype(np.int64)
