"""The main job: data, models, training, comparison and report, from names."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from art.estimators.classification import PyTorchClassifier

from art_snn.data import load
from art_snn.errors import explain
from art_snn.evaluation.attacks import attack_named
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.lock import locked
from art_snn.evaluation.protocol import check_budgets, evaluate
from art_snn.evaluation.store import Record, ResultStore
from art_snn.evaluation.zoo import EVENT_NOTE, RECIPES, check_model, trained


def run_comparison(
    dataset: str,
    models: Sequence[str],
    eps: Sequence[float],
    *,
    samples: int,
    seed: int,
    out: str | os.PathLike[str],
    epochs: int | None = None,
    seeds: int = 1,
    attacks: Sequence[str] | None = None,
    device: str = "cpu",
    command: str = "",
    verbose: bool = True,
) -> tuple[Comparison, Path]:
    """Train the named models, compare them and write the report; finished work in ``out`` is used again.

    :param dataset: name of a data set.
    :param models: names of models.
    :param eps: budgets.
    :param samples: number of test samples.
    :param seed: seed of everything.
    :param out: result folder.
    :param epochs: training epochs; ``None`` takes the data set's recipe.
    :param seeds: networks per model, of training seeds ``seed``, ``seed + 1``, ...
    :param attacks: names of attacks; ``None`` for the default set.
    :param device: ``cpu`` or ``cuda``.
    :param command: the command line, for the report.
    :param verbose: show progress bars.
    :return: the comparison and the path of its report.
    :raises ValueError: for an unknown name, no models, or a bad budget or number of samples or seeds.
    :raises RuntimeError: if the data cannot be had, or another process is at work in ``out``.
    :raises OSError: if ``out`` cannot be written.
    """
    if not models:
        raise ValueError(explain("no models", "at least one name", "--models ann,snn-direct"))
    names = list(dict.fromkeys(check_model(name, dataset) for name in models))
    if seeds < 1:
        raise ValueError(explain(f"seeds = {seeds}", "at least one network per model", "--seeds 3"))
    for attack in attacks or ():
        attack_named(attack)
    budgets = check_budgets(eps)
    data = load(dataset)
    x, y, _ = data.select(samples, seed)
    with locked(out):
        store = ResultStore(out)
        recipe = RECIPES[dataset] if epochs is None else dataclasses.replace(RECIPES[dataset], epochs=epochs)
        classifiers: dict[str, list[PyTorchClassifier]] = {name: [] for name in names}
        training: dict[str, Record] = {}
        for name in names:
            for one in range(seed, seed + seeds):
                classifier, record = trained(name, data, recipe, one, store, device, verbose=verbose)
                classifiers[name].append(classifier)
                training[record["key"]] = record
        notes = {"command": command, "dataset": dataset}
        if dataset == "events" and "ann" in names:
            notes["note"] = EVENT_NOTE
        result = evaluate(
            classifiers, x, y, budgets, attacks=attacks, seed=seed, out=out, verbose=verbose, notes=notes,
            training=list(training.values()),
        )  # fmt: skip
    return result, Path(out) / "report.html"
