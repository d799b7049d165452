"""The report: one HTML file that opens offline, with every figure inside, beside the raw results."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from art_snn.evaluation.escaping import markdown_text
from art_snn.evaluation.flags import CHECKS
from art_snn.evaluation.plots import (
    attack_bars,
    attack_ladder,
    certificates,
    convergence,
    decisions,
    example_images,
    gradient_cosines,
    gradient_norms,
    new_figure,
    over_time,
    pareto,
    plain_text,
    png,
    raster,
    security_curves,
    spiking,
    surrogate_spread,
    svg,
    timed,
    transfer_map,
)
from art_snn.evaluation.probe_tables import (
    area_differences,
    area_table,
    certificate_table,
    convergence_table,
    expected_table,
    gap_table,
    gradient_table,
    surrogate_table,
)
from art_snn.evaluation.schema import SCHEMA
from art_snn.evaluation.store import ResultStore
from art_snn.evaluation.table import Table
from art_snn.evaluation.tables import (
    flag_rows,
    limits,
    outcomes_csv,
    paired_table,
    references_of,
    run_of,
    work_table,
)
from art_snn.files import write_whole

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison

_PROBED = {
    "surrogates": surrogate_spread, "convergence": convergence, "gradient_norms": gradient_norms,
    "cosines": gradient_cosines, "certificates": certificates,
}  # fmt: skip


def write_report(result: Comparison, folder: Path) -> Path:
    """Write the report and what it rests on.

    ``report.html`` is self-contained; beside it lie ``report.md``, ``report.json``, ``references.bib``,
    ``outcomes.csv`` (one row per sample), ``results.jsonl`` (unless it is there already) and ``figures/``.

    :return: path of the report.
    :raises OSError: if the folder cannot be written.
    """
    store = ResultStore(folder)
    for record in result.records:
        if record["key"] not in store.records:
            store.add(record)
    with plain_text():
        figures = _figures(result)
    drawn = {name: svg(figure) for name, figure in figures.items()}
    for name, figure in figures.items():
        write_whole(folder / "figures" / f"{name}.svg", drawn[name])
        write_whole(folder / "figures" / f"{name}.png", png(figure))
    write_whole(folder / "report.md", markdown(result))
    write_whole(folder / "report.json", json.dumps(summary(result), indent=1, sort_keys=True) + "\n")
    write_whole(folder / "references.bib", "\n\n".join(references_of(result).values()) + "\n")
    write_whole(folder / "outcomes.csv", outcomes_csv(result))
    return write_whole(folder / "report.html", _page(result, drawn))


def markdown(result: Comparison) -> str:
    """Command, verdict, flags, tables and references as Markdown."""
    run = run_of(result)
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    flags = [f"{flag.id} {model}: {flag.text}" for model in result.models for flag in result.raised(model)]
    costs = [
        f"{model}: {spent['forwards']} samples forward, {spent['backwards']} differentiated"
        for model, spent in ((model, result.cost(model)) for model in result.models)
    ]
    tables = {**_extra(result), "Paired tests": paired_table(result), "Operations per prediction": work_table(result)}
    about = "Worst case per sample over all attacks of at most that budget, with 95 % interval."
    sections = {
        "What can be said": _listed(result.verdict()),
        "Reliability flags": _listed(flags) or ["No flag was raised."],
        "Accuracy in percent": [about, "", result.table().markdown()],
        **{title: [table.markdown()] if table.rows else [] for title, table in tables.items()},
        "Compute of the attacks": _listed(costs),
        "Limits": _listed(limits(result)),
        "References": _listed(list(references_of(result))),
    }
    made = str(run.get("command") or "art_snn.compare(...)").replace("`", "'")
    lines = [
        "# Adversarial robustness, side by side",
        "",
        f"Made by `{' '.join(made.split())}`:",
        f"{run.get('samples')} samples, seed {run.get('seed')}; {markdown_text(versions)}.",
        "",
        f"Threat model: {markdown_text(str(run.get('threat_model')))}.",
        *([f"Models: {markdown_text(run['note'])}."] if run.get("note") else []),
    ]
    for title, body in sections.items():
        lines += ["", f"## {title}", "", *body] if body else []
    return "\n".join([*lines, ""])


def _listed(lines: list[str]) -> list[str]:
    return [f"* {markdown_text(line)}" for line in lines]


def _extra(result: Comparison) -> dict[str, Table]:
    """Tables beside the worst case, by title."""
    return {
        "Area under the curve": area_table(result), "Random models": expected_table(result),
        "Surrogates": surrogate_table(result), "Convergence": convergence_table(result),
        "White box and black box": gap_table(result), "Gradients": gradient_table(result),
        "Certificates": certificate_table(result), "Differences of areas": area_differences(result),
    }  # fmt: skip


def summary(result: Comparison) -> dict[str, Any]:
    """The report as data: header, validity, verdict, flags, summaries, tests and costs."""
    kinds = (
        "summary", "aurc", "expected", "gap", "test", "work_mean", "cost", "time", "train", "convergence",
        "surrogates", "gradients", "certificate",
    )  # fmt: skip
    return {
        "schema": SCHEMA, "run": run_of(result), "valid": {model: result.valid(model) for model in result.models},
        "verdict": result.verdict(), "limits": limits(result),
        "flags": {model: [flag.record() for flag in result.flags[model]] for model in result.models},
        **{kind: [record for record in result.records if record["kind"] == kind] for kind in kinds},
        "references": references_of(result),
    }  # fmt: skip


def _figures(result: Comparison) -> dict[str, Figure]:
    drawn: dict[str, Any] = {"security_curves": security_curves(result), "ladder": attack_ladder(result)}
    drawn["attacks"] = attack_bars(result)
    if result.transfer:
        drawn["transfer"] = transfer_map(result)
    if any(result.work(model) for model in result.models):
        drawn["pareto"] = pareto(result)
    with suppress(ValueError):
        models = timed(result)
        drawn["over_time"] = over_time(result)
        drawn["decisions"] = _side_by_side(result, decisions, models, 2.6)
    with suppress(ValueError):
        drawn["raster"] = _side_by_side(result, raster, list(spiking(result)), 3.4)
    for name, plot in _PROBED.items():
        with suppress(ValueError):
            drawn[name] = plot(result)
    figures = {name: plot if isinstance(plot, Figure) else plot.get_figure() for name, plot in drawn.items()}
    figures["examples"] = example_images(result)
    return {name: figure for name, figure in figures.items() if isinstance(figure, Figure)}


def _side_by_side(result: Comparison, plot: Callable[..., Any], models: list[str], height: float) -> Figure:
    columns = min(2, len(models))
    rows = -(-len(models) // columns)
    figure = new_figure(3.8 * columns, height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, model in zip(axes, models, strict=False):
        plot(result, ax, model)
    for ax in axes[len(models) :]:
        ax.set_axis_off()
    return figure


def _page(result: Comparison, figures: dict[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("art_snn.evaluation"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        result=result,
        run=run_of(result),
        train=[record for record in result.records if record["kind"] == "train"],
        figures=figures,
        table=result.table(),
        verdict=result.verdict(),
        cost={model: result.cost(model) for model in result.models},
        flag_rows=flag_rows(result),
        titles=defaultdict(str, {name: check.title for name, check in CHECKS.items()}),
        raised=[(model, flag) for model in result.models for flag in result.raised(model)],
        tests=paired_table(result),
        extra=_extra(result),
        subset=next((record["samples"] for record in result.records if record["kind"] == "convergence"), 0),
        work=work_table(result),
        limits=limits(result),
        summaries=[record for record in result.records if record["kind"] == "summary"],
        references=references_of(result),
        invalid=[model for model in result.models if not result.valid(model)],
    )
