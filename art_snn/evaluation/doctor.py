"""The doctor of the command line: finds the model, diagnoses it, and says it in a terminal."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from art.estimators.classification import PyTorchClassifier
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch import nn

from art_snn.data import Dataset, load
from art_snn.errors import explain
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.diagnosis import SECONDS, diagnose
from art_snn.evaluation.flags.base import Flag
from art_snn.evaluation.flags.registry import CHECKS
from art_snn.evaluation.reliability import ReliabilityReport
from art_snn.networks import SpikingNetwork
from art_snn.networks import load as load_network


def find_model(name: str, data: Dataset) -> PyTorchClassifier:
    """The classifier that ``name`` means: a ``.safetensors`` file of ours, or ``module:function`` that returns one.

    Modules are looked for in the working directory as well.

    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: for a name of another form, a module or function that is not there, or a file without a recipe.
    :raises TypeError: if the function returns anything but an ART PyTorch classifier.
    """
    if name.endswith(".safetensors"):
        return _from_file(Path(name), data)
    module, _, function = name.partition(":")
    if not module or not function:
        fix = "art-snn doctor net.safetensors, or art-snn doctor my_models:make_classifier"
        raise ValueError(explain(f"model {name!r}", "a .safetensors file or module:function", fix))
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        came = f"{name!r}, which cannot be imported ({error})"
        raise ValueError(explain(came, "a module on the path and a function in it", "check both names")) from error
    if not isinstance(made, PyTorchClassifier):
        came = f"a {type(made).__name__} from {name}"
        raise TypeError(explain(came, "an ART PyTorchClassifier", "return SNNClassifier(net, ...) from it"))
    return made


def _from_file(path: Path, data: Dataset) -> PyTorchClassifier:
    net = load_network(path)
    kind = SNNClassifier if isinstance(net, SpikingNetwork) else PyTorchClassifier
    return kind(
        net, nn.CrossEntropyLoss(), data.input_shape, data.nb_classes, clip_values=data.clip_values, device_type="cpu"
    )


def examine(
    name: str, dataset: str, samples: int, eps: float, seed: int, *, sources: Sequence[str] = (),
    seconds: float = SECONDS,
) -> ReliabilityReport:  # fmt: skip
    """Find the model and diagnose it on test samples of a data set.

    :param sources: other models, named in the same way, whose adversarial examples are tried on it.
    :param seconds: time that the diagnosis may take.

    :raises ValueError: for an unknown name, or a number out of range.
    :raises TypeError: for a model that is no ART PyTorch classifier.
    :raises RuntimeError: if the data cannot be had.
    :raises OSError: if the file cannot be read.
    """
    data = load(dataset)
    x, y, _ = data.select(samples, seed)
    others = {source: find_model(source, data) for source in sources}
    return diagnose(find_model(name, data), x, y, eps, seed, sources=others, seconds=seconds)


def show(report: ReliabilityReport, console: Console) -> None:
    """Print flags, layers, cosines and next steps."""
    about = report.about
    sizes = f"{about['samples']} samples, the attacks and landscapes on {about['expensive_samples']} of them"
    plan = f"plan {about['plan_name']}" + (
        f" ({about['planned_seconds']:.0f} s expected)" if about["planned_seconds"] is not None else ""
    )
    console.print(
        f"eps {about['eps']:.4g}, seed {about['seed']}; {plan}: {sizes}; {about['seconds']:.0f} s", highlight=False
    )
    console.print(_flags(report))
    if report.layers:
        console.print(_layers(report))
    if report.cosines:
        near = ", ".join(f"{name} {value:.2f}" for name, value in report.cosines["own"].items() if name != "own")
        if near:
            console.print(f"Cosine of the model's own gradient with: {near}", markup=False, highlight=False)
    for name, error in about.get("errors", {}).items():
        console.print(f"Attack {name} could not run: {error}", markup=False, highlight=False)
    invalid = [flag.id for flag in report.raised if flag.invalidates]
    verdict = f"INVALID ({', '.join(invalid)}): no robustness can be read from attacks on this model." if invalid else (
        "Valid: no flag forbids to read robustness from attacks on this model; warnings stand beside the number."
    )  # fmt: skip
    console.print(f"\n{verdict}", style="bold red" if invalid else "bold green", markup=False, highlight=False)
    console.print("Next steps:")
    for number, step in enumerate(report.next_steps, start=1):
        console.print(f"  {number}. {step}", markup=False, highlight=False)


def _flags(report: ReliabilityReport) -> Table:
    table = Table(title="Reliability flags", title_justify="left", box=SIMPLE)
    for column in ("flag", "check", "verdict", "value", "limit", "samples"):
        table.add_column(column, no_wrap=column in ("flag", "check"), justify="right" if column == "value" else "left")
    for flag in report.flags.values():
        table.add_row(
            flag.id, CHECKS[flag.id].title, _verdict(flag), f"{flag.value:.4g}" if flag.samples else "-",
            f"{flag.threshold:.4g}" if flag.samples else "-", str(flag.samples or "-"),
        )  # fmt: skip
    return table


def _verdict(flag: Flag) -> Any:
    from rich.text import Text

    style = ("bold red" if flag.invalidates else "yellow") if flag.raised else (
        "green" if flag.verdict == "passed" else "dim"
    )  # fmt: skip
    return Text(f"raised: {flag.text.split(';')[0]}" if flag.raised else flag.verdict, style=style)


def _layers(report: ReliabilityReport) -> Table:
    shown = report.layer_table()
    table = Table(title="Layers: means over time (first to last step)", title_justify="left", box=SIMPLE)
    for column in shown.header:
        table.add_column(column, no_wrap=True)
    for row in shown.rows:
        table.add_row(*row)
    return table
