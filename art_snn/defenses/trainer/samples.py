"""Training data as tensors, and the part of them that is held back for validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.estimators.regression.pytorch import PyTorchRegressor
from torch import Tensor

from art_snn.errors import explain
from art_snn.estimators.checks import check_input, check_labels


def samples_and_targets(estimator: Any, x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """Checked samples, float32, and their targets: class indices, one-hot rows if the loss wants rows, or real numbers.

    :raises TypeError: if ``x`` or ``y`` is no usable array.
    :raises ValueError: for wrong shapes, values that are not finite, or labels out of range.
    """
    encoder = getattr(estimator.model, "encoder", None)
    integers = bool(getattr(encoder, "integer_input", False))
    samples = torch.as_tensor(
        np.asarray(check_input(x, estimator.input_shape, estimator.clip_values, integers=integers))
    )
    if isinstance(estimator, PyTorchRegressor):
        return samples.float(), _numbers(y, len(samples))
    labels = np.asarray(check_labels(y, len(samples), estimator.nb_classes))
    rows = labels.ndim == 2 and labels.shape[1] == estimator.nb_classes and estimator.nb_classes > 1
    indices = torch.as_tensor(labels.argmax(1) if rows else labels.reshape(-1)).long()
    if getattr(estimator, "_reduce_labels", True):
        return samples.float(), indices
    return samples.float(), torch.nn.functional.one_hot(indices, estimator.nb_classes).float()


def _numbers(y: Any, samples: int) -> Tensor:
    values = np.asarray(y, dtype=np.float32)
    if values.shape not in ((samples,), (samples, 1)) or not np.isfinite(values).all():
        came = f"targets of shape {values.shape}"
        raise ValueError(explain(came, f"{samples} finite numbers, one per sample", "y.reshape(-1)"))
    return torch.as_tensor(values.reshape(-1))


def split_rows(samples: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to validate on, disjoint, together all of them.

    :param share: of the validation rows, rounded to the nearest number of samples.
    :raises ValueError: if a share above 0 leaves either part empty.

    >>> rows, held = split_rows(10, 0.2, torch.Generator().manual_seed(0))
    >>> len(rows), len(held), sorted(torch.cat([rows, held]).tolist()) == list(range(10))
    (8, 2, True)
    """
    held = round(samples * share)
    if (share > 0 and held == 0) or held == samples:
        came = f"{samples} samples with a validation share of {share}"
        raise ValueError(explain(came, "at least one sample to train and one to validate on", "validation=0.0"))
    if held == 0:
        return torch.arange(samples), torch.arange(0)
    order = torch.randperm(samples, generator=generator)
    return order[held:].sort().values, order[:held].sort().values
