"""Side-by-side evaluation with reliability flags."""

from art_snn.evaluation.adaptive import Judgement, Outcomes, craft, endure, judge
from art_snn.evaluation.attacks import ATTACKS
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.protocol import compare

__all__ = [
    "ATTACKS",
    "Comparison",
    "Flag",
    "Judgement",
    "Outcomes",
    "compare",
    "craft",
    "endure",
    "judge",
]
