"""What attacks did to the samples: run on a fixed subset, or taken from the cells of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from art.estimators.classification import PyTorchClassifier

from art_snn.attacks.evasion import Transfer
from art_snn.evaluation.attacks import ATTACKS, UNBOUNDED, Attack

if TYPE_CHECKING:
    from art_snn.evaluation.flags.evidence import Evidence

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Trial:
    """One attack at one budget.

    :param name: of the attack.
    :param knowledge: ``white-box``, ``black-box``, ``transfer`` (made on another model), ``none``, or ``yours`` for an
        attack under test.
    :param eps: budget.
    :param correct: samples that stay correct, boolean ``[N]``.
    :param used: largest share of the budget that any sample used; 1 is all of it.
    :param missed: samples that had been broken during the search and were returned unbroken.
    :param error: why the attack could not run; its samples then count as unbroken.
    :param details: further numbers, JSON-ready.

    >>> Trial("pgd", "white-box", 0.1, np.array([True, False])).accuracy
    0.5
    """

    name: str
    knowledge: str
    eps: float
    correct: Array
    used: float = 1.0
    missed: int | None = None
    error: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of samples that stay correct."""
        return float(self.correct.mean())


def ladder(evidence: Evidence) -> dict[str, Attack]:
    """The attacks of a diagnosis, from no knowledge to full knowledge."""
    plan = evidence.plan
    margin = {**ATTACKS["apgd-margin"].parameters, "max_iter": evidence.steps}
    cross = {**ATTACKS["apgd-ce"].parameters, "max_iter": evidence.steps}
    queries = plan.random_queries if evidence.declared else plan.queries
    return {
        "noise": ATTACKS["noise"],
        "fgsm": ATTACKS["fgsm"],
        "pgd": ATTACKS["pgd"],
        "apgd-ce": replace(ATTACKS["apgd-ce"], parameters=cross),
        "apgd-margin": replace(ATTACKS["apgd-margin"], parameters=margin),
        "square": replace(ATTACKS["square"], parameters={"max_iter": queries, "batch_size": 256}),
        **{f"transfer from {name}": _transfer(source, evidence.steps) for name, source in evidence.donors.items()},
    }


def _transfer(source: PyTorchClassifier, steps: int) -> Attack:
    def build(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
        return Transfer(classifier, source, norm=np.inf, eps=eps, seed=seed, **parameters)

    options = {"max_iter": max(steps // 2, 5), "loss_type": "margin", "batch_size": 64}
    return Attack("transfer", "transfer", "transfer", build, options, native=True)


def unbounded(evidence: Evidence) -> Attack:
    """What flag E5 runs: PGD over the whole range; in fewer steps where each takes ten draws."""
    if not evidence.declared:
        return UNBOUNDED
    return replace(UNBOUNDED, parameters={**UNBOUNDED.parameters, "max_iter": 2 * evidence.plan.random_steps})
