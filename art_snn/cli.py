"""The command line: ``art-snn compare``, ``report``, ``doctor`` and ``list``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as RichTable

from art_snn import __version__

if TYPE_CHECKING:
    from art_snn.evaluation import Comparison

DEFAULT_EPS = {
    "digits": (0.05, 0.1, 0.2), "mnist": (0.05, 0.1, 0.2), "cifar10": (1 / 255, 2 / 255, 4 / 255),
    "events": (0.01, 0.02, 0.05),
}  # fmt: skip


class Failure(click.ClickException):
    """An error of the doctor: its exit code differs from that of a diagnosis."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Spiking neural networks under attack, side by side with their non-spiking twins."""


@main.command()
@click.option("--dataset", default="digits", show_default=True, help="digits or events (bundled), mnist or cifar10.")
@click.option("--models", default=None, help="Comma-separated; a twin and three codes by default, see art-snn list.")
@click.option("--eps", default=None, help="L-infinity budgets, comma-separated; fractions such as 8/255 are welcome.")
@click.option("--samples", default=200, show_default=True, help="Test samples, balanced over the classes.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights, training, selection and attacks.")
@click.option("--seeds", default=1, show_default=True, help="Networks per model, of as many training seeds.")
@click.option("--attacks", default=None, help="Comma-separated; the default set if left out, see art-snn list.")
@click.option("--preset", type=click.Choice(["fast", "standard", "thorough"]), help="Add SNNAutoAttack; takes long.")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=None, help="Training epochs; the data set's own by default."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/compare"), show_default=True, help="Result folder."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="Run the sweep of this TOML file; see docs/sweeps.md.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Processes of a sweep.")
@click.option("--dask", default=None, metavar="ADDRESS", help="Dask scheduler that a sweep runs on.")
@click.pass_context
def compare(
    context: click.Context,
    dataset: str,
    models: str | None,
    eps: str | None,
    samples: int,
    seed: int,
    seeds: int,
    attacks: str | None,
    preset: str | None,
    epochs: int | None,
    out: Path,
    device: str,
    config: Path | None,
    jobs: int,
    dask: str | None,
) -> None:
    """Train an ANN and spiking networks, attack them alike, and write a report.

    A run that is interrupted goes on where it stopped when the same command is given again.
    """
    _check_options(context, config)
    if config is not None:
        _sweep(config, None if _left_out(context, "out") else out, jobs, dask, device)
        return
    from art_snn.evaluation import ATTACKS
    from art_snn.evaluation.run import run_comparison
    from art_snn.evaluation.zoo import default_models

    console = Console()
    if not console.is_terminal:
        console.width = 160
    budgets = DEFAULT_EPS.get(dataset, (0.1,)) if eps is None else parse_budgets(eps)
    names = default_models(dataset) if models is None else _names(models)
    chosen = None if attacks is None else _names(attacks)
    if preset is not None:
        chosen = [*(ATTACKS if chosen is None else chosen), f"auto-{preset}"]
    command = f"art-snn {shlex.join(sys.argv[1:])}"
    try:
        result, report = run_comparison(
            dataset, names, budgets, samples=samples, seed=seed, seeds=seeds, attacks=chosen, epochs=epochs, out=out,
            device=device, command=command,
        )  # fmt: skip
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    _show(console, result)
    console.print(f"Report: {report}", markup=False, highlight=False, soft_wrap=True)


@main.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write there; into RESULTS by default.")
def report(results: Path, out: Path | None) -> None:
    """Make the report of a finished comparison again, from the folder RESULTS; nothing is run."""
    from art_snn.evaluation.stored import load_comparison, records_of

    try:
        with records_of(results):
            made = load_comparison(results).save(results if out is None else out)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Report: {made}")


def _left_out(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == click.core.ParameterSource.DEFAULT


def _check_options(context: click.Context, config: Path | None) -> None:
    """Options that go with a configuration file, and those that the file takes the place of."""
    both, sweeps = {"out", "device"}, {"config", "jobs", "dask"}
    given = {name for name in context.params if not _left_out(context, name)}
    if config is None and given & sweeps:
        names = " and ".join(sorted(f"--{name}" for name in given & sweeps))
        raise click.UsageError(f"{names} without a sweep; add --config FILE")
    if config is not None and given - both - sweeps:
        names = " and ".join(sorted(f"--{name}" for name in given - both - sweeps))
        raise click.UsageError(f"{names} beside --config; say it in {config}")
    if {"jobs", "dask"} <= given:
        raise click.UsageError("--jobs beside --dask; the cluster has its own workers, leave one out")


def _sweep(config: Path, out: Path | None, jobs: int, dask: str | None, device: str) -> None:
    """Run a sweep; exit code 1 if a cell failed, 130 if the user ended it."""
    from art_snn.evaluation.sweep import InterruptedSweepError, read_sweep, run_sweep

    console = Console(soft_wrap=True, highlight=False, markup=False)
    folder = Path("runs") / config.stem if out is None else out
    try:
        result = run_sweep(read_sweep(config), folder, jobs=jobs, dask=dask, device=device)
    except InterruptedSweepError as error:
        console.print(f"\n{error}")
        raise SystemExit(130) from error
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{result.cells} cells, {result.computed} of them computed now.")
    for line in result.failures:
        console.print(f"FAILED {line}")
    if result.failures:
        console.print(f"Tracebacks: {folder / 'failures'}. The same command tries these cells again.")
    console.print(f"Report: {result.report}")
    if result.failures:
        raise SystemExit(1)


def _show(console: Console, result: Comparison) -> None:
    table = result.table()
    shown = RichTable(title="Accuracy in percent", box=SIMPLE)
    for column in table.header:
        shown.add_column(column, no_wrap=column in ("model", table.header[-2]))
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    console.print(f"Threat model: {result.records[0]['threat_model']}.", markup=False, highlight=False)
    if "note" in result.records[0]:
        console.print(f"Models: {result.records[0]['note']}.", markup=False, highlight=False)
    for model in result.models:
        spent = result.cost(model)
        line = f"{model}: {spent['forwards']} samples forward, {spent['backwards']} differentiated"
        console.print(line, markup=False, highlight=False)
    for line in result.verdict():
        console.print(line, markup=False, highlight=False)
    for model in result.models:
        for flag in result.raised(model):
            console.print(f"{flag.id} {model}: {flag.text} (see {flag.page})", markup=False, highlight=False)


@main.command()
@click.argument("model")
@click.option("--dataset", default="digits", show_default=True, help="Where the test samples come from; see list.")
@click.option("--samples", default=100, show_default=True, help="Test samples to choose from, balanced over classes.")
@click.option("--eps", default=None, help="L-infinity budget; a fraction such as 8/255 is welcome.")
@click.option("--seed", default=0, show_default=True, help="Seed of the selection, the attacks and every draw.")
@click.option("--source", "sources", multiple=True, help="Another model, named likewise: try its examples; repeatable.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Time to plan for: sizes are chosen by timing the model; no check is left out.",
)
@click.option("--json", "out", type=click.Path(path_type=Path), default=None, help="Write the whole diagnosis here.")
def doctor(
    model: str, dataset: str, samples: int, eps: str | None, seed: int, sources: tuple[str, ...], seconds: float,
    out: Path | None,
) -> None:  # fmt: skip
    """Say whether robustness can be read from attacks on MODEL, and if not, why.

    MODEL is a .safetensors file written by art_snn.networks.save, or module:function, where the function returns an ART
    PyTorch classifier, spiking or not. The exit code is 1 if a flag invalidates the model's numbers, 2 after an error.
    """
    from art_snn.evaluation.doctor import examine, show
    from art_snn.files import write_whole

    console = Console()
    if not console.is_terminal:
        console.width = 160
    budgets = DEFAULT_EPS.get(dataset, (0.1,)) if eps is None else parse_budgets(eps)
    try:
        report = examine(model, dataset, samples, budgets[len(budgets) // 2], seed, sources=sources, seconds=seconds)
        if out is not None:
            write_whole(out, json.dumps(report.record(), indent=1, sort_keys=True) + "\n")
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise Failure(str(error)) from error
    show(report, console)
    if not report.valid:
        raise SystemExit(1)


@main.command("list")
def list_names() -> None:
    """What compare knows by name: data sets, models, attacks."""
    from art_snn.data import DATASETS
    from art_snn.evaluation import ATTACKS
    from art_snn.evaluation.attacks import SUITES
    from art_snn.evaluation.kinds import MODELS

    console = Console()
    groups = {
        "data sets": {name: (make.__doc__ or "").splitlines()[0] for name, make in DATASETS.items()},
        "models": {name: kind.text for name, kind in MODELS.items()},
        "attacks": {name: f"{attack.title} ({attack.knowledge})" for name, attack in {**ATTACKS, **SUITES}.items()},
    }
    for title, names in groups.items():
        table = RichTable("name", "what it is", title=title, title_justify="left")
        for name, text in names.items():
            table.add_row(name, text)
        console.print(table)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_budgets(text: str) -> list[float]:
    """Budgets from text: numbers or fractions, separated by commas.

    :raises click.BadParameter: for anything else.

    >>> parse_budgets("0.1, 8/255")[0]
    0.1
    """
    budgets = []
    for part in text.split(","):
        try:
            numerator, _, denominator = part.partition("/")
            budgets.append(float(numerator) / (float(denominator) if denominator else 1.0))
        except (ValueError, ZeroDivisionError) as error:
            raise click.BadParameter(
                f"got {part.strip()!r}; expected numbers such as 0.1 or 8/255, separated by commas", param_hint="--eps"
            ) from error
    return budgets


if __name__ == "__main__":
    main()
