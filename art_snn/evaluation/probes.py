"""How far the attacks could be trusted to go: convergence, restarts, other surrogates, gradients, certificates.

Measured on a fixed subset of the samples at one budget, with Auto-PGD on the margin and the first network of each
model. These numbers stand beside the worst case and are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from art_snn.attacks.evasion import SNNAutoPGD
from art_snn.evaluation.cells import Measurement, Subject
from art_snn.evaluation.certified import certified_accuracy
from art_snn.evaluation.flags import Evidence
from art_snn.evaluation.flags.pool import steered
from art_snn.evaluation.layers import policy_cosines
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.evaluation.store import Record
from art_snn.gradients import GradientPolicy
from art_snn.networks import SpikingNetwork

Array = np.ndarray[Any, np.dtype[Any]]
RESTARTS = 3
POOL_STEPS = 20
OWN = "own"
CERTIFIED = 20
"""Samples that a smoothed model certifies for the report; each takes thousands of passes."""
CERTIFIED_DRAWS = 1000
_STEPS = (0, 1, 2, 5, 10, 20, 50, 100)


def probe(cells: Measurement, subject: Subject, eps: float) -> list[Record]:
    """Records ``convergence``, ``surrogates``, ``gradients`` and, of a smoothed model, ``certificate``."""
    kinds = {"convergence": _convergence, "surrogates": _surrogates, "gradients": _gradients}
    if hasattr(subject.classifier, "certify"):
        kinds["certificate"] = _certificate
    evidence = cells.evidence(subject, eps)
    found = []
    for kind, measure in kinds.items():
        key = cells.key(subject, kind, eps, evidence.plan.record())
        record = cells.store.get(key)
        if record is None:
            head = {"key": key, "kind": kind, "model": subject.name, "eps": eps, "samples": len(evidence.few[0])}
            with evidence.undisturbed():
                record = cells.store.add({**head, **_attempted(measure, evidence)})
        found.append(record)
    return found


def _attempted(measure: Any, evidence: Evidence) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = measure(evidence)
    except (ValueError, RuntimeError, TypeError, NotImplementedError) as error:
        return {"reason": " ".join(str(error).split())[:300]}
    return found


def _attacked(
    evidence: Evidence, steps: int, restarts: int = 1, policy: GradientPolicy | None = None, rows: Array | None = None
) -> Any:
    """The record of a run on the subset, or on some of its rows."""
    x, y = (part if rows is None else part[rows] for part in evidence.few)
    own = isinstance(evidence.model, SpikingNetwork)
    seed = derived_seed(evidence.seed, "probes", steps)
    with seeded_globals(seed), steered(evidence.model, None if own else policy):
        attack = SNNAutoPGD(
            evidence.classifier, norm=np.inf, eps=evidence.eps, max_iter=steps, nb_random_init=restarts,
            loss_type="margin", policy=policy if own else None, seed=seed,
        )  # fmt: skip
        attack.generate(x, y)
    return attack.record


def _convergence(evidence: Evidence) -> Mapping[str, Any]:
    """Accuracy left after so many steps (of one run; of a run each where votes decide), and after each restart."""
    steps = [step for step in _STEPS if step < evidence.steps] + [evidence.steps]
    long = _attacked(evidence, evidence.steps, RESTARTS)
    right = ~long.initially_wrong
    if evidence.declared:
        runs = {step: _attacked(evidence, step) for step in steps[1:] if step < evidence.steps}
        left = [
            float(right.mean()),
            *(run.summary["robust_accuracy"] for run in runs.values()),
            long.robust_accuracy[0],
        ]
    else:
        first = long.success & (long.restart == 0)
        left = [float(right.mean()), *(float((right & ~(first & (long.step <= step))).mean()) for step in steps[1:])]
    return {"attack": "apgd-margin", "steps": steps, "accuracy": left, "restarts": list(long.robust_accuracy)}


def _surrogates(evidence: Evidence) -> Mapping[str, Any]:
    """Accuracy left under the network's own surrogate, under each policy of the pool, and under all together."""
    steps = min(POOL_STEPS, evidence.steps)
    standing = {}
    for name, policy in {OWN: None, **evidence.pool}.items():
        run = _attacked(evidence, steps, policy=policy)
        standing[name] = ~run.initially_wrong & ~run.success
    every = np.logical_and.reduce(list(standing.values()))
    return {
        "steps": steps, "accuracy": {name: float(left.mean()) for name, left in standing.items()},
        "ensemble": float(every.mean()),
    }  # fmt: skip


def _gradients(evidence: Evidence) -> Mapping[str, Any]:
    """Norms of the margin's input gradients, shares of zeros, and cosines between policies."""
    x, y = evidence.few
    grad, _ = evidence.gradient(x, y, "margin")
    if grad is None:
        return {"reason": "no input gradient"}
    flat = grad.reshape(len(grad), -1).astype(np.float64)
    norms = np.linalg.norm(flat, axis=1)
    return {
        "norms": [float(norm) for norm in norms], "median_norm": float(np.median(norms)),
        "sparsity": float((flat == 0).mean()),
        "zero": float((flat == 0).all(1).mean()), "cosines": policy_cosines(evidence, x, y),
    }  # fmt: skip


def _certificate(evidence: Evidence) -> Mapping[str, Any]:
    """Certified accuracy over the radius."""
    x, y = (part[:CERTIFIED] for part in evidence.few)
    prediction, radius = evidence.classifier.certify(x, n=CERTIFIED_DRAWS)
    curve = certified_accuracy(prediction, radius, y)
    return {
        "samples": len(x), "draws": CERTIFIED_DRAWS, "unit": evidence.classifier.certificate.unit, "radii": curve.radii,
        "accuracy": [one.record() for one in curve.accuracy], "abstained": curve.abstained.record(),
    }  # fmt: skip
