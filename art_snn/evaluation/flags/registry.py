"""Every check, by its identifier, in the order they are printed."""

from __future__ import annotations

from art_snn.evaluation.flags.base import Check, Flag
from art_snn.evaluation.flags.blackbox import BlackBox
from art_snn.evaluation.flags.budgets import BudgetUnits, Monotone, Unbounded
from art_snn.evaluation.flags.convergence import Restarts, Steps, SurrogateSpread
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.forward import Abstention, CleanSanity, ModeParity, StateHygiene, Ties
from art_snn.evaluation.flags.gradients import EncoderGraph, GradientExists, GradientParity
from art_snn.evaluation.flags.landscape import GradientQuality, Landscape, UnstableLoss
from art_snn.evaluation.flags.neurons import SilentNeurons, SurrogateSupport
from art_snn.evaluation.flags.order import Iterating, Noise, SilentSuccess
from art_snn.evaluation.flags.randomness import Randomness

_KINDS: tuple[type[Check], ...] = (
    GradientExists, ModeParity, StateHygiene, BudgetUnits, Unbounded, Monotone, EncoderGraph, CleanSanity,
    GradientParity, Iterating, BlackBox, Noise, Steps, Restarts, SurrogateSpread, Randomness, SilentNeurons,
    SurrogateSupport, Ties, SilentSuccess, Abstention, Landscape, GradientQuality, UnstableLoss,
)  # fmt: skip
CHECKS: dict[str, Check] = {kind.id: kind() for kind in _KINDS}
"""E1 to E9, W1 to W15."""


def judge_all(evidence: Evidence) -> list[Flag]:
    """Every flag of one model, in the order of :data:`CHECKS`.

    :param evidence: what was measured.

    >>> from art_snn.evaluation.flags import Plan
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> plan = Plan(8, 4, 2, 1, 4, 4, hops=0, nes_samples=8, nes_points=1, grid=3, points=2)
    >>> clf = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,)))
    >>> [flag.id for flag in judge_all(Evidence(clf, *tiny.samples(8), eps=0.1, plan=plan))][:3]
    ['E1', 'E2', 'E3']
    """
    return [check.judge(evidence) for check in CHECKS.values()]
