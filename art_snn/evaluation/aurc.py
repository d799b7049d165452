r"""One number for a security curve: the area under it.

.. math:: \mathrm{AURC} = \frac{1}{\varepsilon_{\max}} \int_0^{\varepsilon_{\max}} \mathrm{acc}(\varepsilon)\,
    d\varepsilon

by the trapezoid rule over the budgets that were run, 0 (clean) included. The integral is linear, so it is the mean over
networks and samples of each one's own area, and has the paired intervals of :mod:`art_snn.evaluation.paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]


def areas(curve: Mapping[float, Array]) -> Array:
    """Area under each sample's own curve, in [0, 1].

    :param curve: outcomes (or shares) ``[N]`` or ``[S, N]`` by budget; 0 among them.
    :return: ``[S, N]``.
    :raises ValueError: without the budget 0, or without another.

    >>> areas({0.0: np.array([True, True]), 0.1: np.array([True, False]), 0.4: np.array([False, False])}).tolist()
    [[0.625, 0.125]]
    """
    budgets = sorted(curve)
    if len(budgets) < 2 or budgets[0] != 0:
        raise ValueError(explain(f"budgets {budgets}", "0 and at least one more", "areas({0.0: clean, 0.1: robust})"))
    rows = np.stack([np.atleast_2d(curve[eps]).astype(float) for eps in budgets])
    return np.asarray(np.trapezoid(rows, np.array(budgets), axis=0) / budgets[-1])
