"""How a gradient crosses a spike: policies that change the backward pass and never the forward."""

from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.gradients.bptt import StraightThrough, Surrogate
from art_snn.gradients.spike import SpikeFunction, spike, surrogate

__all__ = [
    "AttackScope",
    "GradientPolicy",
    "SpikeFunction",
    "StraightThrough",
    "Surrogate",
    "spike",
    "surrogate",
]
