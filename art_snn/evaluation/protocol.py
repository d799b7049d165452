"""ANN and SNN side by side: the same samples, the same attacks, the same budgets."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, TypeAlias

import art
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from tqdm.auto import tqdm

from art_snn import __version__
from art_snn.errors import explain
from art_snn.estimators.checks import check_input, check_labels
from art_snn.evaluation.attacks import ATTACKS, Attack, attack_named
from art_snn.evaluation.cards import card
from art_snn.evaluation.cells import EXAMPLES, Measurement, Subject
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.examination import examine, source_attack, transfer
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.probes import probe
from art_snn.evaluation.references import references
from art_snn.evaluation.seeding import fingerprint
from art_snn.evaluation.store import Record, ResultStore
from art_snn.evaluation.summaries import summary_records

Array = np.ndarray[Any, np.dtype[Any]]
Networks: TypeAlias = PyTorchClassifier | Sequence[PyTorchClassifier]
"""A model: one network, or networks of several training seeds."""


def compare(
    models: Mapping[str, Networks],
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

    Examples of one gradient attack on each model are tried on every other one; what they break counts in the worst
    case. Operations, firing rates and decisions over time are measured clean and under that attack.

    :param models: ART PyTorch classifiers by name, spiking or not; a list of classifiers stands for networks of several
        training seeds, the same number for every model.
    :param x: samples ``[N, *]`` in input units.
    :param y: labels, indices ``[N]`` or one-hot.
    :param eps: :math:`L_\infty` budgets in input units, not negative.
    :param attacks: names from :data:`~art_snn.evaluation.attacks.ATTACKS`, all by default, and from
        :data:`~art_snn.evaluation.attacks.SUITES`.
    :param seed: seed of everything random; the same seed gives the same numbers on the same machine.
    :param out: folder for finished cells and the report; a run that was killed goes on from there.
    :param verbose: show a progress bar.
    :raises TypeError: if a model is not an ART PyTorch classifier.
    :raises ValueError: for no models or different numbers of networks, unusable samples or labels, a negative or
        missing budget, an unknown attack.
    :raises OSError: if ``out`` cannot be written.
    """
    return evaluate(models, x, y, eps, attacks=attacks, seed=seed, out=out, verbose=verbose)


def evaluate(
    models: Mapping[str, Networks],
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
    names = dict.fromkeys(attacks if attacks is not None else ATTACKS)
    chosen = [attack_named(name) for name in names]
    budgets = check_budgets(eps)
    subjects = _subjects(models)
    every = [subject for networks in subjects.values() for subject in networks]
    x, y = _samples(every, x, y)
    store = ResultStore(out)
    carried = source_attack(chosen)
    measurement = Measurement(x, y, store, seed, () if carried is None else (carried.name,))
    header = {**_header(subjects, chosen, budgets, measurement, seed), **(notes or {})}
    order: list[str] = [store.add(record)["key"] for record in (header, *training)]
    result = Comparison(list(subjects), [a.name for a in chosen], budgets, {}, {}, {}, seed=seed)
    with tqdm(total=len(every) * (len(chosen) * len(budgets) + 2), disable=not verbose, unit="cell") as bar:
        for networks in subjects.values():
            order += _measure(networks, chosen, measurement, result, bar)
        if carried is not None:
            order += _transfer(subjects, carried, measurement, result)
        for subject in every:
            bar.set_description(f"{subject.name}: operations")
            order += [record["key"] for record in examine(measurement, subject, carried, budgets[-1])]
            bar.update()
    for networks in subjects.values():
        bar.set_description(f"{networks[0].name}: probes")
        order += [record["key"] for record in probe(measurement, networks[0], result.telling_eps or budgets[-1])]
    order = list(dict.fromkeys(order))
    result.records = [store.records[key] for key in order]
    derived = [*summary_records(result), references(result)]
    index = {"key": "index", "kind": "index", "records": [*order, *(record["key"] for record in derived)]}
    derived = [store.add(record) for record in (*derived, index)]
    order += [record["key"] for record in derived]
    result.records += derived
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


def _subjects(models: Mapping[str, Networks]) -> dict[str, list[Subject]]:
    if not models:
        raise ValueError(explain("no models", "at least one", "compare({'snn': classifier}, x, y, eps)"))
    listed: dict[str, list[PyTorchClassifier]] = {
        name: list(given) if isinstance(given, list | tuple) else [given] for name, given in models.items()
    }
    for name, networks in listed.items():
        for classifier in networks:
            if not isinstance(classifier, PyTorchClassifier):
                came = f"a {type(classifier).__name__} for {name!r}"
                raise TypeError(explain(came, "an ART PyTorchClassifier", "wrap the network in SNNClassifier"))
    counts = {name: len(networks) for name, networks in listed.items()}
    if len(set(counts.values())) > 1 or not min(counts.values()):
        fix = "train every model from the same seeds"
        raise ValueError(explain(f"numbers of networks {counts}", "the same number, at least one, for all", fix))
    return {
        name: [Subject(name, classifier, index) for index, classifier in enumerate(networks)]
        for name, networks in listed.items()
    }


def _samples(subjects: list[Subject], x: Array, y: Array) -> tuple[Array, Array]:
    for classifier in (subject.classifier for subject in subjects):
        encoder = getattr(classifier.model, "encoder", None)
        integers = bool(getattr(encoder, "integer_input", False))
        checked = check_input(x, classifier.input_shape, classifier.clip_values, integers=integers)
        labels = check_labels(y, len(checked), classifier.nb_classes)
    labels = np.asarray(labels)
    one_hot = labels.ndim == 2 and labels.shape[1] > 1
    return np.asarray(checked), labels.argmax(1) if one_hot else labels.reshape(-1).astype(np.int64)


def _header(
    subjects: dict[str, list[Subject]], attacks: list[Attack], eps: list[float], cells: Measurement, seed: int
) -> Record:
    versions = {
        "art-snn": __version__, "adversarial-robustness-toolbox": art.__version__, "torch": torch.__version__,
        "numpy": np.__version__, "python": platform.python_version(),
    }  # fmt: skip
    return {
        "key": "run", "kind": "run",
        "models": {name: [one.identity for one in networks] for name, networks in subjects.items()},
        "cards": {name: card(networks[0].classifier) for name, networks in subjects.items()},
        "attacks": [a.name for a in attacks], "titles": {a.name: a.title for a in attacks},
        "default_attacks": list(ATTACKS), "eps": eps, "seed": seed,
        "samples": len(cells.x), "data": fingerprint(cells.x, cells.y), "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
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


def _measure(
    networks: list[Subject], attacks: list[Attack], cells: Measurement, result: Comparison, bar: Any
) -> list[str]:
    """Run the cells of one model's networks into ``result``; the keys in order."""
    name, keys = networks[0].name, []
    clean: list[Record] = []
    under: dict[tuple[str, float], list[Record]] = {}
    flags: list[list[Flag]] = []
    for subject in networks:
        bar.set_description(name)
        clean.append(cells.clean(subject))
        records = []
        for attack in attacks:
            for eps in result.eps:
                bar.set_description(f"{name}: {attack.title}, eps {eps:.3g}")
                records.append(cells.attack(subject, attack, eps))
                under.setdefault((attack.name, eps), []).append(records[-1])
                bar.update()
        bar.set_description(f"{name}: flags")
        unbounded = cells.unbounded(subject)
        found = cells.flags(subject, clean[-1], unbounded, records)
        flags.append([Flag(**flag) for flag in found["flags"]])
        bar.update()
        keys += [record["key"] for record in [clean[-1], *records, unbounded, found]]
    result.clean[name] = _stacked(clean)
    result.outcomes.update({(name, *cell): _stacked(records) for cell, records in under.items()})
    result.flags[name] = _merged(flags)
    return keys


def _stacked(records: list[Record]) -> Array:
    """Outcomes ``[N]`` of one network, ``[S, N]`` of several."""
    rows = np.array([record["correct"] for record in records], dtype=bool)
    return rows[0] if len(rows) == 1 else rows


def _merged(flags: list[list[Flag]]) -> list[Flag]:
    """One list for all networks of a model: a flag is raised if it is raised for one of them."""
    return [max(same, key=lambda flag: flag.raised) for same in zip(*flags, strict=True)]


def _transfer(subjects: dict[str, list[Subject]], attack: Attack, cells: Measurement, result: Comparison) -> list[str]:
    """Try each model's examples on every other model, seed by seed; the keys in order."""
    keys = []
    for source, target in permutations(subjects, 2):
        for eps in (eps for eps in result.eps if eps > 0):
            pairs = zip(subjects[source], subjects[target], strict=True)
            records = [transfer(cells, one, other, attack, eps) for one, other in pairs]
            result.transfer[source, target, eps] = _stacked(records)
            keys += [record["key"] for record in records]
    return keys


def _images(result: Comparison, cells: Measurement) -> dict[str, Any]:
    """Clean samples, and each model's adversarial ones from its strongest attack at the largest budget."""
    shown: dict[str, Any] = {"clean": cells.x[:EXAMPLES], "labels": cells.y[:EXAMPLES]}
    for model in result.models:
        cell = [
            r for r in result.records
            if r["kind"] == "attack" and r["model"] == model and r["eps"] == result.eps[-1] and not r.get("network", 0)
        ]  # fmt: skip
        strongest = min(
            (r for r in cell if r["attack"] in result.attacks), key=lambda r: r["accuracy"]["value"], default=None
        )
        images = None if strongest is None else cells.examples(strongest["key"])
        if strongest is not None and images is not None:
            shown[model] = {
                "attack": strongest["attack"],
                "x_adv": images[:EXAMPLES],
                "correct": strongest["correct"][:EXAMPLES],
            }
    return shown
