"""Figures of a comparison. Colors are Okabe and Ito's, told apart by marker as well."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from art_snn.evaluation.comparison import Comparison

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
MARKERS = "osD^vP*X"
_SVG = {"svg.hashsalt": "art-snn", "svg.fonttype": "path"}


def new_figure(width: float, height: float) -> Figure:
    """A figure outside pyplot's global state, that can draw itself."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def security_curves(result: Comparison, ax: Axes | None = None) -> Axes:
    """Worst-case accuracy over the budget with 95 % Wilson bands; a model with an invalidating flag is drawn dashed.

    :param ax: axes to draw into; a new figure without them.
    """
    ax = new_figure(6.4, 4.2).add_subplot() if ax is None else ax
    budgets = [0.0, *(eps for eps in result.eps if eps > 0)]
    for i, model in enumerate(result.models):
        points = [result.accuracy(model), *(result.accuracy(model, None, eps) for eps in budgets[1:])]
        values = 100 * np.array([[p.value, p.low, p.high] for p in points])
        style = "-" if result.valid(model) else "--"
        label = model if result.valid(model) else f"{model} (invalid)"
        color = COLORS[i % len(COLORS)]
        ax.plot(budgets, values[:, 0], style, marker=MARKERS[i % len(MARKERS)], color=color, label=label)
        ax.fill_between(budgets, values[:, 1], values[:, 2], color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel="budget eps (L-infinity, input units)", ylabel="worst-case accuracy (%)", ylim=(-2, 102))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False)
    return ax


def attack_bars(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy under each attack and in the worst case, at the budget that tells the models apart."""
    ax = new_figure(7.2, 3.6).add_subplot() if ax is None else ax
    eps = result.telling_eps
    names = ["clean", *result.attacks, "worst case"]
    width = 0.8 / len(result.models)
    for i, model in enumerate(result.models):
        each = [result.accuracy(model, attack, eps) for attack in result.attacks]
        points = [result.accuracy(model), *each, result.accuracy(model, None, eps)]
        values = np.array([100 * p.value for p in points])
        spread = np.array([[100 * (p.value - p.low) for p in points], [100 * (p.high - p.value) for p in points]])
        at = np.arange(len(names)) + (i - (len(result.models) - 1) / 2) * width
        ax.bar(at, values, width, yerr=spread, color=COLORS[i % len(COLORS)], label=model, error_kw={"lw": 0.8})
    ax.set_xticks(np.arange(len(names)), names, rotation=20)
    ax.set(ylabel="accuracy (%)", ylim=(0, 105), title=f"eps = {eps:.4g}")
    ax.legend(frameon=False, ncols=min(4, len(result.models)), fontsize="small")
    return ax


def example_images(result: Comparison) -> Figure | None:
    """Clean samples above each model's adversarial ones; a red frame marks a broken sample.

    Of event frames ``[T, 2, H, W]`` the mean over time and polarity is drawn: where something changed.
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


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same data."""
    buffer = io.StringIO()
    with rc_context(_SVG):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()
