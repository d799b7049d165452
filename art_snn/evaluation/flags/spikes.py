"""Attacks on the spikes themselves, short ones, so that a diagnosis sees the spike edge of a network work.

A network of event frames is attacked at its input, any other binary code at the train that it makes. Each attack states
its threat model, which judges the result: values, lines, shifts, moved, added and removed spikes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from art_snn.attacks.evasion import HammingFW, SpikeRetiming
from art_snn.coding.frames import EventFrames
from art_snn.estimators.snn_classifier import SNNClassifier
from art_snn.evaluation.flags.trials import Trial
from art_snn.evaluation.seeding import derived_seed
from art_snn.threats import SpikeFlips

if TYPE_CHECKING:
    from art_snn.evaluation.flags.evidence import Evidence

Array = np.ndarray[Any, np.dtype[Any]]
_SAMPLES = 8
_STEPS = 5
_JITTER = 1
_FLIPS = 5


def spike_trials(evidence: Evidence) -> list[Trial]:
    """Retiming and flips at the spike edge; none where the network has no binary spikes at its edge."""
    from art_snn.evaluation.flags.evidence import Evidence

    edge = _edge(evidence)
    if edge is None:
        return []
    classifier, trains, y = edge
    seed = derived_seed(evidence.seed, "spikes")
    options: dict[str, Any] = {"max_iter": _STEPS, "nb_random_init": 1, "seed": seed}
    attacks = {
        "spike retiming": lambda clf: SpikeRetiming(clf, jitter=_JITTER, **options),
        "spike flips": lambda clf: HammingFW(clf, k=_FLIPS, **options),
    }
    there = Evidence(classifier, trains, y, 1.0, evidence.seed, evidence.plan, attacks)
    return there.tested()


def _edge(evidence: Evidence) -> tuple[SNNClassifier, Array, Array] | None:
    """The classifier of spike trains, binary trains without silent ones, and their labels."""
    classifier = evidence.classifier
    if not isinstance(classifier, SNNClassifier) or not evidence.raw:
        return None
    x, y = (part[:_SAMPLES] for part in evidence.few)
    if isinstance(classifier.model.encoder, EventFrames):
        edge, trains = classifier, x
    elif classifier.model.encoder.is_binary:
        with evidence.drawing(derived_seed(evidence.seed, "train")), torch.no_grad():
            spikes = classifier.model.encode(torch.as_tensor(x, device=classifier.device))
        edge, trains = classifier.at_spikes(), spikes.transpose(0, 1).cpu().numpy()
    else:
        return None
    loud = trains.reshape(len(trains), -1).any(1)
    legal = bool(SpikeFlips(0).legal(torch.as_tensor(trains, dtype=torch.float64)).all())
    return (edge, trains[loud], y[loud]) if legal and loud.any() else None
