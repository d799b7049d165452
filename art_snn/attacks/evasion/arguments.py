"""What callers hand to an attack, checked at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.errors import explain
from art_snn.estimators.checks import check_input, describe_array
from art_snn.gradients.base import GradientPolicy


def check_common(attack: Any) -> None:
    """Check the parameters that native attacks share.

    :raises ValueError: for a value out of range.
    :raises TypeError: for a policy of another kind.
    """
    if attack.loss_type not in attack.loss_types:
        came = f"loss_type={attack.loss_type!r}"
        raise ValueError(explain(came, f"one of {attack.loss_types}", f"loss_type={attack.loss_types[0]!r}"))
    if attack.targeted and attack.loss_type == "dlr_targeted":
        fix = "loss_type='margin' with targeted=True"
        raise ValueError(explain("targeted=True with loss_type='dlr_targeted'", "one kind of target", fix))
    if attack.policy is not None and not isinstance(attack.policy, GradientPolicy):
        fix = "policy=Surrogate(surrogate.ATan(alpha=8.0))"
        raise TypeError(explain(f"policy={attack.policy!r}", "an art_snn.gradients.GradientPolicy or None", fix))
    for name, least in (("max_iter", 1), ("nb_random_init", 1), ("batch_size", 1), ("nb_targets", 1)):
        check_whole(name, getattr(attack, name), least)
    for name in ("eot", "votes"):
        if getattr(attack, name) is not None:
            check_whole(name, getattr(attack, name), 1)
    check_whole("seed", attack.seed, 0)
    for name in ("targeted", "verbose"):
        if not isinstance(getattr(attack, name), bool):
            raise ValueError(explain(f"{name}={getattr(attack, name)!r}", "True or False", f"{name}=True"))


def samples(x: Any, estimator: Any) -> Any:
    """Clean samples as float32 ``[N, *]``, once they have been found to fit the estimator.

    :raises TypeError: for values that are no numbers.
    :raises ValueError: for another shape, an empty batch, values that are not finite, or far from the clip values.
    """
    checked = check_input(numeric(x), tuple(estimator.input_shape), estimator.clip_values, integers=True)
    return np.asarray(checked, dtype=np.float32)


def numeric(x: Any) -> Any:
    """``x`` as an array of numbers.

    :raises TypeError: for anything else.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(explain(describe_array(array), "a numeric numpy array [N, *]", "x.astype(np.float32)"))
    return array


def check_whole(name: str, value: Any, least: int) -> None:
    """Check a whole number.

    :raises ValueError: if ``value`` is no whole number of at least ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(explain(f"{name}={value!r}", f"a whole number of at least {least}", f"{name}={least}"))


def index_labels(y: Any, samples: int, classes: int, targeted: bool, predicted: Tensor) -> Tensor:
    """Labels as class indices ``[N]``; the predictions where there are none.

    :raises ValueError: for a targeted attack without labels, or labels that do not fit.
    """
    if y is None:
        if targeted:
            raise ValueError(explain("targeted=True without y", "the classes to reach", "generate(x, y=targets)"))
        return predicted
    labels = numeric(y)
    if labels.ndim == 2 and labels.shape[1] == classes and classes > 1:
        labels = labels.argmax(1)
    labels = labels.reshape(-1)
    whole = labels.dtype.kind in "iub" or bool((labels == np.round(labels)).all())
    if len(labels) != samples or not whole or labels.min() < 0 or labels.max() >= classes:
        came = f"labels of shape {np.asarray(y).shape} for {samples} samples"
        fix = "pass one class index per sample, or one-hot rows"
        raise ValueError(explain(came, f"{samples} labels in 0..{classes - 1}", fix))
    return torch.as_tensor(labels.astype(np.int64), device=predicted.device)


def masked(mask: Any, clean: Tensor) -> Tensor | None:
    """The mask, one per sample: 1 where a value may change.

    :raises ValueError: if it does not broadcast to the samples.
    """
    if mask is None:
        return None
    given = torch.as_tensor(numeric(mask), device=clean.device)
    try:
        return given.expand(clean.shape)
    except RuntimeError as error:
        came = f"a mask of shape {tuple(given.shape)} for samples {tuple(clean.shape)}"
        raise ValueError(explain(came, "the shape of x, or of one sample", "mask=np.ones_like(x)")) from error
