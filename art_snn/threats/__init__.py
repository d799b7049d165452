"""Threat models as objects: what an attacker may change, measured, projected and checked in float64."""

from art_snn.threats.base import ThreatModel
from art_snn.threats.pixel import L1, L2, Linf, PixelBudget, pixel_budget

__all__ = ["L1", "L2", "Linf", "PixelBudget", "ThreatModel", "pixel_budget"]
