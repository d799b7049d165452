"""Could the attacks have gone further: convergence, surrogates, gradients, certificates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator

from art_snn.errors import explain
from art_snn.evaluation.flags.pool import POOL
from art_snn.evaluation.plots.canvas import COLORS, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from art_snn.evaluation.comparison import Comparison


def probed(result: Comparison, kind: str, part: str) -> dict[str, dict[str, Any]]:
    """Records of one kind by model, those that hold ``part``.

    :raises ValueError: if there are none.
    """
    found = {r["model"]: r for r in result.records if r["kind"] == kind and r.get(part)}
    if not found:
        fix = "run it through compare; what cannot be measured stands in results.jsonl with the reason"
        raise ValueError(explain(f"no measurement of {kind}", "at least one model's", fix))
    return {model: found[model] for model in result.models if model in found}


def in_order(names: Iterable[str]) -> list[str]:
    """Surrogates: the network's own first, then the pool's in its order.

    >>> in_order(["bptr", "atan 2", "own", "bptr"])
    ['own', 'atan 2', 'bptr']
    """
    known = ["own", *POOL]
    return sorted(set(names), key=lambda name: (known.index(name) if name in known else len(known), name))


def convergence(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy left over the steps of Auto-PGD on the margin; right of the rule, after each further restart.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if it was not measured.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "convergence", "model": "snn", "steps": [0, 10], "accuracy": [1.0, 0.5], "restarts": [0.5]}
    >>> convergence(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record])).lines[0].get_ydata().tolist()
    [100.0, 50.0]
    """
    records = probed(result, "convergence", "accuracy")
    ax = new_figure(6.4, 3.8).add_subplot() if ax is None else ax
    longest = max(record["steps"][-1] for record in records.values())
    for model, record in records.items():
        i = result.models.index(model)
        more = longest + np.arange(1, len(record["restarts"])) * (0.6 * longest + 1)
        at = [*record["steps"], *more]
        left = [*record["accuracy"], *record["restarts"][1:]]
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        ax.plot(at, 100 * np.array(left), marker=marker, color=color, label=model, ms=4)
    ax.axvline(longest * 1.2 + 1, color="#888888", lw=0.8, ls=":")
    ax.set_xscale("symlog", linthresh=1, linscale=0.3)
    ticks = [0, 1, 2, 5, 10, 20, 50, 100]
    shown = [tick for tick in ticks if tick <= longest]
    ax.set_xticks(shown, [str(tick) for tick in shown])
    ax.minorticks_off()
    ax.set(xlabel="steps, then (right of the dotted line) restarts", ylabel="accuracy (%)", ylim=(-2, 102))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False, fontsize="small")
    return ax


def surrogate_spread(result: Comparison, ax: Axes | None = None) -> Axes:
    """Accuracy left under each surrogate of the pool: the wider the row, the more one surrogate alone would flatter.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if it was not measured.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> right, cell = np.ones(4, dtype=bool), ("snn", "pgd", 0.1)
    >>> record = {"kind": "surrogates", "model": "snn", "accuracy": {"own": 0.9, "bptr": 0.4}, "ensemble": 0.3}
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {cell: right}, {"snn": []}, [record])
    >>> [text.get_text() for text in surrogate_spread(result).get_legend().get_texts()]
    ['own', 'bptr', 'all together']
    """
    records = {m: r for m, r in probed(result, "surrogates", "accuracy").items() if len(r["accuracy"]) > 1}
    if not records:
        raise ValueError(explain("no network that spikes", "at least one", "compare a SpikingNetwork"))
    names = in_order(name for record in records.values() for name in record["accuracy"])
    ax = new_figure(6.4, 1.2 + 0.55 * len(records)).add_subplot() if ax is None else ax
    rows = np.arange(len(records))
    for i, name in enumerate(names):
        values = [100 * record["accuracy"].get(name, np.nan) for record in records.values()]
        ax.scatter(
            values, rows, marker=MARKERS[i % len(MARKERS)], color=COLORS[i % len(COLORS)], label=name, s=36, alpha=0.8
        )
    worst = [100 * record["ensemble"] for record in records.values()]
    ax.scatter(worst, rows, marker="|", s=300, color="#000000", label="all together")
    ax.set_yticks(rows, list(records))
    ax.set(xlabel=f"accuracy left (%), eps = {result.telling_eps:.4g}", xlim=(-2, 102), ylim=(len(records) - 0.5, -0.5))
    ax.grid(visible=True, axis="x", alpha=0.3)
    ax.legend(frameon=False, fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def gradient_norms(result: Comparison, ax: Axes | None = None) -> Axes:
    """Histogram of the norms of input gradients, one line per model, on a logarithmic axis; zeros stand at the left.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if they were not measured.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> record = {"kind": "gradients", "model": "snn", "norms": [0.0, 0.1, 1.0]}
    >>> float(sum(gradient_norms(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record])).lines[0].get_ydata()))
    100.0
    """
    records = probed(result, "gradients", "norms")
    ax = new_figure(6.4, 3.4).add_subplot() if ax is None else ax
    known = np.concatenate([record["norms"] for record in records.values()])
    alive = known[known > 0]
    low, high = (alive.min(), alive.max()) if len(alive) else (1e-3, 1.0)
    edges = np.geomspace(low / 1.1, high * 1.1, 16)
    for model, record in records.items():
        i = result.models.index(model)
        norms = np.maximum(record["norms"], edges[0])
        counts = 100 * np.histogram(norms, edges)[0] / len(norms)
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        centres = np.sqrt(edges[1:] * edges[:-1])
        ax.plot(centres, counts, drawstyle="steps-mid", color=color, marker=marker, ms=4, label=model)
    ax.set_xscale("log")
    for place in (ax.xaxis.set_major_locator, ax.xaxis.set_minor_locator):
        place(NullLocator())
    ticks = np.unique([float(f"{edge:.1g}") for edge in np.geomspace(edges[0], edges[-1], 5)])
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set(xlabel="L2 norm of the margin's input gradient", ylabel="samples (%)")
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False, fontsize="small")
    return ax


def gradient_cosines(result: Comparison, ax: Axes | None = None, model: str | None = None) -> Axes:
    """Mean cosine between input gradients under the policies of the pool.

    :param model: the first that spikes by default.
    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if none was measured.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> cosines = {"own": {"own": 1.0, "bptr": 0.2}, "bptr": {"own": 0.2, "bptr": 1.0}}
    >>> record = {"kind": "gradients", "model": "snn", "cosines": cosines}
    >>> gradient_cosines(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record])).images[0].get_array().tolist()
    [[1.0, 0.2], [0.2, 1.0]]
    """
    records = {m: r for m, r in probed(result, "gradients", "cosines").items() if len(r["cosines"]) > 1}
    if not records:
        raise ValueError(explain("no network that spikes", "at least one", "compare a SpikingNetwork"))
    model = next(iter(records)) if model is None else model
    cosines = records[model]["cosines"]
    names = in_order(cosines)
    values = np.array([[cosines[a][b] for b in names] for a in names])
    ax = new_figure(4.8, 4.2).add_subplot() if ax is None else ax
    ax.imshow(values, vmin=-1, vmax=1, cmap="cividis")
    for i in range(len(names)):
        for j in range(len(names)):
            ink = "black" if values[i, j] > 0 else "white"
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=ink, fontsize=6)
    ax.set_xticks(np.arange(len(names)), names, rotation=40, ha="right", fontsize="x-small")
    ax.set_yticks(np.arange(len(names)), names, fontsize="x-small")
    ax.set_title(model, fontsize="small")
    return ax


def certificates(result: Comparison, ax: Axes | None = None) -> Axes:
    """Certified accuracy over the radius, one step curve per smoothed model with its 95 % band.

    :param result: a finished comparison.
    :param ax: axes to draw on; new ones by default.
    :raises ValueError: if no model was certified.

    >>> from art_snn.evaluation.comparison import Comparison
    >>> share = {"value": 0.8, "low": 0.7, "high": 0.9}
    >>> record = {"kind": "certificate", "model": "snn", "radii": [0, 1], "accuracy": [share, share], "unit": "moves"}
    >>> certificates(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, [record])).get_xlabel()
    'moves'
    """
    records = probed(result, "certificate", "accuracy")
    ax = new_figure(6.4, 3.6).add_subplot() if ax is None else ax
    for model, record in records.items():
        color = COLORS[result.models.index(model) % len(COLORS)]
        values = 100 * np.array([[one["value"], one["low"], one["high"]] for one in record["accuracy"]])
        ax.step(record["radii"], values[:, 0], where="pre", color=color, label=model)
        ax.fill_between(record["radii"], values[:, 1], values[:, 2], step="pre", color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel=next(iter(records.values()))["unit"], ylabel="certified accuracy (%)", ylim=(-2, 102))
    ax.grid(visible=True, alpha=0.3)
    ax.legend(frameon=False, fontsize="small")
    return ax
