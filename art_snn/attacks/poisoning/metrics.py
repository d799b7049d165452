r"""How well a backdoor works, and how visible its trigger is.

*Attack success rate*: share of triggered test samples of **other** classes that the model gives the target class. A
model without backdoor also does that now and then, so the same number of the clean model stands beside it.
*Visibility*: changed cells, :math:`\mathrm{MSE} = \mathrm{mean}(x'-x)^2`, and the structural similarity of the frames,

.. math:: \mathrm{SSIM} = \mathrm{mean}\,\frac{(2\mu_a\mu_b + c_1)(2\sigma_{ab} + c_2)}
          {(\mu_a^2 + \mu_b^2 + c_1)(\sigma_a^2 + \sigma_b^2 + c_2)}

over windows of 7 x 7 pixels, :math:`c_1 = 0.01^2`, :math:`c_2 = 0.03^2`, values in [0, 1].

Source: Wang et al., IEEE Trans. Image Processing 2004 (SSIM).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from art_snn.attacks.poisoning.trigger import Array
from art_snn.errors import explain


@dataclass(frozen=True)
class BackdoorReport:
    """What a backdoored model does; shares from 0 to 1, counts per sample.

    ``false_alarms`` is the rate at which untriggered samples of other classes get the target class.

    :param clean_accuracy: on samples without trigger.
    :param success_rate: triggered samples of other classes that get the target class.
    :param samples: how many of other classes were judged.
    :param added_events: mean number of events that the trigger adds.
    :param deleted_events: mean number of events that it deletes.
    :param mse: mean squared change of a cell.
    :param ssim: structural similarity of clean and triggered frames, 1 for equal ones.

    >>> report = BackdoorReport(0.97, 0.99, 0.01, 90, added_events=6.0, deleted_events=0.0, mse=1e-3, ssim=0.99)
    >>> report.success_rate - report.false_alarms
    0.98
    """

    clean_accuracy: float
    success_rate: float
    false_alarms: float
    samples: int
    added_events: float
    deleted_events: float
    mse: float
    ssim: float


def measure_backdoor(classifier: Any, x: Any, y: Any, trigger: Callable[[Any], Any], target: int) -> BackdoorReport:
    """Judge a model on test samples ``x [N, T, 2, H, W]`` with class indices ``y``.

    :param classifier: the trained model.
    :param trigger: a callable on arrays.
    :param target: the class that the trigger should give.
    :raises ValueError: if every sample is of the target class.

    >>> from art_snn.networks import mlp
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.attacks.poisoning import StaticTrigger
    >>> from art_snn.testing import tiny
    >>> clf = tiny.classifier(mlp((2, 8, 8), 10, encoder=EventFrames(T=3), hidden=(8,)), input_shape=(3, 2, 8, 8))
    >>> grids = np.zeros((4, 3, 2, 8, 8), dtype=np.float32)
    >>> report = measure_backdoor(clf, grids, np.array([0, 1, 2, 3]), StaticTrigger(size=0.25), target=0)
    >>> report.samples, report.added_events
    (3, 12.0)
    """
    x, y = np.asarray(x), np.asarray(y)
    others = y != target
    if not others.any():
        came = f"test samples of class {target} only"
        raise ValueError(explain(came, "samples of other classes", "pass a whole test set"))
    triggered = trigger(x[others])
    plain = classifier.predict(x).argmax(1)
    change = triggered.astype(np.float64) - x[others]
    return BackdoorReport(
        clean_accuracy=float((plain == y).mean()),
        success_rate=float((classifier.predict(triggered).argmax(1) == target).mean()),
        false_alarms=float((plain[others] == target).mean()),
        samples=int(others.sum()),
        added_events=float((change > 0).sum() / others.sum()),
        deleted_events=float((change < 0).sum() / others.sum()),
        mse=float((change**2).mean()),
        ssim=ssim(x[others], triggered),
    )


def ssim(a: Array, b: Array) -> float:
    """Mean structural similarity of the frames of two arrays ``[*, H, W]``; 1 for equal arrays.

    :param a: frames.
    :param b: frames of the same shape.

    >>> ssim(np.ones((1, 8, 8)), np.ones((1, 8, 8)))
    1.0
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    window = (*[0] * (a.ndim - 2), 7, 7)
    mean_a, mean_b, square_a, square_b, product = (_smooth(v, window) for v in (a, b, a * a, b * b, a * b))
    var_a, var_b, cov = square_a - mean_a**2, square_b - mean_b**2, product - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def _smooth(values: Array, window: tuple[int, ...]) -> Array:
    smooth: Array = uniform_filter(values, size=[max(w, 1) for w in window], mode="reflect")
    return smooth
