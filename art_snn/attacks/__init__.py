"""Attacks on spiking networks, as ART attacks."""

from art_snn.attacks.evasion import (
    FAB,
    LatencyPGD,
    RandomCorners,
    SNNAutoAttack,
    SNNAutoPGD,
    SNNSquare,
    SpikeSponge,
    StableAdaptivePGD,
    Transfer,
)

__all__ = [
    "FAB",
    "LatencyPGD",
    "RandomCorners",
    "SNNAutoAttack",
    "SNNAutoPGD",
    "SNNSquare",
    "SpikeSponge",
    "StableAdaptivePGD",
    "Transfer",
]
