"""What adversarial samples look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from art_snn.evaluation.plots.canvas import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from art_snn.evaluation.comparison import Comparison


def example_images(result: Comparison) -> Figure | None:
    """Clean samples above each model's adversarial ones; a red frame marks a broken sample.

    Of event frames ``[T, 2, H, W]`` the mean over time and polarity is drawn: where something changed.

    :param result: a finished comparison.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> x = np.zeros((2, 1, 4, 4))
    >>> images = {"clean": x, "snn": {"x_adv": x, "correct": np.array([True, False]), "attack": "pgd"}}
    >>> figure = example_images(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, images=images))
    >>> len(figure.axes)  # two samples, clean and adversarial
    4
    """
    shown: dict[str, Any] = result.images
    if "clean" not in shown or np.ndim(shown["clean"]) not in (4, 5):
        return None
    rows = ["clean", *(model for model in result.models if model in shown)]
    columns = len(shown["clean"])
    figure = new_figure(1.1 * columns + 1.6, 1.2 * len(rows) + 0.4)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for r, row in enumerate(rows):
        images = shown["clean"] if row == "clean" else shown[row]["x_adv"]
        for c in range(columns):
            _draw_image(axes[r][c], images[c])
            if row != "clean" and not shown[row]["correct"][c]:
                axes[r][c].patch.set(edgecolor="#D55E00", linewidth=4)
        title = "clean" if row == "clean" else f"{row}\n{shown[row]['attack']}"
        axes[r][0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize="small")
    return figure


def _draw_image(ax: Axes, image: np.ndarray[Any, Any]) -> None:
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    planes = np.moveaxis(image.mean(0) if image.ndim == 4 else image, 0, -1)
    if planes.shape[-1] == 3:
        ax.imshow(planes.clip(0, 1), interpolation="nearest")
    else:
        ax.imshow(planes.mean(-1), cmap="gray", interpolation="nearest")
