r"""Probabilities for what asks for them, while gradients stay those of the logits.

.. math:: p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}

ART's SimBA, virtual adversarial method, LowProFool, defensive distillation and STRIP read the output as probabilities;
rates of spikes are none, even where a row happens to sum to one. ART never differentiates a postprocessor, so the
losses of gradient attacks still see logits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from art.defences.postprocessor.postprocessor import Postprocessor
from scipy.special import softmax

Array = np.ndarray[Any, np.dtype[Any]]


class Softmax(Postprocessor):
    """Softmax behind the logits of :meth:`predict`, in their dtype.

    >>> Softmax()(np.zeros((1, 4), dtype=np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self) -> None:
        super().__init__(is_fitted=True, apply_fit=False, apply_predict=True)

    def __call__(self, preds: Array) -> Array:
        """Probabilities ``[N, K]`` of logits ``[N, K]``."""
        return np.asarray(softmax(preds, axis=1), dtype=preds.dtype)
