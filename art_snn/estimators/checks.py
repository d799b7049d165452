"""What may enter an estimator: one check at the edge, so that nothing fails deep inside torch."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch

from art_snn.errors import RangeWarning, explain

_SLACK = 0.5
"""Share of the range by which an input may leave the clip values without remark: attacks step out of the box."""

_FAR = 10.0
"""Ranges beyond which an input is refused: no attack goes there, unscaled images do."""

Array = np.ndarray[Any, np.dtype[Any]]


def describe_array(x: Any) -> str:
    """Kind, shape, dtype and range of an array or tensor, for an error message."""
    if not isinstance(x, np.ndarray | torch.Tensor):
        return f"a {type(x).__name__}"
    text = f"an array of shape {tuple(x.shape)}, {x.dtype}"
    x = x.detach() if isinstance(x, torch.Tensor) else x
    if 0 in x.shape or not _is_number(x):
        return text
    return f"{text}, range [{float(x.min()):.6g}, {float(x.max()):.6g}]"


def _is_number(x: Array | torch.Tensor) -> bool:
    return isinstance(x, torch.Tensor) or x.dtype.kind in "fiub"


def check_input(x: Any, input_shape: tuple[int, ...], clip_values: Any, *, integers: bool, strict: bool = False) -> Any:
    """Return ``x`` in floating point (float64 becomes float32), once it has been found usable.

    :param x: numpy array or tensor ``[N, *input_shape]``.
    :param input_shape: shape of one sample.
    :param clip_values: ``(low, high)`` or ``None``.
    :param integers: whether integers are meaningful (event counts), or a sign of unscaled images.
    :param strict: refuse values outside ``clip_values`` by more than half their range. ART's attacks ask about such
        points (noisy copies, steps that are clipped later), so otherwise there is a warning, and a refusal beyond ten
        ranges.
    :raises TypeError: if ``x`` is no array, or has an unusable dtype.
    :raises ValueError: if the shape is wrong, the batch empty, a value not finite, or the range too far from
        ``clip_values``.
    :warns RangeWarning: if the range is far from ``clip_values``.
    """
    if not isinstance(x, np.ndarray | torch.Tensor) or not _is_number(x):
        raise TypeError(explain(describe_array(x), "a numeric numpy array [N, *]", "np.asarray(x, dtype=np.float32)"))
    _check_shape(x, input_shape)
    floating = x.is_floating_point() if isinstance(x, torch.Tensor) else x.dtype.kind == "f"
    if not floating and not integers:
        fix = "scale images to the clip values in floating point: (x / 255).astype(np.float32)"
        raise TypeError(explain(describe_array(x), "floating-point images", fix))
    if isinstance(x, torch.Tensor):
        return _check_values(x if floating else x.float(), clip_values, strict)
    return _check_values(x.astype(np.float32, copy=False), clip_values, strict)


def _check_shape(x: Array | torch.Tensor, input_shape: tuple[int, ...]) -> None:
    expected = tuple(input_shape)
    wanted = f"[N, {', '.join(map(str, expected))}]"
    if tuple(x.shape[1:]) != expected or len(x.shape) == 0:
        fix = f"reshape it to {wanted}"
        if tuple(x.shape) == expected:
            fix = "add the batch axis: x[None]"
        elif len(x.shape) == 4 and len(expected) == 3 and (x.shape[3], *x.shape[1:3]) == expected:
            fix = "the channels come first here: np.transpose(x, (0, 3, 1, 2))"
        raise ValueError(explain(describe_array(x), wanted, fix))
    if x.shape[0] == 0:
        raise ValueError(explain("an empty batch", f"{wanted} with N >= 1", "check the selection that made x"))


def _check_values(x: Any, clip_values: Any, strict: bool) -> Any:
    finite = torch.isfinite(x).all() if isinstance(x, torch.Tensor) else np.isfinite(x).all()
    if not bool(finite):
        rest = torch.isfinite(x) if isinstance(x, torch.Tensor) else np.isfinite(x)
        rows = sorted({int(row) for row in (~rest).nonzero()[0 if isinstance(x, np.ndarray) else (slice(None), 0)]})
        came = f"NaN or inf in {len(rows)} of {x.shape[0]} samples (first: {rows[0]})"
        raise ValueError(explain(came, "finite values", "drop those samples, or np.nan_to_num(x)"))
    if clip_values is not None:
        low, high = float(np.min(clip_values[0])), float(np.max(clip_values[1]))
        values = x.detach() if isinstance(x, torch.Tensor) else x
        beyond = max(low - float(values.min()), float(values.max()) - high) / (high - low)
        if beyond > _SLACK:
            fix = f"rescale x to [{low:g}, {high:g}], or set clip_values to the range of your data"
            wanted = f"values in clip_values [{low:g}, {high:g}]"
            if strict or beyond > _FAR:
                raise ValueError(explain(describe_array(x), wanted, fix))
            came = f"values up to {2 ** math.ceil(math.log2(beyond))} times the width of the range outside it"
            warnings.warn(explain(came, wanted, fix), RangeWarning, stacklevel=4)
    return x


def check_labels(y: Any, samples: int, nb_classes: int) -> Any:
    """Return ``y`` once it has been found to be ``samples`` labels of ``nb_classes`` classes.

    :param y: indices ``[N]`` or ``[N, 1]``, or one-hot / probability rows ``[N, nb_classes]``; numbers in an array of
        objects come out as an ordinary array.
    :raises TypeError: if ``y`` is no numeric array.
    :raises ValueError: if the length is wrong, an index is out of range or fractional, or a row is not finite.
    """
    if isinstance(y, np.ndarray) and y.dtype == object:
        y = y.tolist()
    if isinstance(y, list | tuple):
        y = np.asarray(y)
    if not isinstance(y, np.ndarray | torch.Tensor) or not _is_number(y):
        raise TypeError(explain(describe_array(y), "a numeric array of labels", "np.asarray(y)"))
    rows = len(y.shape) == 2 and y.shape[1] == nb_classes and nb_classes > 1
    indices = len(y.shape) == 1 or (len(y.shape) == 2 and y.shape[1] == 1)
    if not (rows or indices) or y.shape[0] != samples:
        fix = "one label per sample"
        raise ValueError(
            explain(describe_array(y), f"[{samples}] indices or [{samples}, {nb_classes}] one-hot rows", fix)
        )
    values = y.detach().cpu().numpy() if isinstance(y, torch.Tensor) else y
    if not np.isfinite(values).all():
        raise ValueError(explain("NaN or inf among the labels", "finite labels", "drop those samples"))
    if not rows and (values.min() < 0 or values.max() >= nb_classes or (values != np.floor(values)).any()):
        fix = f"number the classes 0..{nb_classes - 1}, or build the classifier with more nb_classes"
        raise ValueError(explain(describe_array(y), f"whole labels in 0..{nb_classes - 1}", fix))
    return y
