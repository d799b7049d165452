"""How a gradient crosses a spike: policies that change the backward pass and never the forward."""

from art_snn.gradients.assg import ASSG
from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.gradients.bptr import BPTR
from art_snn.gradients.bptt import StraightThrough, Surrogate
from art_snn.gradients.ensemble import Ensemble
from art_snn.gradients.families import FAMILIES
from art_snn.gradients.hart import HART
from art_snn.gradients.pdsg import PDSG
from art_snn.gradients.rga import RGA
from art_snn.gradients.scg import SCG
from art_snn.gradients.spike import SpikeFunction, spike, surrogate
from art_snn.gradients.twin import ANNTwin

__all__ = [
    "ASSG",
    "BPTR",
    "FAMILIES",
    "HART",
    "PDSG",
    "RGA",
    "SCG",
    "ANNTwin",
    "AttackScope",
    "Ensemble",
    "GradientPolicy",
    "SpikeFunction",
    "StraightThrough",
    "Surrogate",
    "spike",
    "surrogate",
]
