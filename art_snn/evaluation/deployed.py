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
    rewind(classifier, seed)
    with averaged(classifier.model, draws):
        return np.asarray(classifier.predict(x, batch_size=256))
