"""The models of the command line: an ANN and its spiking counterparts, built and trained from a seed."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from torch import nn

from art_snn.coding import Direct, Encoder, EventFrames
from art_snn.conversion import convert
from art_snn.data import Dataset
from art_snn.defenses.catalogue import DEFENSES, train_defense
from art_snn.errors import explain
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.attacks import averaged
from art_snn.evaluation.deployed import EVALUATION_DRAWS
from art_snn.evaluation.kinds import MODELS, kind_named
from art_snn.evaluation.seeding import derived_seed, fingerprint, seeded_globals
from art_snn.evaluation.statistics import proportion
from art_snn.evaluation.store import Record, ResultStore
from art_snn.networks import SpikingNetwork, cnn, load, mlp, save

CONVERTED = "snn-converted"
EVENT_MODELS = ("ann", "snn-events")
"""What is compared on event frames unless models are named."""
DEFAULT_MODELS = ("ann", "snn-direct", "snn-poisson", "snn-latency")
"""What is compared on images unless models are named."""
EVENT_NOTE = "ann sees the mean of the event frames over time: how often each pixel changed, not when"


@dataclass(frozen=True)
class Recipe:
    """How the models of one data set are built and trained.

    :param T: time steps.
    :param epochs: passes over the training samples.
    :param train_samples: how many training samples are used.
    """

    T: int
    epochs: int
    train_samples: int
    batch_size: int = 64
    learning_rate: float = 2e-3


RECIPES = {
    "digits": Recipe(T=8, epochs=20, train_samples=1297),
    "mnist": Recipe(T=8, epochs=2, train_samples=20_000),
    "cifar10": Recipe(T=4, epochs=5, train_samples=50_000),
    "events": Recipe(T=9, epochs=20, train_samples=1297),
}


TRAINING_EPS = {"digits": 0.1, "mnist": 0.1, "cifar10": 2 / 255, "events": 0.02}
"""Budgets of defenses that train on perturbed samples: the middle one of those that are evaluated."""


def models_for(dataset: str) -> list[str]:
    """The models that fit the input of a data set: images, or event frames.

    >>> models_for("events")[:3]
    ['ann', 'snn-events', 'snn-background-filter']
    """
    frames = {"snn-events", *(name for name, kind in MODELS.items() if kind.defense and DEFENSES[kind.defense].events)}
    return [name for name in MODELS if (name == "ann" or name in frames if dataset == "events" else name not in frames)]


def default_models(dataset: str) -> list[str]:
    """The models that are compared unless others are named.

    >>> default_models("digits")
    ['ann', 'snn-direct', 'snn-poisson', 'snn-latency']
    """
    return list(EVENT_MODELS if dataset == "events" else DEFAULT_MODELS)


def check_model(name: str, dataset: str) -> str:
    """Return ``name``.

    :raises ValueError: for an unknown model (the message suggests the nearest one), or one for other input.
    """
    kind_named(name)
    fits = name in models_for(dataset) or (name not in MODELS and dataset != "events")
    if not fits:
        fitting = ", ".join(models_for(dataset))
        came = f"model {name!r} for the data set {dataset!r}"
        raise ValueError(explain(came, f"one of {fitting}", f"--models {fitting.replace(', ', ',')}"))
    return name


def build(name: str, data: Dataset, recipe: Recipe, seed: int, device: str = "cpu") -> PyTorchClassifier:
    """An untrained classifier: ``mlp`` for digits and event frames, ``cnn`` for larger images.

    :raises ValueError: for an unknown model, or one for other input.
    """
    check_model(name, data.name)
    frames = data.name == "events"
    builder = mlp if frames or data.input_shape[-1] < 16 else cnn

    def bare(encoder: Encoder, copies: int = 1, **options: Any) -> SpikingNetwork:
        code = EventFrames(recipe.T) if frames and isinstance(encoder, Direct) else encoder
        channels, *size = data.input_shape[-3:]
        return builder((channels * copies, *size), data.nb_classes, encoder=code, seed=seed, **options)

    return _classifier(kind_named(name).make(bare, recipe.T), data, recipe, device)


def _classifier(net: nn.Module, data: Dataset, recipe: Recipe, device: str) -> PyTorchClassifier:
    kind = SNNClassifier if isinstance(net, SpikingNetwork) else PyTorchClassifier
    return kind(
        net, nn.CrossEntropyLoss(), data.input_shape, data.nb_classes,
        optimizer=torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate), clip_values=data.clip_values,
        device_type="cpu" if device == "cpu" else "gpu",
    )  # fmt: skip


def trained(
    name: str,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    store: ResultStore,
    device: str = "cpu",
    *,
    verbose: bool = True,
) -> tuple[PyTorchClassifier, Record]:
    """A trained classifier and its training record; read back if the same training was finished before.

    :param store: where the record lies; the weights lie beside it in ``models/``.
    :raises ValueError: for an unknown model.
    """
    if name == CONVERTED:
        return _converted(data, recipe, seed, store, device, verbose=verbose)
    classifier = build(name, data, recipe, seed, device)
    key = _training_key(name, classifier, data, recipe, seed)
    file = None if store.folder is None else store.folder / "models" / f"{name}-{key}.safetensors"
    record = store.get(key)
    if record is not None and file is not None and _restore(classifier, file):
        return classifier, record
    record = _train(key, name, classifier, data, recipe, seed, verbose)
    if file is not None:
        save(classifier.model, file)
    return classifier, store.add(record)


def train(name: str, data: Dataset, recipe: Recipe, seed: int, device: str = "cpu") -> tuple[PyTorchClassifier, Record]:
    """:func:`trained` without a store and without a word; not for the converted network, which is not trained."""
    classifier = build(name, data, recipe, seed, device)
    key = _training_key(name, classifier, data, recipe, seed)
    return classifier, _train(key, name, classifier, data, recipe, seed, verbose=False)


def source_of(name: str) -> str:
    """The model whose training gives the weights of this one: ``qnn`` for the converted network, else itself."""
    return "qnn" if name == CONVERTED else name


def restored(
    name: str, data: Dataset, recipe: Recipe, seed: int, weights: bytes, device: str = "cpu"
) -> PyTorchClassifier:
    """A classifier with given weights: those of :func:`source_of` it, as :func:`art_snn.networks.save` writes them.

    :raises ValueError: if they are damaged or belong to another network.
    """
    classifier = build(source_of(name), data, recipe, seed, device)
    try:
        classifier.model.load_state_dict(tensors_of(weights))
    except (SafetensorError, RuntimeError) as error:
        came = f"weights that do not fit {source_of(name)!r} ({error})"
        raise ValueError(explain(came, "those of its own training", "train it again")) from error
    classifier.model.eval()
    return classifier if name == source_of(name) else _conversion(classifier, data, recipe, device)


def convert_trained(
    source: PyTorchClassifier, trained_on: str, data: Dataset, recipe: Recipe, seed: int, device: str = "cpu"
) -> Record:
    """The record of the converted network of a trained ``qnn``, whose training record has the key ``trained_on``."""
    key = fingerprint("convert", CONVERTED, trained_on)
    record = _train_record(key, CONVERTED, _conversion(source, data, recipe, device), data, recipe, seed)
    return {**record, "source": trained_on}


def _training_key(name: str, classifier: PyTorchClassifier, data: Dataset, recipe: Recipe, seed: int) -> str:
    return fingerprint("train", name, data.name, recipe.__dict__, seed, repr(classifier.model))


def _train(
    key: str, name: str, classifier: PyTorchClassifier, data: Dataset, recipe: Recipe, seed: int, verbose: bool
) -> Record:
    _fit(classifier, data, recipe, derived_seed(seed, key), verbose, kind_named(name).defense)
    return _train_record(key, name, classifier, data, recipe, seed)


def _conversion(source: PyTorchClassifier, data: Dataset, recipe: Recipe, device: str) -> PyTorchClassifier:
    return _classifier(convert(copy.deepcopy(source.model.body).cpu(), recipe.T), data, recipe, device)


def _converted(
    data: Dataset, recipe: Recipe, seed: int, store: ResultStore, device: str, *, verbose: bool
) -> tuple[PyTorchClassifier, Record]:
    """The converted network of the trained ``qnn``, and a record of its own."""
    source, trained_on = trained(source_of(CONVERTED), data, recipe, seed, store, device, verbose=verbose)
    found = store.get(fingerprint("convert", CONVERTED, trained_on["key"]))
    if found is None:
        found = store.add(convert_trained(source, trained_on["key"], data, recipe, seed, device))
    return _conversion(source, data, recipe, device), found


def _restore(classifier: PyTorchClassifier, file: Path) -> bool:
    try:
        load(file, into=classifier.model)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _fit(
    classifier: PyTorchClassifier, data: Dataset, recipe: Recipe, seed: int, verbose: bool, defense: str | None
) -> None:
    chosen = np.random.default_rng(seed).permutation(len(data.x_train))[: recipe.train_samples]
    reseed = getattr(classifier.model, "reseed", None)
    if reseed is not None:
        reseed(seed)
    x, y = data.x_train[chosen], data.y_train[chosen]
    options: dict[str, Any] = {"batch_size": recipe.batch_size, "nb_epochs": recipe.epochs, "verbose": verbose}
    with seeded_globals(seed):
        if defense is None:
            classifier.fit(x, y, **options)
        else:
            train_defense(defense, classifier, x, y, eps=TRAINING_EPS[data.name], seed=seed, **options)
    classifier.model.eval()


def _train_record(
    key: str, name: str, classifier: PyTorchClassifier, data: Dataset, recipe: Recipe, seed: int
) -> Record:
    reseed = getattr(classifier.model, "reseed", None)
    if reseed is not None:
        reseed(seed)
    with averaged(classifier.model, EVALUATION_DRAWS):
        z = classifier.predict(data.x_test, batch_size=256)
    details: dict[str, Any] = {"epochs": recipe.epochs, "train_samples": min(recipe.train_samples, len(data.x_train))}
    return {
        "key": key, "kind": "train", "model": name, "dataset": data.name, "seed": seed, "T": recipe.T, **details,
        "parameters": sum(p.numel() for p in classifier.model.parameters()),
        "test_accuracy": proportion(z.argmax(1) == data.y_test).record(),
    }  # fmt: skip
