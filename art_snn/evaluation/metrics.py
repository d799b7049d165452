r"""ART's robustness metrics on spiking classifiers, and what each of them does not say.

The metrics are ART's own and run unchanged on an ``SNNClassifier``. What goes through here goes with a warning where a
number would be read as what it is not:

``clever_u``
    estimates a local Lipschitz constant from gradient norms, :math:`\min_j (z_c - z_j) / L_j`. The input gradient of a
    spiking network is that of its *surrogate*, which says nothing about the slope of a step function: the score is no
    bound and changes with the surrogate at equal outputs. For a certificate, use ``SmoothedSNN``.
``loss_sensitivity``
    is a mean gradient norm: of the surrogate too. Comparable between inputs of one network under one surrogate, not
    between networks; 0 where the gradient is masked, which looks like robustness.
``empirical_robustness``
    averages over *broken* samples only, relative to the norm of the input, and returns 0 when nothing was broken: 0
    means "nothing found", not "no distance". Only its preset ``fgsm`` runs.
``adversarial_accuracy``
    counts agreement with the clean *prediction*, among samples that were right. Its presets use ``eps_step = 0.1``
    and ``minimal = True``, and ``hsj`` and ``auto`` raise in ART 1.20: pass an attack.
``loss_gradient_check``
    finds gradients that are zero or not finite, never those that are wrong: see flags E7 and E9.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from art import metrics
from art.attacks.attack import EvasionAttack
from art.estimators.classification import PyTorchClassifier

from art_snn.errors import GradientWarning, explain
from art_snn.spiking import spiking_neurons

Array = np.ndarray[Any, np.dtype[Any]]


def clever_u(
    classifier: PyTorchClassifier, x: Array, nb_batches: int, batch_size: int, radius: float, norm: float, **kwargs: Any
) -> float:
    """``art.metrics.clever_u`` on one sample, with a warning for networks that spike.

    :raises GradientWarning: (a warning) where the score rests on surrogate gradients.
    """
    _warn(classifier, "CLEVER reads surrogate gradients as a Lipschitz constant: the score is no bound")
    return float(metrics.clever_u(classifier, x, nb_batches, batch_size, radius, norm, verbose=False, **kwargs))


def loss_sensitivity(classifier: PyTorchClassifier, x: Array, y: Array) -> float:
    """``art.metrics.loss_sensitivity``, with a warning for networks that spike.

    :raises GradientWarning: (a warning) where the gradients are those of a surrogate.
    """
    _warn(classifier, "loss sensitivity is the norm of surrogate gradients: compare within this network only")
    return float(metrics.loss_sensitivity(classifier, x, y))


def empirical_robustness(classifier: PyTorchClassifier, x: Array, eps_step: float = 0.01, eps: float = 1.0) -> float:
    """``art.metrics.empirical_robustness`` with minimal FGSM, and NaN instead of 0 where nothing was broken.

    :param eps_step: first budget and step of the search.
    :param eps: largest budget.
    """
    found = metrics.empirical_robustness(classifier, x, "fgsm", {"eps_step": eps_step, "eps": eps})
    return float(np.mean(found)) or float("nan")


def adversarial_accuracy(classifier: PyTorchClassifier, x: Array, y: Array, attack: EvasionAttack) -> float:
    """``art.metrics.adversarial_accuracy`` under an attack of yours.

    :raises TypeError: for the name of a preset.
    """
    if not isinstance(attack, EvasionAttack):
        fix = "pass an attack: SNNAutoPGD(classifier, eps=8/255)"
        raise TypeError(explain(f"attack={attack!r}", "an ART evasion attack (ART's presets fail or mislead)", fix))
    return float(metrics.adversarial_accuracy(classifier, x, y, attack_crafter=attack))


def loss_gradient_check(classifier: PyTorchClassifier, x: Array, y: Array) -> Array:
    """``art.metrics.loss_gradient_check``: booleans ``[N, 3]``, a gradient that is zero, NaN, infinite."""
    return np.asarray(metrics.loss_gradient_check(classifier, x, y, verbose=False))


def _warn(classifier: PyTorchClassifier, text: str) -> None:
    if spiking_neurons(classifier.model):
        warnings.warn(text, GradientWarning, stacklevel=3)
