"""Spiking neural networks for the Adversarial Robustness Toolbox.

>>> from art_snn import SpikingNetwork
>>> from art_snn.coding import Latency, MembraneMean

Names are imported when they are first used, so that ``import art_snn.coding`` costs no more than torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "SpikingNetwork": "art_snn.networks",
    "ann_twin": "art_snn.networks",
    "Direct": "art_snn.coding",
    "EventFrames": "art_snn.coding",
    "FirstSpike": "art_snn.coding",
    "Latency": "art_snn.coding",
    "MembraneMean": "art_snn.coding",
    "Poisson": "art_snn.coding",
    "SpikeCount": "art_snn.coding",
    "Surrogate": "art_snn.gradients",
    "QCFS": "art_snn.conversion",
    "convert": "art_snn.conversion",
    "replace_activations": "art_snn.conversion",
    "SNNClassifier": "art_snn.estimators",
    "SNNAutoAttack": "art_snn.attacks",
    "SNNAutoPGD": "art_snn.attacks",
    "SpikeRetiming": "art_snn.attacks",
    "Comparison": "art_snn.evaluation",
    "compare": "art_snn.evaluation",
    "citation": "art_snn.bibliography",
    "diagnose": "art_snn.evaluation",
}

__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from art_snn.attacks import SNNAutoAttack, SNNAutoPGD, SpikeRetiming
    from art_snn.bibliography import citation
    from art_snn.coding import Direct, EventFrames, FirstSpike, Latency, MembraneMean, Poisson, SpikeCount
    from art_snn.conversion import QCFS, convert, replace_activations
    from art_snn.estimators import SNNClassifier
    from art_snn.evaluation import Comparison, compare, diagnose
    from art_snn.gradients import Surrogate
    from art_snn.networks import SpikingNetwork, ann_twin


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "defences":
        raise AttributeError(
            "art_snn spells it with an s: use art_snn.defenses (ART's own generic ones are in art.defences)"
        )
    raise AttributeError(f"module 'art_snn' has no attribute {name!r}; public names: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
