"""Reliability flags: was the attack able to work at all?"""

from art_snn.evaluation.flags.base import Check, Flag, NotApplicableError, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.plan import DEFAULT, PLANS, Plan
from art_snn.evaluation.flags.registry import CHECKS, judge_all
from art_snn.evaluation.flags.trials import Trial

__all__ = [
    "CHECKS",
    "DEFAULT",
    "PLANS",
    "Check",
    "Evidence",
    "Flag",
    "NotApplicableError",
    "Plan",
    "Reading",
    "Trial",
    "judge_all",
]
