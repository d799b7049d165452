"""How well scores tell attacked from clean samples: ROC, its area, detection at a fixed false-positive rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from art_snn.errors import explain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class DetectionCurve:
    """False- and true-positive rates over all thresholds, and the area under them.

    :param fpr: false-positive rates, ascending, 0 to 1.
    :param tpr: the true-positive rate at each of them.
    :param auc: area under the curve: 1 for perfect scores, 0.5 for chance.

    >>> curve = DetectionCurve(np.array([0.0, 0.1, 1.0]), np.array([0.4, 0.8, 1.0]), auc=0.87)
    >>> curve.tpr_at(0.05)
    0.4
    """

    fpr: Array
    tpr: Array
    auc: float

    def tpr_at(self, fpr: float) -> float:
        """The largest true-positive rate at no more than this false-positive rate."""
        return float(self.tpr[self.fpr <= fpr].max())

    def plot(self, ax: Axes | None = None, label: str | None = None) -> Axes:
        """The curve, with a logarithmic false-positive axis.

        :param ax: axes to draw into; a new figure without them.
        :param label: entry of the legend; the area is added.
        """
        if ax is None:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            figure = Figure(figsize=(5.2, 4.2), layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        name = f"{label or 'detector'} (AUC {self.auc:.3f})"
        ax.step(self.fpr.clip(1e-3), self.tpr, where="post", label=name)
        ax.set(xscale="log", xlabel="false-positive rate", ylabel="true-positive rate", ylim=(-0.02, 1.02))
        ax.grid(visible=True, alpha=0.3)
        ax.legend(frameon=False, loc="lower right")
        return ax

    def __str__(self) -> str:
        return f"AUC {self.auc:.3f}, TPR {self.tpr_at(0.01):.3f} at 1 % FPR, {self.tpr_at(0.05):.3f} at 5 % FPR"


def detection_curve(clean: Any, attacked: Any) -> DetectionCurve:
    """The curve of scores, of which larger ones mean attacked.

    :param clean: scores of clean samples ``[N]``.
    :param attacked: scores of attacked samples ``[M]``.
    :raises ValueError: if one of them is empty or not finite.

    >>> print(detection_curve([0.1, 0.2, 0.3], [0.25, 0.5]))
    AUC 0.833, TPR 0.500 at 1 % FPR, 0.500 at 5 % FPR
    """
    one, two = np.asarray(clean, dtype=float).ravel(), np.asarray(attacked, dtype=float).ravel()
    if not (one.size and two.size and np.isfinite(one).all() and np.isfinite(two).all()):
        came = f"{one.size} clean and {two.size} attacked scores"
        fix = "detection_curve(detector.scores(x), detector.scores(x_adv))"
        raise ValueError(explain(came, "finite scores of both kinds", fix))
    truth = np.r_[np.zeros(one.size), np.ones(two.size)]
    scores = np.r_[one, two]
    fpr, tpr, _ = roc_curve(truth, scores)
    return DetectionCurve(fpr, tpr, float(roc_auc_score(truth, scores)))
