"""The report: one HTML file that opens offline, with every figure inside, beside the raw results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from art_snn.evaluation.plots import attack_bars, example_images, png, security_curves, svg
from art_snn.evaluation.store import ResultStore
from art_snn.files import write_whole

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison


def write_report(result: Comparison, folder: Path) -> Path:
    """Write ``report.html``, ``report.md``, ``results.jsonl`` (unless it is there already) and ``figures/``.

    :return: path of the report.
    :raises OSError: if the folder cannot be written.
    """
    store = ResultStore(folder)
    for record in result.records:
        if record["key"] not in store.records:
            store.add(record)
    figures = _figures(result)
    for name, figure in figures.items():
        write_whole(folder / "figures" / f"{name}.svg", svg(figure))
        write_whole(folder / "figures" / f"{name}.png", png(figure))
    write_whole(folder / "report.md", markdown(result))
    page = _page(result, {name: svg(figure) for name, figure in figures.items()})
    return write_whole(folder / "report.html", page)


def markdown(result: Comparison) -> str:
    """Command, verdict, table and raised flags as Markdown."""
    run: dict[str, Any] = next((r for r in result.records if r["kind"] == "run"), {})
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    flags = [f"* {flag.id} {model}: {flag.text}" for model in result.models for flag in result.raised(model)]
    return "\n".join(
        [
            "# Adversarial robustness, side by side",
            "",
            f"Made by `{run.get('command') or 'art_snn.compare(...)'}`:",
            f"{run.get('samples')} samples, seed {run.get('seed')}; {versions}.",
            "",
            f"Threat model: {run.get('threat_model')}.",
            *([f"Models: {run['note']}."] if run.get("note") else []),
            "",
            *(f"* {line}" for line in result.verdict()),
            "",
            "Accuracy in percent; worst case per sample over all attacks of at most that budget, with 95 % interval.",
            "",
            str(result.table()),
            "",
            *(["Raised flags:", "", *flags] if flags else ["No flag was raised."]),
            "",
        ]
    )


def _figures(result: Comparison) -> dict[str, Figure]:
    drawn = {
        "security_curves": security_curves(result).get_figure(),
        "attacks": attack_bars(result).get_figure(),
        "examples": example_images(result),
    }
    return {name: figure for name, figure in drawn.items() if isinstance(figure, Figure)}


def _page(result: Comparison, figures: dict[str, str]) -> str:
    environment = Environment(
        loader=PackageLoader("art_snn.evaluation"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    run: dict[str, Any] = next((r for r in result.records if r["kind"] == "run"), {})
    train = [r for r in result.records if r["kind"] == "train"]
    cost = {model: result.cost(model) for model in result.models}
    return environment.get_template("report.html.j2").render(
        result=result,
        run=run,
        train=train,
        figures=figures,
        table=result.table(),
        verdict=result.verdict(),
        cost=cost,
        flag_rows=list(zip(*(result.flags[model] for model in result.models), strict=True)),
    )
