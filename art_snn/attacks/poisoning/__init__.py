"""Backdoors in event data: triggers for ART's ``PoisoningAttackBackdoor``, poisoned data sets, and what they do."""

from art_snn.attacks.poisoning.dataset import PoisonedData, poison_dataset
from art_snn.attacks.poisoning.dynamic import DynamicTrigger, FrameAutoencoder, learn_dynamic_trigger
from art_snn.attacks.poisoning.flashing import FlashTrigger, StrobingTrigger
from art_snn.attacks.poisoning.metrics import BackdoorReport, measure_backdoor, ssim
from art_snn.attacks.poisoning.moving import MovingTrigger
from art_snn.attacks.poisoning.smart import SmartTrigger
from art_snn.attacks.poisoning.static import StaticTrigger
from art_snn.attacks.poisoning.trigger import Trigger

__all__ = [
    "BackdoorReport",
    "DynamicTrigger",
    "FlashTrigger",
    "FrameAutoencoder",
    "MovingTrigger",
    "PoisonedData",
    "SmartTrigger",
    "StaticTrigger",
    "StrobingTrigger",
    "Trigger",
    "learn_dynamic_trigger",
    "measure_backdoor",
    "poison_dataset",
    "ssim",
]
