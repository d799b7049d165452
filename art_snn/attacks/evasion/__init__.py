"""Evasion attacks on torch tensors: ART's interface, any PyTorch classifier, gradients under a policy."""

from art_snn.attacks.evasion.fab import FAB
from art_snn.attacks.evasion.ladder import PRESETS, LadderRow, Preset, SuiteRun
from art_snn.attacks.evasion.latency_pgd import LatencyPGD
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.pixel import PixelAttack
from art_snn.attacks.evasion.random_corners import RandomCorners
from art_snn.attacks.evasion.record import AttackRun
from art_snn.attacks.evasion.snn_auto_attack import SNNAutoAttack
from art_snn.attacks.evasion.snn_auto_pgd import SNNAutoPGD
from art_snn.attacks.evasion.snn_square import SNNSquare
from art_snn.attacks.evasion.stable_adaptive_pgd import StableAdaptivePGD
from art_snn.attacks.evasion.transfer import Transfer

__all__ = [
    "FAB",
    "PRESETS",
    "AttackRun",
    "LadderRow",
    "LatencyPGD",
    "NativeAttack",
    "PixelAttack",
    "Preset",
    "RandomCorners",
    "SNNAutoAttack",
    "SNNAutoPGD",
    "SNNSquare",
    "StableAdaptivePGD",
    "SuiteRun",
    "Transfer",
]
