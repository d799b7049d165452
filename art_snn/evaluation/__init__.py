"""Side-by-side evaluation with reliability flags."""

from art_snn.evaluation.adaptive import Judgement, Outcomes, craft, endure, judge
from art_snn.evaluation.attacks import ATTACKS
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.diagnosis import diagnose
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.harness import SNNEvaluation, SNNSecurityCurve
from art_snn.evaluation.protocol import compare
from art_snn.evaluation.reliability import ReliabilityReport

__all__ = [
    "ATTACKS",
    "Comparison",
    "Flag",
    "Judgement",
    "Outcomes",
    "ReliabilityReport",
    "SNNEvaluation",
    "SNNSecurityCurve",
    "compare",
    "craft",
    "diagnose",
    "endure",
    "judge",
]
