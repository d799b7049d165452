"""ANN and SNN side by side: the same samples, the same attacks, the same budgets."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
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
from art_snn.evaluation.attacks import ATTACKS, Attack, attack_named, inscribed
from art_snn.evaluation.cards import card
from art_snn.evaluation.cells import Measurement, Subject
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.examination import examine, source_attack, transfer
from art_snn.evaluation.lock import locked
from art_snn.evaluation.probes import probe
from art_snn.evaluation.references import references
from art_snn.evaluation.seeding import fingerprint
from art_snn.evaluation.store import Record, ResultStore
from art_snn.evaluation.stored import as_stored, comparison_of, images
from art_snn.evaluation.summaries import summary_records

Array = np.ndarray[Any, np.dtype[Any]]
NORM_NAMES = {np.inf: "L-infinity", 2.0: "L2", 1.0: "L1"}
Networks: TypeAlias = PyTorchClassifier | Sequence[PyTorchClassifier]
"""A model: one network, or networks of several training seeds."""


def compare(
    models: Mapping[str, Networks],
    x: Array,
    y: Array,
    eps: Sequence[float] | float,
    *,
    attacks: Sequence[str] | None = None,
    norm: float = np.inf,
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
    :param eps: budgets in input units, not negative.
    :param norm: of the budgets: ``np.inf``, 2 or 1.
    :param attacks: names from :data:`~art_snn.evaluation.attacks.ATTACKS`, all by default, and from
        :data:`~art_snn.evaluation.attacks.SUITES`.
    :param seed: seed of everything random; the same seed gives the same numbers on the same machine.
    :param out: folder for finished cells and the report; a run that was killed goes on from there.
    :param verbose: show a progress bar.
    :raises TypeError: if a model is not an ART PyTorch classifier.
    :raises ValueError: for no models or different numbers of networks, unusable samples or labels, a negative or
        missing budget, an unknown attack.
    :raises RuntimeError: if another process is at work in ``out``.
    :raises OSError: if ``out`` cannot be written.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> clf, (x, y) = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), tiny.samples(8)
    >>> result = compare({"snn": clf}, x, y, eps=0.1, attacks=["noise"], verbose=False)
    >>> result.accuracy("snn", eps=0.1).value <= result.accuracy("snn").value
    True
    """
    with locked(out):
        return evaluate(models, x, y, eps, attacks=attacks, norm=norm, seed=seed, out=out, verbose=verbose)


def evaluate(
    models: Mapping[str, Networks],
    x: Array,
    y: Array,
    eps: Sequence[float] | float,
    *,
    attacks: Sequence[str] | None = None,
    norm: float = np.inf,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    verbose: bool = True,
    notes: Mapping[str, Any] | None = None,
    training: Sequence[Record] = (),
    store: ResultStore | None = None,
    probing: bool = True,
) -> Comparison:
    """:func:`compare`, with notes for the run's header and the training records of its models.

    :param store: finished cells; by default those in ``out``, which the caller has locked.
    :param probing: measure convergence, surrogates and gradients as well, and let the flags of a model see what was
        transferred to it. A sweep does neither: each of its cells stands or fails alone.
    """
    names = dict.fromkeys(attacks if attacks is not None else ATTACKS)
    chosen = [attack_named(name, norm) for name in names]
    budgets = check_budgets(eps)
    subjects = _subjects(models)
    every = [subject for networks in subjects.values() for subject in networks]
    x, y = _samples(every, x, y)
    store = ResultStore(out) if store is None else store
    carried = source_attack(chosen)
    measurement = Measurement(x, y, store, seed, () if carried is None else (carried.name,))
    header = {**_header(subjects, chosen, budgets, measurement, seed, norm), **(notes or {})}
    records = [store.add(record) for record in (header, *training, measurement.samples())]
    with tqdm(total=len(every) * (len(chosen) * len(budgets) + 2), disable=not verbose, unit="cell") as bar:
        own = {name: _measure(networks, chosen, budgets, measurement, bar) for name, networks in subjects.items()}
        moved = [] if carried is None else list(_transfer(subjects, carried, budgets, measurement))
        for name, networks in subjects.items():
            for subject, cells in zip(networks, own[name], strict=True):
                bar.set_description(f"{name}: flags")
                records += [*cells, _judge(subject, cells, moved if probing else [], measurement)]
                bar.update()
        records += moved
        for subject in every:
            bar.set_description(f"{subject.name}: operations")
            records += examine(measurement, subject, carried, budgets[-1])
            bar.update()
        if probing and budgets[-1] > 0:
            telling = inscribed(comparison_of(records).telling_eps, norm, x[0].size)
            for networks in subjects.values():
                bar.set_description(f"{networks[0].name}: probes")
                records += probe(measurement, networks[0], telling)
    order = list(dict.fromkeys(record["key"] for record in records))
    result = comparison_of([as_stored(store.records[key]) for key in order])
    derived = [*summary_records(result), references(result)]
    index = {"key": "index", "kind": "index", "records": [*order, *(record["key"] for record in derived)]}
    result.records += [as_stored(store.add(record)) for record in (*derived, index)]
    result.images = images(result, measurement.examples)
    if out is not None:
        order = [record["key"] for record in result.records]
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
    subjects = {
        name: [Subject(name, classifier, index) for index, classifier in enumerate(networks)]
        for name, networks in listed.items()
    }
    for networks in subjects.values():
        for subject in networks:
            if any(subject.identity == earlier.identity for earlier in networks[: subject.network]):
                subject.identity = fingerprint(subject.identity, subject.network)  # cells of its own
    return subjects


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
    subjects: dict[str, list[Subject]],
    attacks: list[Attack],
    eps: list[float],
    cells: Measurement,
    seed: int,
    norm: float,
) -> Record:
    versions = {
        "art-snn": __version__, "adversarial-robustness-toolbox": art.__version__, "torch": torch.__version__,
        "numpy": np.__version__, "python": platform.python_version(),
    }  # fmt: skip
    return {
        "key": "run", "kind": "run", "order": list(subjects),
        "models": {name: [one.identity for one in networks] for name, networks in subjects.items()},
        "cards": {name: card(networks[0].classifier) for name, networks in subjects.items()},
        "norm": str(norm), "attacks": [a.name for a in attacks], "titles": {a.name: a.title for a in attacks},
        "default_attacks": list(ATTACKS), "eps": eps, "seed": seed,
        "samples": len(cells.x), "data": fingerprint(cells.x, cells.y), "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "threat_model": f"white-box and black-box attacks on the input, {_budget(cells.x, norm)}; the attacker "
        "knows the model, its encoder and its randomness, not its draws",
    }  # fmt: skip


def _budget(x: Array, norm: float) -> str:
    """What the budget is on; a norm of event frames is named for what it is."""
    name = NORM_NAMES[norm]
    if x.ndim == 5:
        return (
            f"{name} budget on the values of event frames, a relaxed threat: every cell may take any value within "
            "the budget, which no event camera can record (its frames hold whole events)"
        )
    return f"{name} budget in input units"


def _measure(
    networks: list[Subject], attacks: list[Attack], eps: list[float], cells: Measurement, bar: Any
) -> list[list[Record]]:
    """The cells of one model's networks: of each clean, attacks, unbounded, in order."""
    name, found = networks[0].name, []
    for subject in networks:
        bar.set_description(name)
        records = [cells.clean(subject)]
        for attack in attacks:
            for level in eps:
                bar.set_description(f"{name}: {attack.title}, eps {level:.3g}")
                records.append(cells.attack(subject, attack, level))
                bar.update()
        found.append([*records, cells.unbounded(subject)])
    return found


def _judge(subject: Subject, own: list[Record], moved: list[Record], cells: Measurement) -> Record:
    """The flags of one network, from its own cells and what was transferred to it."""
    clean, *attacks, unbounded = own
    theirs = [record for record in moved if (record["model"], record["network"]) == (subject.name, subject.network)]
    return cells.flags(subject, clean, unbounded, [*attacks, *theirs])


def _transfer(
    subjects: dict[str, list[Subject]], attack: Attack, eps: list[float], cells: Measurement
) -> Iterator[Record]:
    """Try each model's examples on every other model, seed by seed."""
    for source, target in permutations(subjects, 2):
        for level in (level for level in eps if level > 0):
            for one, other in zip(subjects[source], subjects[target], strict=True):
                yield transfer(cells, one, other, attack, level)
