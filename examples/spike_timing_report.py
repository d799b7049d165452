"""The report of the spike-timing study, written from its finished cells and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import binomtest

from art_snn import coding
from art_snn.evaluation.statistics import proportion

HIDING = ("masked", "none")
DEFAULTS = {
    "direct": coding.Direct, "quantized": coding.Quantized, "untimed_rate": coding.Direct,
    "untimed_late": coding.Direct, "poisson": coding.Poisson, "rate_syn": coding.RateSyn,
    "early_burst": coding.EarlyBurst, "late_burst": coding.LateBurst, "latency": coding.Latency,
    "phase": coding.WeightedPhase, "burst": coding.Burst,
}  # fmt: skip
SHORT = ("fgsm", "pgd", "pgd_bin", "apgd")
"""The gradient attacks that every backward choice goes through."""
GRADIENT = (*SHORT, "apgd_margin")
ATTACKS = (*GRADIENT, "square")


class Cells:
    """The lines of a run, by what they measured."""

    def __init__(self, path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.plan: dict[str, Any] = lines[0]["plan"]
        self.rows: list[dict[str, Any]] = lines[1:]

    def hits(self, **wanted: Any) -> list[np.ndarray[Any, Any]]:
        """Who stayed correct, one array per matching cell; a tuple matches any of its values."""
        return [np.array([c == "1" for c in row["correct"]]) for row in self.matching(**wanted)]

    def matching(self, **wanted: Any) -> list[dict[str, Any]]:
        """The cells with these values."""
        return [row for row in self.rows if all(_fits(row[key], value) for key, value in wanted.items())]

    def worst(self, **wanted: Any) -> np.ndarray[Any, Any] | None:
        """Who stayed correct under all matching attacks and without any; None if nothing was measured."""
        found = self.hits(**wanted)
        if not found:
            return None
        model = {key: wanted[key] for key in ("encoder", "decoder", "rule") if key in wanted}
        return np.logical_and.reduce([*found, *self.hits(**model, attack="clean")])

    def encoders(self) -> list[str]:
        """In the order of the study."""
        return [name for name in DEFAULTS if self.matching(encoder=name, attack="clean")]

    def backwards(self, encoder: str) -> list[str]:
        """Backward choices that were attacked, the default first."""
        tried = {row["backward"] for row in self.matching(encoder=encoder, decoder="current", rule="bptt")}
        return [name for name in DEFAULTS[encoder].backwards if name in tried]


def _fits(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted


def central(cells: Cells, encoder: str, eps: float, **wanted: Any) -> np.ndarray[Any, Any] | None:
    """Worst case of one encoder with the mean-current read-out, trained by BPTT."""
    return cells.worst(encoder=encoder, decoder="current", rule="bptt", eps=eps, **wanted)


def percent(hits: np.ndarray[Any, Any] | None) -> str:
    """A share in percent, a dash where nothing was measured."""
    return "–" if hits is None else f"{100 * hits.mean():.0f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def clean_accuracy(cells: Cells, encoder: str) -> str:
    """Of the central network of an encoder."""
    return percent(cells.hits(encoder=encoder, decoder="current", rule="bptt", attack="clean")[0])


def backward_table(cells: Cells, eps: float) -> str:
    """Robust accuracy of each encoder under each backward choice."""
    names = ["shift", "identity", "edge", "soft_latency", "weighted", *HIDING]
    rows = []
    for encoder in cells.encoders():
        default = cells.backwards(encoder)[0]
        row = [f"`{encoder}`", clean_accuracy(cells, encoder)]
        for name in names:
            value = percent(central(cells, encoder, eps, backward=name, attack=SHORT))
            row.append(f"**{value}**" if name == default else value)
        worst = central(cells, encoder, eps)
        row.append(percent(central(cells, encoder, eps, attack="square")))
        rows.append([*row, "–" if worst is None else str(proportion(worst))])
    return table(["code", "clean", *names, "Square", "worst of all [95 %]"], rows)


def attack_table(cells: Cells, eps: float) -> str:
    """Robust accuracy of each encoder under each single attack, default backward."""
    rows = []
    for encoder in cells.encoders():
        default = cells.backwards(encoder)[0]
        values = [percent(central(cells, encoder, eps, backward=default, attack=attack)) for attack in ATTACKS]
        rows.append([f"`{encoder}`", *values])
    return table(["code", "FGSM", "PGD", "PGD, steps of a bin", "APGD", "APGD, margin, long", "Square"], rows)


def default_gaps(cells: Cells) -> str:
    """How far the default gradient alone is from the worst case."""
    rows = []
    for encoder in cells.encoders():
        default = cells.backwards(encoder)[0]
        row, largest = [f"`{encoder}`", f"`{default}`"], 0.0
        for eps in cells.plan["eps"]:
            alone = central(cells, encoder, eps, backward=default, attack=GRADIENT)
            worst = central(cells, encoder, eps)
            gap = 0.0 if alone is None or worst is None else 100 * float(alone.mean() - worst.mean())
            largest = max(largest, gap)
            row.append(f"{gap:.0f}")
        rows.append([*row, "yes" if largest <= 5 else f"**no: {explanation(cells, encoder)}**"])
    return table(["code", "default", *[f"ε = {eps:g}" for eps in cells.plan["eps"]], "within 5 points"], rows)


def explanation(cells: Cells, encoder: str) -> str:
    """Which other attack makes the difference where the default gradient is not enough."""
    best: tuple[float, str] = (0.0, "")
    default = cells.backwards(encoder)[0]
    for eps in cells.plan["eps"]:
        alone = central(cells, encoder, eps, backward=default, attack=GRADIENT)
        others = {f"`{name}`": {"backward": name, "attack": SHORT} for name in cells.backwards(encoder)[1:]}
        others["Square"] = {"attack": "square"}
        for label, wanted in others.items():
            other = central(cells, encoder, eps, **wanted)
            if alone is not None and other is not None:
                best = max(
                    best, (100 * float((alone & ~other).mean()), f"{label} breaks {{:.0f}} % more at ε = {eps:g}")
                )
    return best[1].format(best[0])


SURVIVAL_HEAD = ("ε", "code", "masked gradient", "honest gradients", "with Square", "p (Holm)", "verdict")


UNTIMED = dict.fromkeys(("rate_syn", "early_burst", "latency"), "untimed_rate") | {"late_burst": "untimed_late"}
"""Codes whose decoded value is that of the control: they differ in nothing but timing."""


def survival(cells: Cells, controls: dict[str, str]) -> list[list[str]]:
    """What a code seems to gain over its control, and what is left of it, one row per budget and code."""
    tests: list[tuple[list[str], float]] = []
    for eps in cells.plan["eps"]:
        for encoder in cells.encoders():
            reference = central(cells, controls[encoder], eps) if encoder in controls else None
            hiding = tuple(name for name in HIDING[:1] if name in cells.backwards(encoder))
            honest = tuple(name for name in cells.backwards(encoder) if name not in HIDING)
            apparent = central(cells, encoder, eps, backward=hiding, attack=SHORT) if hiding else None
            gradient = central(cells, encoder, eps, backward=honest, attack=GRADIENT)
            worst = central(cells, encoder, eps)
            if apparent is None or gradient is None or worst is None or reference is None:
                continue
            gained, lost = int((worst & ~reference).sum()), int((reference & ~worst).sum())
            p = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
            advantages = [100 * float(part.mean() - reference.mean()) for part in (apparent, gradient, worst)]
            tests.append(([f"{eps:g}", f"`{encoder}`", *[f"{value:+.0f}" for value in advantages]], p))
    adjusted = holm([p for _, p in tests])
    return [[*row, f"{p:.2g}", verdict(row, p)] for (row, _), p in zip(tests, adjusted, strict=True)]


def summary(rows: list[list[str]], control: str) -> str:
    """The verdicts of one comparison as sentences."""
    said = []
    sentences = {
        "**survives**": "Survives honest gradients and queries, more robust than `{}`: {}.",
        "does not survive": "Apparent only: the masked gradient shows more than 5 points of advantage over `{}`, the "
        "worst case no significant one: {}.",
        "**reversed**": "Reversed: the masked gradient shows an advantage over `{}`, in the worst case the code is "
        "significantly less robust: {}.",
        "less robust": "Less robust than `{}` already under the masked gradient: {}.",
    }
    for word, sentence in sentences.items():
        found = [f"{row[1]} at ε = {row[0]} ({row[2]} apparent, {row[4]} left)" for row in rows if row[6] == word]
        if found:
            said.append("* " + sentence.format(control, "; ".join(found)))
    return "\n".join(said) or f"* No code differs significantly from `{control}`, apparently or really."


def verdict(row: list[str], p: float) -> str:
    """One word about an advantage over the control."""
    apparent, left = float(row[2]), float(row[4])
    if p < 0.05 and left > 0:
        return "**survives**"
    if p < 0.05 and left < 0:
        return "less robust" if apparent <= 0 else "**reversed**"
    return "does not survive" if apparent > 5 else "no difference"


def holm(p: list[float]) -> list[float]:
    """Holm's adjustment for several tests."""
    adjusted, running = [1.0] * len(p), 0.0
    for rank, index in enumerate(np.argsort(p)):
        running = max(running, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = running
    return adjusted


def crossed_table(cells: Cells) -> str:
    """Decoders and learning rules, for the encoders that met them all."""
    eps = cells.plan["crossed_eps"]
    rows = []
    nets = dict.fromkeys((row["encoder"], row["decoder"], row["rule"]) for row in cells.rows if row["eps"] == eps)
    full = {encoder for encoder, decoder, _ in nets if decoder != "current"}
    order = {name: index for index, name in enumerate(DEFAULTS)}
    for encoder, decoder, rule in sorted(
        (net for net in nets if net[0] in full), key=lambda net: (order[net[0]], net[1:])
    ):
        net = {"encoder": encoder, "decoder": decoder, "rule": rule}
        default = cells.backwards(encoder)[0]
        at = {**net, "eps": eps, "backward": default}
        clean = cells.matching(**net, attack="clean")[0]
        attacked = cells.matching(**at, attack="pgd", attack_rule="bptt")[0]
        worst = cells.worst(**net, eps=eps, backward=default)
        rows.append([
            f"`{encoder}`", f"`{decoder}`", f"`{rule}`", percent(cells.hits(**net, attack="clean")[0]),
            percent(cells.worst(**at, attack_rule="bptt", attack=GRADIENT)),
            percent(cells.worst(**at, attack_rule="tssl_bp")), percent(cells.worst(**at, attack="apgd_relaxed")),
            percent(cells.worst(**at, attack="square")), "–" if worst is None else str(proportion(worst)),
            times(clean), times(attacked),
        ])  # fmt: skip
    head = ["code", "decoder", "trained by", "clean", "BPTT gradient", "TSSL-BP gradient"]
    head += ["relaxed exit", "Square", "worst [95 %]"]
    return table([*head, "decides at (clean)", "(under PGD)"], rows)


def times(cell: dict[str, Any]) -> str:
    """Mean decision step, and the share without decision where there is one."""
    if cell["decision_time"] is None:
        return "–"
    silent = f", {100 * cell['undecided']:.0f} % undecided" if cell["undecided"] else ""
    return f"{cell['decision_time']:.1f}{silent}"


def statements(cells: Cells) -> list[str]:
    """What the numbers say, in words; every number is computed here."""
    said = []
    for encoder in cells.encoders():
        for name in HIDING:
            gaps = []
            for eps in cells.plan["eps"]:
                shown = central(cells, encoder, eps, backward=name, attack=SHORT)
                worst = central(cells, encoder, eps)
                if shown is not None and worst is not None:
                    gaps.append((100 * float(shown.mean() - worst.mean()), eps, percent(shown), percent(worst)))
            if gaps:
                gap, eps, shown_value, worst_value = max(gaps)
                said.append(
                    f"`{encoder}`, gradient `{name}`: reports {shown_value} % at ε = {eps:g}, the worst case is "
                    f"{worst_value} %: overstated by {gap:.0f} points."
                )
    return said


def figures(cells: Cells, folder: Path) -> list[str]:
    """Two small pictures next to the report."""
    mpl.use("Agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "art-snn", "font.size": 8})
    folder.mkdir(parents=True, exist_ok=True)
    names, eps = cells.encoders(), [0.0, *cells.plan["eps"]]
    figure, grid = plt.subplots(-(-len(names) // 3), 3, figsize=(7, 5.5), sharex=True, sharey=True, squeeze=False)
    for axes, encoder in zip(grid.flat, names, strict=False):
        clean = cells.hits(encoder=encoder, decoder="current", rule="bptt", attack="clean")[0]
        curves = {"masked gradient": ("C1--", {"backward": "masked", "attack": SHORT})}
        curves["default gradient"] = ("C0-", {"backward": cells.backwards(encoder)[0], "attack": SHORT})
        curves |= {"Square": ("C2:", {"attack": "square"}), "worst of all": ("k-", {})}
        for label, (style, wanted) in curves.items():
            found = [central(cells, encoder, value, **wanted) for value in eps[1:]]
            if all(part is not None for part in found):
                heights = [100 * part.mean() for part in [clean, *found] if part is not None]
                axes.plot(eps, heights, style, label=label, linewidth=1.2)
        axes.set_title(encoder, fontsize=8)
    for axes in list(grid.flat)[len(names) :]:
        axes.set_axis_off()
    grid[-1][0].set(xlabel="ε (L∞)", ylabel="robust accuracy, %")
    handles = {label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="lower right", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return [_saved(figure, folder / "spike_timing_codes.svg"), _gap_figure(cells, folder)]


def _gap_figure(cells: Cells, folder: Path) -> str:
    eps = cells.plan["crossed_eps"]
    figure, axes = plt.subplots(figsize=(7, 2.2))
    for place, encoder in enumerate(cells.encoders()):
        worst = central(cells, encoder, eps)
        if worst is None:
            continue
        interval = proportion(worst)
        axes.plot([place] * 2, [100 * interval.low, 100 * interval.high], "k-", linewidth=1)
        axes.plot(place, 100 * interval.value, "ks", markersize=4, label="worst of all, 95 %" if place == 0 else None)
        for index, name in enumerate(cells.backwards(encoder)):
            hits = central(cells, encoder, eps, backward=name, attack=SHORT)
            if hits is not None:
                marker = {"masked": "C1v", "none": "C3x"}.get(name, "C0o")
                axes.plot(place + 0.12 * (index + 1), 100 * hits.mean(), marker, markersize=4)
    axes.set_xticks(range(len(cells.encoders())), cells.encoders(), rotation=20)
    axes.set(ylabel=f"robust accuracy, %, ε = {eps:g}", ylim=(-3, 103))
    for marker, label in (("C0o", "honest gradient"), ("C1v", "masked"), ("C3x", "none")):
        axes.plot([], [], marker, markersize=4, label=label)
    axes.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    figure.tight_layout()
    return _saved(figure, folder / "spike_timing_gradients.svg")


def _saved(figure: Any, path: Path) -> str:
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path.name


def write_report(lines: Path, report: Path) -> None:
    """Write the Markdown report and its figures from the cells of a run."""
    cells = Cells(lines)
    plan, middle = cells.plan, cells.plan["crossed_eps"]
    pictures = figures(cells, report.parent)
    seconds = sum(row["seconds"] for row in cells.rows)
    direct, quantized = (survival(cells, dict.fromkeys(DEFAULTS, name)) for name in ("direct", "quantized"))
    untimed = survival(cells, UNTIMED)
    words = {**plan, "dataset": {"mnist": "MNIST", "digits": "8 x 8 digits"}[plan["dataset"]]}
    template = (Path(__file__).parent / "spike_timing_report.md").read_text()
    filled = template.format(
        **words, attacked=len(cells.rows), minutes=f"{seconds / 60:.0f}", codes=pictures[0], gradients=pictures[1],
        said="\n".join(f"* {line}" for line in statements(cells)), gaps=default_gaps(cells),
        tables="\n".join(f"### ε = {eps:g}\n\n{backward_table(cells, eps)}" for eps in plan["eps"]),
        survival_direct=table(SURVIVAL_HEAD, direct), survival_quantized=table(SURVIVAL_HEAD, quantized),
        survival_untimed=table(SURVIVAL_HEAD, untimed), summary_untimed=summary(untimed, "untimed"),
        summary_direct=summary(direct, "direct"), summary_quantized=summary(quantized, "quantized"),
        single=attack_table(cells, middle), crossed=crossed_table(cells), middle=f"{middle:g}",
        half_bin=0.5 / plan["T"], bin=1 / plan["T"],
    )  # fmt: skip
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(filled)
