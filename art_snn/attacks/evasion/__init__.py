"""Evasion attacks on torch tensors: ART's interface, any PyTorch classifier, gradients under a policy."""

from art_snn.attacks.evasion.detector_aware_pgd import DetectorAwarePGD
from art_snn.attacks.evasion.event_camera import CornerAttack, DashAttack, FrameAttack, MovingDashAttack
from art_snn.attacks.evasion.event_patch import EventPatch
from art_snn.attacks.evasion.event_square import EventSquare
from art_snn.attacks.evasion.fab import FAB
from art_snn.attacks.evasion.grid import GridAttack
from art_snn.attacks.evasion.gumbel_event import GumbelEventAttack
from art_snn.attacks.evasion.hamming_fw import HammingFW
from art_snn.attacks.evasion.ladder import PRESETS, LadderRow, Preset, SuiteRun
from art_snn.attacks.evasion.latency_pgd import LatencyPGD
from art_snn.attacks.evasion.lift import lift
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.pixel import PixelAttack
from art_snn.attacks.evasion.projected_retiming import ProjectedRetiming
from art_snn.attacks.evasion.random_corners import RandomCorners
from art_snn.attacks.evasion.random_events import RandomEvents
from art_snn.attacks.evasion.random_retiming import RandomRetiming
from art_snn.attacks.evasion.record import AttackRun
from art_snn.attacks.evasion.sea import sea_step
from art_snn.attacks.evasion.snn_auto_attack import SNNAutoAttack
from art_snn.attacks.evasion.snn_auto_pgd import SNNAutoPGD
from art_snn.attacks.evasion.snn_square import SNNSquare
from art_snn.attacks.evasion.sparse_event import SparseEventAttack
from art_snn.attacks.evasion.spike_compatible import SpikeCompatibleGradient, SpikeCompatibleImages
from art_snn.attacks.evasion.spike_fool import SpikeFool
from art_snn.attacks.evasion.spike_retiming import SpikeRetiming
from art_snn.attacks.evasion.spike_sponge import SpikeSponge
from art_snn.attacks.evasion.sponge_record import SpongeRun
from art_snn.attacks.evasion.stable_adaptive_pgd import StableAdaptivePGD
from art_snn.attacks.evasion.transfer import Transfer
from art_snn.attacks.evasion.universal_event import UniversalEventPerturbation

__all__ = [
    "FAB",
    "PRESETS",
    "AttackRun",
    "CornerAttack",
    "DashAttack",
    "DetectorAwarePGD",
    "EventPatch",
    "EventSquare",
    "FrameAttack",
    "GridAttack",
    "GumbelEventAttack",
    "HammingFW",
    "LadderRow",
    "LatencyPGD",
    "MovingDashAttack",
    "NativeAttack",
    "PixelAttack",
    "Preset",
    "ProjectedRetiming",
    "RandomCorners",
    "RandomEvents",
    "RandomRetiming",
    "SNNAutoAttack",
    "SNNAutoPGD",
    "SNNSquare",
    "SparseEventAttack",
    "SpikeCompatibleGradient",
    "SpikeCompatibleImages",
    "SpikeFool",
    "SpikeRetiming",
    "SpikeSponge",
    "SpongeRun",
    "StableAdaptivePGD",
    "SuiteRun",
    "Transfer",
    "UniversalEventPerturbation",
    "lift",
    "sea_step",
]
