r"""Certified accuracy: the share of samples whose right class is certified at least up to a radius.

.. math:: \mathrm{acc}(r) = \frac1N \sum_i 1[\hat c_i = y_i \wedge R_i \ge r]

An abstention is an error. The interval is Wilson's over samples; that each certificate may be wrong with probability
alpha comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from art_snn.errors import explain
from art_snn.evaluation.plots import COLORS, new_figure
from art_snn.evaluation.statistics import Proportion, proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class CertifiedCurve:
    """Certified accuracy at each radius, and the share of samples on which the classifier abstained."""

    radii: list[float]
    accuracy: list[Proportion]
    abstained: Proportion
    unit: str

    def at(self, radius: float) -> Proportion:
        """Certified accuracy at a radius of the curve.

        :raises ValueError: if it is not one of them.
        """
        if radius not in self.radii:
            came = f"radius {radius} ({self.unit})"
            raise ValueError(explain(came, f"one of {self.radii}", "pass radii=[...] to certified_accuracy"))
        return self.accuracy[self.radii.index(radius)]

    def plot(self, ax: Axes | None = None, label: str | None = None, color: str = COLORS[0]) -> Axes:
        """Certified accuracy over the radius with its 95 % band.

        :param ax: axes to draw into; a new figure without them.
        :param label: entry of the legend.
        :param color: of line and band.
        """
        ax = new_figure(6.4, 4.2).add_subplot() if ax is None else ax
        values = 100 * np.array([[p.value, p.low, p.high] for p in self.accuracy])
        ax.step(self.radii, values[:, 0], where="mid", color=color, label=label)
        ax.fill_between(self.radii, values[:, 1], values[:, 2], step="mid", color=color, alpha=0.15, linewidth=0)
        ax.set(xlabel=self.unit, ylabel="certified accuracy (%)", ylim=(-2, 102))
        ax.grid(visible=True, alpha=0.3)
        if label is not None:
            ax.legend(frameon=False)
        return ax


def certified_accuracy(
    prediction: Any, radius: Any, y: Any, radii: Any = None, unit: str = "certified radius"
) -> CertifiedCurve:
    """The curve of what ``SmoothedSNN.certify`` returned.

    :param prediction: classes ``[N]``, -1 where the classifier abstained.
    :param radius: certified radii ``[N]``.
    :param y: right classes ``[N]``.
    :param radii: where to read the curve; by default 0 and every radius that occurs.
    :param unit: what a radius counts.
    :raises ValueError: if the lengths differ, or there are no samples.

    >>> curve = certified_accuracy([3, 1, -1, 0], [2.0, 0.0, 0.0, 1.0], [3, 1, 0, 2])
    >>> [(r, p.value) for r, p in zip(curve.radii, curve.accuracy)], curve.abstained.value
    ([(0.0, 0.5), (1.0, 0.25), (2.0, 0.25)], 0.25)
    """
    prediction, radius, y = np.asarray(prediction), np.asarray(radius, dtype=float), np.asarray(y)
    if not prediction.shape == radius.shape == y.shape or prediction.ndim != 1:
        came = f"shapes {prediction.shape}, {radius.shape}, {y.shape}"
        fix = "certified_accuracy(*clf.certify(x), y), with index labels"
        raise ValueError(explain(came, "three arrays of one length", fix))
    right = prediction == y
    found = np.unique(radius[np.isfinite(radius)]).tolist() if radii is None else [float(r) for r in radii]
    read = sorted({0.0, *found}) if radii is None else found
    return CertifiedCurve(read, [proportion(right & (radius >= r)) for r in read], proportion(prediction == -1), unit)
