"""Evasion attacks on torch tensors: ART's interface, any PyTorch classifier, gradients under a policy."""

from art_snn.attacks.evasion.random_corners import RandomCorners
from art_snn.attacks.evasion.record import AttackRun
from art_snn.attacks.evasion.snn_auto_pgd import SNNAutoPGD
from art_snn.attacks.evasion.snn_square import SNNSquare
from art_snn.attacks.evasion.stable_adaptive_pgd import StableAdaptivePGD

__all__ = ["AttackRun", "RandomCorners", "SNNAutoPGD", "SNNSquare", "StableAdaptivePGD"]
