"""Tables of what was measured beside the worst case; every number is one of a record's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from art_snn.evaluation.plots.probes import in_order
from art_snn.evaluation.table import Table

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison

EOT = (1, 5, 20)
"""Draws per gradient that flag W7 compares."""


def _of(result: Comparison, kind: str) -> list[dict[str, Any]]:
    return [record for record in result.records if record["kind"] == kind and "reason" not in record]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _interval(record: dict[str, Any], sign: str = "") -> str:
    value, low, high = (100 * record[end] for end in ("value", "low", "high"))
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def area_table(result: Comparison) -> Table:
    """Area under each model's curve."""
    rows = [
        [record["model"], _interval(record) if record["valid"] else "invalid"]
        for record in _of(result, "aurc")
        if "other" not in record
    ]
    return Table(["model", "AURC, % [95 %]"], rows)


def area_differences(result: Comparison) -> Table:
    """Differences of areas, a row per pair of usable models."""
    rows = []
    for record in (record for record in _of(result, "aurc") if "other" in record):
        low, high = record["resampled"]
        shown = min(record["low"], low) > 0 or max(record["high"], high) < 0
        ends = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        names = f"{record['model']} - {record['other']}"
        rows.append([names, _interval(record, "+"), ends, "shown" if shown else "not shown"])
    return Table(["pair", "difference of areas, points [95 %]", "bootstrap", "difference is"], rows)


def expected_table(result: Comparison) -> Table:
    """Random models: a single draw on average, beside the deployed rule."""
    rows = []
    for record in _of(result, "expected"):
        model, eps = record["model"], record["eps"]
        rule = result.accuracy(model) if eps == 0 else result.accuracy(model, None, eps)
        texts = [_interval(record), str(rule)] if record["valid"] else ["invalid", "invalid"]
        rows.append([model, f"{eps:.4g}", *texts])
    return Table(["random model", "eps", "one draw, on average [95 %]", "mean of draws [95 %]"], rows)


def gap_table(result: Comparison) -> Table:
    """White-box against black-box attacks."""
    rows = [
        [r["model"], f"{r['eps']:.4g}", _percent(r["white"]), _percent(r["black"]), _percent(r["only_black"])]
        for r in _of(result, "gap")
    ]
    return Table(["model", "eps", "left by white-box", "left by black-box", "broken by black-box only"], rows)


def convergence_table(result: Comparison) -> Table:
    """Accuracy at half the steps and at all, after more restarts, and with more draws per gradient."""
    drawn = {model: _eot(result, model) for model in result.models}
    several = any(drawn.values())
    rows = []
    for record in _of(result, "convergence"):
        steps, left, restarts = record["steps"], record["accuracy"], record["restarts"]
        row = [record["model"], f"{steps[-2]}: {_percent(left[-2])}", f"{steps[-1]}: {_percent(left[-1])}"]
        row.append(f"{len(restarts)}: {_percent(restarts[-1])}")
        row += [drawn[record["model"]]] * several
        rows.append(row)
    header = ["model", "steps: accuracy", "more steps: accuracy", "restarts: accuracy"]
    return Table([*header, *(["draws: accuracy"] * several)], rows)


def _eot(result: Comparison, model: str) -> str:
    details = next((flag.details for flag in result.flags[model] if flag.id == "W7"), {})
    return ", ".join(f"{n}: {_percent(left)}" for n, left in zip(EOT, details.get("eot", ()), strict=False))


def surrogate_table(result: Comparison) -> Table:
    """The surrogate that flatters most, the network's own, the one that attacks best, and all together."""
    rows = []
    for record in _of(result, "surrogates"):
        left = record["accuracy"]
        if len(left) > 1:
            names = in_order(left)
            most, least = max(names, key=left.__getitem__), min(names, key=left.__getitem__)
            named = [f"{name}: {_percent(left[name])}" for name in (most, least)]
            rows.append([record["model"], named[0], _percent(left["own"]), named[1], _percent(record["ensemble"])])
    return Table(["model", "most flattering", "its own", "strongest", "all together"], rows)


def gradient_table(result: Comparison) -> Table:
    """Norms, zeros, and how far the policies disagree."""
    rows = []
    for record in _of(result, "gradients"):
        off = [v for a, row in record["cosines"].items() for b, v in row.items() if a != b]
        rows.append([
            record["model"], f"{record['median_norm']:.3g}", _percent(record["sparsity"]), _percent(record["zero"]),
            f"{min(off):.2f}" if off else "-",
        ])  # fmt: skip
    header = [
        "model",
        "median norm",
        "zero entries, %",
        "samples without gradient, %",
        "lowest cosine of two surrogates",
    ]
    return Table(header, rows)


def certificate_table(result: Comparison) -> Table:
    """Certified accuracy at radius 0, at the median, and at the largest certified radius."""
    rows = []
    for record in _of(result, "certificate"):
        places = dict.fromkeys([0, len(record["radii"]) // 2, len(record["radii"]) - 1])
        curve = ", ".join(f"{record['radii'][i]:.3g}: {_percent(record['accuracy'][i]['value'])}" for i in places)
        abstained = _percent(record["abstained"]["value"])
        rows.append([record["model"], record["unit"], curve, abstained, str(record["samples"]), str(record["draws"])])
    return Table(["model", "unit", "radius: certified %", "abstained, %", "samples", "draws"], rows)
