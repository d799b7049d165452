"""Attacks on spiking networks, as ART attacks."""

from art_snn.attacks.evasion import (
    FAB,
    LatencyPGD,
    ProjectedRetiming,
    RandomCorners,
    RandomRetiming,
    SNNAutoAttack,
    SNNAutoPGD,
    SNNSquare,
    SpikeRetiming,
    StableAdaptivePGD,
    Transfer,
)

__all__ = [
    "FAB",
    "LatencyPGD",
    "ProjectedRetiming",
    "RandomCorners",
    "RandomRetiming",
    "SNNAutoAttack",
    "SNNAutoPGD",
    "SNNSquare",
    "SpikeRetiming",
    "StableAdaptivePGD",
    "Transfer",
]
