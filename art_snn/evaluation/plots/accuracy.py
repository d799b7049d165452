"""Accuracy under attack: curves over the budget, bars and a ladder over attacks, a map over pairs of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from art_snn.errors import explain
from art_snn.evaluation.plots.canvas import COLORS, HATCHES, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from art_snn.evaluation.comparison import Comparison


def security_curves(result: Comparison, ax: Axes | None = None) -> Axes:
    """Worst-case accuracy over the budget with 95 % Wilson bands; a model with an invalidating flag is drawn dashed.

    :param result: a finished comparison.
    :param ax: axes to draw into; a new figure without them.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right = np.ones(4, dtype=bool)
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {("snn", "pgd", 0.1): ~right}, {"snn": []})
    >>> security_curves(result).lines[0].get_ydata().tolist()
    [100.0, 0.0]
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
    ax.set(xlabel=f"budget eps (L{result.norm:g}, input units)", ylabel="worst-case accuracy (%)", ylim=(-2, 102))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False)
    return ax


def attack_bars(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy under each attack and in the worst case, at the budget that tells the models apart.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right = np.ones(4, dtype=bool)
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {("snn", "pgd", 0.1): ~right}, {"snn": []})
    >>> [label.get_text() for label in attack_bars(result).get_xticklabels()]
    ['clean', 'pgd', 'worst case']
    """
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


def attack_ladder(result: Comparison, ax: Axes | None = None) -> Axes:
    """What each attack breaks that none before it broke, down to what is left, at the telling budget.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right = np.ones(4, dtype=bool)
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {("snn", "pgd", 0.1): ~right}, {"snn": []})
    >>> [bar.get_width().item() for bar in attack_ladder(result).patches]
    [100.0]
    """
    eps = result.telling_eps
    steps = ["wrong when clean", *result.attacks, *(["transfer"] if result.transfer else []), "other budgets", "robust"]
    shares = np.array([_broken(result, model, eps) for model in result.models])
    if ax is None:
        ax = new_figure(7.2, 1.6 + 0.45 * len(result.models)).add_subplot()
    left = np.zeros(len(result.models))
    colors = ["#bbbbbb", *(COLORS[i % len(COLORS)] for i in range(len(steps) - 2)), "#ffffff"]
    for i, name in enumerate(steps):
        if not shares[:, i].any():
            continue
        ax.barh(
            np.arange(len(result.models)), shares[:, i], left=left, label=name, color=colors[i],
            edgecolor="#333333", linewidth=0.5, hatch="" if name == "robust" else HATCHES[i % len(HATCHES)],
        )  # fmt: skip
        left += shares[:, i]
    ax.set_yticks(np.arange(len(result.models)), result.models)
    ax.invert_yaxis()
    ax.set(xlabel=f"samples (%), eps = {eps:.4g}", xlim=(0, 100))
    ax.legend(frameon=False, fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def _broken(result: Comparison, model: str, eps: float) -> list[float]:
    standing = np.atleast_2d(result.clean[model]).copy()
    shares = [100 * float((~standing).mean())]
    moved = [row for (_, name, level), row in result.transfer.items() if name == model and level == eps]
    rows = [result.outcomes[model, attack, eps] for attack in result.attacks]
    rows += [np.logical_and.reduce(moved) if moved else standing] if result.transfer else []
    for row in [*rows, result.worst_case(model, eps)]:
        left = standing & np.atleast_2d(row)
        shares.append(100 * float((standing & ~left).mean()))
        standing = left
    return [*shares, 100 * float(standing.mean())]


_LUMINANCE = (0.299, 0.587, 0.114)
_MIDDLE = 0.46
"""Above it black ink reads better than white."""


def transfer_map(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy of each model (column) on what was made against each model (row); the diagonal is the white box.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if nothing was transferred.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right, names = np.ones(4, dtype=bool), ["ann", "snn"]
    >>> record = {"kind": "transfer", "attack": "pgd"}
    >>> outcomes = {(name, "pgd", 0.1): ~right for name in names}
    >>> moved = {("ann", "snn", 0.1): right, ("snn", "ann", 0.1): ~right}
    >>> clean, flags = {name: right for name in names}, {name: [] for name in names}
    >>> result = Comparison(names, ["pgd"], [0.1], clean, outcomes, flags, [record], transfer=moved)
    >>> transfer_map(result).images[0].get_array().tolist()
    [[0.0, 100.0], [0.0, 0.0]]
    """
    if not result.transfer:
        raise ValueError(explain("one model, or no gradient attack", "something to transfer", "compare two models"))
    eps, source = result.telling_eps, result.source
    count = len(result.models)
    values = np.zeros((count, count))
    for i, made in enumerate(result.models):
        for j, model in enumerate(result.models):
            rows = result.outcomes[model, source, eps] if i == j else result.transfer[made, model, eps]
            values[i, j] = 100 * np.mean(rows)
    ax = new_figure(2.6 + 0.75 * count, 1.8 + 0.55 * count).add_subplot() if ax is None else ax
    image = ax.imshow(values, vmin=0, vmax=100, cmap="cividis", aspect="auto")
    for i in range(count):
        for j in range(count):
            ink = "black" if np.dot(image.to_rgba(values[i, j])[:3], _LUMINANCE) > _MIDDLE else "white"
            bold = "bold" if i == j else "normal"
            ax.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", color=ink, weight=bold)
    ax.set_xticks(np.arange(count), result.models, rotation=30, ha="right")
    ax.set_yticks(np.arange(count), result.models)
    ax.set(xlabel="evaluated on", ylabel="made against", title=f"accuracy (%), {source}, eps = {eps:.4g}")
    return ax
