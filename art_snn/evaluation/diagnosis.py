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
from art_snn.evaluation.flags.plan import DEFAULT, PLANS, Plan, fitting
from art_snn.evaluation.flags.registry import judge_all
from art_snn.evaluation.layers import inspect_layers, policy_cosines
from art_snn.evaluation.reliability import ReliabilityReport

Array = np.ndarray[Any, np.dtype[Any]]
SECONDS = 60.0
"""Time that a diagnosis is planned for."""


def diagnose(
    classifier: PyTorchClassifier,
    x: Array,
    y: Array,
    eps: float = 8 / 255,
    seed: int = 0,
    *,
    attacks: Mapping[str, Builder] | None = None,
    sources: Mapping[str, PyTorchClassifier] | None = None,
    plan: Plan | None = None,
    seconds: float = SECONDS,
) -> ReliabilityReport:
    """Every reliability flag of one model, the state of its layers, and what to do next.

    The checks run on a fixed choice of the samples. How many, and for how many steps, says the plan: without one the
    model is timed, and the largest of a few fixed plans is taken that should end in half of ``seconds``; all checks
    run in each of them. Model, weights, modes and random streams are left as they were.

    :param classifier: any ART PyTorch classifier, spiking or not.
    :param x: samples ``[N, *]`` in input units, of the test set.
    :param y: labels, indices ``[N]`` or one-hot.
    :param eps: L-infinity budget in input units.
    :param seed: seed of everything random; the same seed and plan give the same flags.
    :param attacks: attacks of your own to be checked as well: functions ``classifier -> ART attack``, by name.
        One that states its threat model (``attack.threat``: retiming, flips, another norm) is held against that.
    :param sources: other models of the same task, by name; their adversarial examples are tried on this one.
    :param plan: sizes of the checks, ``Plan(**report.about["plan"])`` to repeat a diagnosis.
    :param seconds: time that a diagnosis without a plan may take.
    :raises TypeError: if ``classifier`` or a source is not an ART PyTorch classifier.
    :raises ValueError: for a budget or a time that is not positive, samples and labels that do not fit, or a source
        with other inputs or classes.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> plan = Plan(8, 4, 2, 1, 4, 4, hops=0, nes_samples=8, nes_points=1, grid=3, points=2)
    >>> net = mlp((1, 8, 8), 10, hidden=(8,))
    >>> net.body[-1].bias.data[0] = 9.0  # every sample gets the same answer
    >>> report = diagnose(tiny.classifier(net), *tiny.samples(8), eps=0.1, plan=plan)
    >>> report.valid, report.flags["E8"].raised
    (False, True)
    """
    _check_classifier(classifier)
    for name, source in (sources or {}).items():
        _check_source(name, source, classifier)
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(explain(f"seconds = {seconds!r}", "a positive time", f"seconds={SECONDS:g}"))
    if not (math.isfinite(eps) and eps > 0):
        raise ValueError(explain(f"eps = {eps!r}", "a positive budget in input units", "eps=8/255"))
    x, y = _checked(classifier, x, y)
    start, busy = time.perf_counter(), time.process_time()
    chosen, planned = "given", None
    if plan is None:
        largest = Evidence(classifier, x, y, eps, seed, next(iter(PLANS.values())), sources=sources)
        with largest.undisturbed():
            chosen, plan, planned = _attempt(lambda: fitting(largest, seconds), ("standard", DEFAULT, None))
    evidence = Evidence(classifier, x, y, eps, seed, plan, attacks, sources=sources)
    flags = {flag.id: flag for flag in judge_all(evidence)}
    with evidence.undisturbed():
        few = evidence.few
        layers = _attempt(lambda: inspect_layers(evidence, *few), [])
        cosines = _attempt(lambda: policy_cosines(evidence, *few), {})
    about = {
        "eps": float(eps), "seed": int(seed), "plan": plan.record(), "plan_name": chosen,
        "planned_seconds": planned, "samples": len(evidence.x),
        "expensive_samples": len(few[0]), **_attempt(lambda: _accuracies(evidence), {}),
        "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - busy,
    }  # fmt: skip
    return ReliabilityReport(flags, layers, cosines, about)


def _check_classifier(classifier: Any, came: str = "") -> None:
    if not isinstance(classifier, PyTorchClassifier):
        came = f"a {type(classifier).__name__}{came}"
        raise TypeError(explain(came, "an ART PyTorchClassifier", "wrap the network in SNNClassifier"))


def _check_source(name: str, source: Any, classifier: PyTorchClassifier) -> None:
    _check_classifier(source, f" for the source {name!r}")
    ours, theirs = ((tuple(one.input_shape), int(one.nb_classes)) for one in (classifier, source))
    if ours != theirs:
        came = f"the source {name!r} with inputs and classes {theirs}"
        raise ValueError(explain(came, f"{ours}, as the model", "train the source on the same data"))


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
