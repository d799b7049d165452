"""The deployed rule: what a model answers when it is judged, not attacked."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.estimators.classification import PyTorchClassifier

from art_snn.evaluation.attacks import averaged

Array = np.ndarray[Any, np.dtype[Any]]
EVALUATION_DRAWS = 20
"""Fresh draws averaged when a stochastic network is judged."""


def rewind(classifier: PyTorchClassifier, seed: int) -> None:
    """Start the random streams of the model and of its preprocessors from ``seed``, where they have any."""
    parts = [getattr(part, "transform", part) for part in classifier.preprocessing_operations]
    for owner in (classifier.model, *parts):
        restart = getattr(owner, "reseed", None)
        if callable(restart):
            restart(seed)


def deployed_logits(classifier: PyTorchClassifier, x: Array, seed: int, draws: int = EVALUATION_DRAWS) -> Array:
    """Logits of the deployed rule: mean of fresh draws where the model is stochastic, from a seed of their own."""
    return deployed_draws(classifier, x, seed, draws).mean(0)


def deployed_draws(classifier: PyTorchClassifier, x: Array, seed: int, draws: int = EVALUATION_DRAWS) -> Array:
    """Logits ``[D, N, K]`` of every single draw; of one where the model is not stochastic."""
    rewind(classifier, seed)
    count = draws if getattr(classifier.model, "is_stochastic", False) else 1
    with averaged(classifier.model, 1):
        return np.stack([classifier.predict(x, batch_size=256) for _ in range(count)])
