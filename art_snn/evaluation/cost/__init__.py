"""What an attack costs (passes), and what a prediction costs: operations, energy under a named model, decision time."""

from art_snn.evaluation.cost.energy import ENERGY_MODELS, EnergyModel, Joules
from art_snn.evaluation.cost.passes import Cost, counted
from art_snn.evaluation.cost.timing import decision_steps, logits_at_each_step
from art_snn.evaluation.cost.work import Work, work

__all__ = [
    "ENERGY_MODELS",
    "Cost",
    "EnergyModel",
    "Joules",
    "Work",
    "counted",
    "decision_steps",
    "logits_at_each_step",
    "work",
]
