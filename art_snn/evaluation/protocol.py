"""ANN and SNN side by side: the same samples, the same attacks, the same budgets."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import art
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from tqdm.auto import tqdm

from art_snn import __version__
from art_snn.errors import explain
from art_snn.estimators.checks import check_input, check_labels
from art_snn.evaluation.attacks import ATTACKS, Attack, attack_named
from art_snn.evaluation.cells import EXAMPLES, Measurement, Subject
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.store import Record, ResultStore

Array = np.ndarray[Any, np.dtype[Any]]


def compare(
    models: Mapping[str, PyTorchClassifier],
    x: Array,
    y: Array,
    eps: Sequence[float] | float,
    *,
    attacks: Sequence[str] | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    verbose: bool = True,
) -> Comparison:
    r"""Attack every model and report the per-sample worst case.

    A sample counts as robust under :math:`\varepsilon` if it is classified correctly without attack and under every
    attack of a budget up to :math:`\varepsilon`. Stochastic networks are attacked with averaged gradients and judged by
    the mean of fresh draws. Before anything is called robust, the reliability flags of each model are computed.

    :param models: ART PyTorch classifiers by name, spiking or not.
    :param x: samples ``[N, *]`` in input units.
    :param y: labels, indices ``[N]`` or one-hot.
    :param eps: :math:`L_\infty` budgets in input units, not negative.
    :param attacks: names from :data:`~art_snn.evaluation.attacks.ATTACKS`; all by default.
    :param seed: seed of everything random; the same seed gives the same numbers on the same machine.
    :param out: folder for finished cells and the report; a run that was killed goes on from there.
    :param verbose: show a progress bar.
    :raises TypeError: if a model is not an ART PyTorch classifier.
    :raises ValueError: for no models, unusable samples or labels, a negative or missing budget, an unknown attack.
    :raises OSError: if ``out`` cannot be written.
    """
    return evaluate(models, x, y, eps, attacks=attacks, seed=seed, out=out, verbose=verbose)


def evaluate(
    models: Mapping[str, PyTorchClassifier],
    x: Array,
    y: Array,
    eps: Sequence[float] | float,
    *,
    attacks: Sequence[str] | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    verbose: bool = True,
    notes: Mapping[str, Any] | None = None,
    training: Sequence[Record] = (),
) -> Comparison:
    """:func:`compare`, with notes for the run's header and the training records of its models."""
    chosen = [attack_named(name) for name in (attacks if attacks is not None else ATTACKS)]
    budgets = check_budgets(eps)
    subjects = _subjects(models)
    x, y = _samples(models, x, y)
    store = ResultStore(out)
    measurement = Measurement(x, y, store, seed)
    header = {**_header(subjects, chosen, budgets, measurement, seed), **(notes or {})}
    order: list[str] = [store.add(record)["key"] for record in (header, *training)]
    result = Comparison([s.name for s in subjects], [a.name for a in chosen], budgets, {}, {}, {})
    with tqdm(total=len(subjects) * (len(chosen) * len(budgets) + 1), disable=not verbose, unit="cell") as bar:
        for subject in subjects:
            order += _measure(subject, chosen, measurement, result, bar)
    result.records = [store.records[key] for key in order]
    summaries = [store.add(summary) for summary in result.summary_records()]
    order += [summary["key"] for summary in summaries]
    result.records += summaries
    result.images = _images(result, measurement)
    if out is not None:
        store.rewrite([*order, *store.cells_beside(order)])
        result.save(Path(out))
    return result


def check_budgets(eps: Sequence[float] | float) -> list[float]:
    """Budgets as an ascending list without duplicates.

    :raises ValueError: if there are none, or one is negative or not finite.
    """
    values = sorted({float(value) for value in np.atleast_1d(np.asarray(eps, dtype=float))})
    if not values or not all(math.isfinite(value) and value >= 0 for value in values):
        raise ValueError(explain(f"eps = {eps!r}", "finite budgets >= 0 in input units", "eps=[2/255, 8/255], say"))
    return values


def _subjects(models: Mapping[str, PyTorchClassifier]) -> list[Subject]:
    if not models:
        raise ValueError(explain("no models", "at least one", "compare({'snn': classifier}, x, y, eps)"))
    for name, classifier in models.items():
        if not isinstance(classifier, PyTorchClassifier):
            came = f"a {type(classifier).__name__} for {name!r}"
            raise TypeError(explain(came, "an ART PyTorchClassifier", "wrap the network in SNNClassifier"))
    return [Subject(name, classifier) for name, classifier in models.items()]


def _samples(models: Mapping[str, PyTorchClassifier], x: Array, y: Array) -> tuple[Array, Array]:
    for classifier in models.values():
        encoder = getattr(classifier.model, "encoder", None)
        integers = bool(getattr(encoder, "integer_input", False))
        checked = check_input(x, classifier.input_shape, classifier.clip_values, integers=integers)
        labels = check_labels(y, len(checked), classifier.nb_classes)
    labels = np.asarray(labels)
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    return np.asarray(checked), labels.argmax(1) if one_hot else labels.reshape(-1).astype(np.int64)


def _header(subjects: list[Subject], attacks: list[Attack], eps: list[float], cells: Measurement, seed: int) -> Record:
    versions = {
        "art-snn": __version__, "adversarial-robustness-toolbox": art.__version__, "torch": torch.__version__,
        "numpy": np.__version__, "python": platform.python_version(),
    }  # fmt: skip
    return {
        "key": "run", "kind": "run", "models": {s.name: s.identity for s in subjects},
        "attacks": [a.name for a in attacks], "eps": eps, "seed": seed, "samples": len(cells.x), "versions": versions,
        "threat_model": f"white-box and black-box attacks on the input, {_budget(cells.x)}; the attacker "
        "knows the model, its encoder and its randomness, not its draws",
    }  # fmt: skip


def _budget(x: Array) -> str:
    """What the budget is on; L-infinity on event frames is named for what it is."""
    if x.ndim == 5:
        return (
            "L-infinity budget on the values of event frames, a relaxed threat: every cell may take any value within "
            "the budget, which no event camera can record (its frames hold whole events)"
        )
    return "L-infinity budget in input units"


def _measure(subject: Subject, attacks: list[Attack], cells: Measurement, result: Comparison, bar: Any) -> list[str]:
    """Run one model's cells into ``result``; the keys in order."""
    bar.set_description(subject.name)
    clean = cells.clean(subject)
    result.clean[subject.name] = np.array(clean["correct"], dtype=bool)
    records = []
    for attack in attacks:
        for eps in result.eps:
            bar.set_description(f"{subject.name}: {attack.title}, eps {eps:.3g}")
            record = cells.attack(subject, attack, eps)
            records.append(record)
            result.outcomes[subject.name, attack.name, eps] = np.array(record["correct"], dtype=bool)
            bar.update()
    bar.set_description(f"{subject.name}: flags")
    unbounded = cells.unbounded(subject)
    flags = cells.flags(subject, clean, unbounded, records)
    result.flags[subject.name] = [Flag(**flag) for flag in flags["flags"]]
    bar.update()
    return list(dict.fromkeys(record["key"] for record in [clean, *records, unbounded, flags]))


def _images(result: Comparison, cells: Measurement) -> dict[str, Any]:
    """Clean samples, and each model's adversarial ones from its strongest attack at the largest budget."""
    shown: dict[str, Any] = {"clean": cells.x[:EXAMPLES], "labels": cells.y[:EXAMPLES]}
    for model in result.models:
        cell = [
            r for r in result.records if r["kind"] == "attack" and r["model"] == model and r["eps"] == result.eps[-1]
        ]
        strongest = min(
            (r for r in cell if r["attack"] in result.attacks), key=lambda r: r["accuracy"]["value"], default=None
        )
        images = None if strongest is None else cells.examples(strongest["key"])
        if strongest is not None and images is not None:
            shown[model] = {"attack": strongest["attack"], "x_adv": images, "correct": strongest["correct"][:EXAMPLES]}
    return shown
