"""What spikes cost and when they decide: energy beside accuracy, accuracy over time, decision steps, rasters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from art_snn.errors import explain
from art_snn.evaluation.plots.canvas import COLORS, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from art_snn.evaluation.comparison import Comparison

_CONDITIONS = ((False, "clean", COLORS[0], ""), (True, "under attack", COLORS[1], "///"))


def pareto(result: Comparison, ax: Axes | None = None) -> Axes:
    """Clean accuracy against the worst case at the budget that tells models apart; the area is the energy.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right = np.ones(4, dtype=bool)
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {("snn", "pgd", 0.1): ~right}, {"snn": []})
    >>> pareto(result).collections[-1].get_offsets().tolist()
    [[100.0, 0.0]]
    """
    ax = new_figure(6.4, 4.4).add_subplot() if ax is None else ax
    energies = [result.work(model).get("energy_nj", 0.0) for model in result.models]
    largest = max(energies) or 1.0
    for i, model in enumerate(result.models):
        clean, worst = result.accuracy(model), result.accuracy(model, None, result.telling_eps)
        color = COLORS[i % len(COLORS)]
        face = color if result.valid(model) else "none"
        label = f"{model}, {energies[i]:.3g} nJ" + ("" if result.valid(model) else " (invalid)")
        wide = [[100 * (clean.value - clean.low)], [100 * (clean.high - clean.value)]]
        high = [[100 * (worst.value - worst.low)], [100 * (worst.high - worst.value)]]
        x, y = 100 * clean.value, 100 * worst.value
        ax.errorbar(x, y, xerr=wide, yerr=high, fmt="none", ecolor=color, alpha=0.5, lw=0.8)
        size = 30 + 400 * energies[i] / largest
        marker = MARKERS[i % len(MARKERS)]
        ax.scatter(x, y, s=size, marker=marker, facecolor=face, edgecolor=color, label=label, alpha=0.8)
    ax.set(xlabel="clean accuracy (%)", ylabel=f"worst case at eps = {result.telling_eps:.4g} (%)")
    ax.grid(visible=True, alpha=0.3)
    legend = ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]
    return ax


def over_time(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy if the network were read after each step, clean and (dashed) under attack.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if no model decides over time.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "time", "model": "snn", "attack": None, "accuracy": [0.5, 0.9], "decided": [30, 10]}
    >>> axes = over_time(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record]))
    >>> axes.lines[0].get_ydata().tolist()
    [50.0, 90.0]
    """
    models = timed(result)
    ax = new_figure(6.4, 4.0).add_subplot() if ax is None else ax
    for i, model in ((result.models.index(model), model) for model in models):
        for attacked, words, _, _ in _CONDITIONS:
            records = result.measured("time", model, attacked=attacked)
            if records:
                share = 100 * np.mean([record["accuracy"] for record in records], axis=0)
                style = "--" if attacked else "-"
                marker, color = MARKERS[i % len(MARKERS)], COLORS[i % len(COLORS)]
                steps = np.arange(1, len(share) + 1)
                ax.plot(steps, share, style, marker=marker, color=color, ms=4, label=f"{model}, {words}")
    ax.set(xlabel="time steps read", ylabel="accuracy (%)", ylim=(-2, 102))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def decisions(result: Comparison, ax: Axes | None = None, model: str | None = None) -> Axes:
    """How many samples are decided at which step, clean and under attack.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :param model: the first that decides over time by default.
    :raises ValueError: if no model decides over time.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "time", "model": "snn", "attack": None, "accuracy": [0.5, 0.9], "decided": [30, 10]}
    >>> axes = decisions(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record]))
    >>> [bar.get_height().item() for bar in axes.patches]
    [75.0, 25.0]
    """
    model = timed(result)[0] if model is None else model
    ax = new_figure(4.6, 2.8).add_subplot() if ax is None else ax
    for i, (attacked, words, color, hatch) in enumerate(_CONDITIONS):
        records = result.measured("time", model, attacked=attacked)
        if records:
            counts = np.sum([record["decided"] for record in records], axis=0)
            steps = np.arange(1, len(counts) + 1) + 0.4 * i - 0.2
            ax.bar(steps, 100 * counts / counts.sum(), 0.4, color=color, hatch=hatch, edgecolor="white", label=words)
    ax.set(xlabel="decided at step", ylabel="samples (%)", title=model)
    ax.legend(frameon=False, fontsize="small")
    return ax


def raster(result: Comparison, ax: Axes | None = None, model: str | None = None) -> Axes:
    """Spikes of the first layer of neurons on one sample: clean (left of each step) and adversarial (right).

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :param model: the first that spikes by default.
    :raises ValueError: if no model spikes.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "raster", "model": "snn", "layer": "2", "T": 2, "spikes": {"clean": [[0, 3], [1]]}}
    >>> raster(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record])).lines[0].get_ydata().tolist()
    [0, 3, 1]
    """
    known = spiking(result)
    record = known[next(iter(known)) if model is None else model]
    ax = new_figure(5.0, 3.4).add_subplot() if ax is None else ax
    for i, (condition, color, mark) in enumerate((("clean", COLORS[0], "|"), ("adversarial", COLORS[1], "x"))):
        train = record["spikes"].get(condition, [])
        points = [(t + 1 + 0.24 * i - 0.12, unit) for t, step in enumerate(train) for unit in step]
        if points:
            at, unit = zip(*points, strict=True)
            ax.plot(at, unit, mark, ms=4, color=color, label=condition, linestyle="none")
    ax.set(xlabel="time step", ylabel="neuron", title=f"{record['model']}, {record['layer']}")
    ax.set(xlim=(0.5, record["T"] + 0.5))
    ax.legend(frameon=False, fontsize="small", loc="upper right", ncols=2, bbox_to_anchor=(1.0, -0.16))
    return ax


def timed(result: Comparison) -> list[str]:
    """Models that decide over time.

    :param result: a finished comparison.
    :raises ValueError: if there is none.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "time", "model": "snn", "attack": None, "accuracy": [0.5, 0.9], "decided": [30, 10]}
    >>> timed(Comparison(["ann", "snn"], [], [0.1], {}, {}, {}, [record]))
    ['snn']
    """
    found = [model for model in result.models if result.measured("time", model, attacked=False)]
    if not found:
        raise ValueError(explain("no network with time steps", "at least one", "compare a SpikingNetwork of T > 1"))
    return found


def spiking(result: Comparison) -> dict[str, dict[str, Any]]:
    """Rasters by model.

    :param result: a finished comparison.
    :raises ValueError: if there is none.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "raster", "model": "snn", "layer": "2", "T": 2, "spikes": {"clean": [[0, 3], [1]]}}
    >>> list(spiking(Comparison(["ann", "snn"], [], [0.1], {}, {}, {}, [record])))
    ['snn']
    """
    found = {record["model"]: record for record in result.records if record["kind"] == "raster"}
    if not found:
        raise ValueError(explain("no network that spikes", "at least one", "compare a SpikingNetwork"))
    return found
