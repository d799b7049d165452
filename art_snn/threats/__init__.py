"""Threat models as objects: what an attacker may change, measured, projected and checked in float64."""

from art_snn.threats.base import ThreatModel
from art_snn.threats.events import EventBudget
from art_snn.threats.flips import SpikeFlips
from art_snn.threats.patch import PatchArea
from art_snn.threats.pixel import L0, L1, L2, Linf, PixelBudget, pixel_budget
from art_snn.threats.retiming import Retiming

__all__ = [
    "L0",
    "L1",
    "L2",
    "EventBudget",
    "Linf",
    "PatchArea",
    "PixelBudget",
    "Retiming",
    "SpikeFlips",
    "ThreatModel",
    "pixel_budget",
]
