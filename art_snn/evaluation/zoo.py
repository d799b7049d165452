"""The models of the command line: an ANN and its spiking counterparts, built and trained from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.coding import Direct, Encoder, EventFrames, Latency, Poisson
from art_snn.data import Dataset
from art_snn.errors import explain, suggest
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.attacks import averaged
from art_snn.evaluation.deployed import EVALUATION_DRAWS
from art_snn.evaluation.seeding import derived_seed, fingerprint, seeded_globals
from art_snn.evaluation.statistics import proportion
from art_snn.evaluation.store import Record, ResultStore
from art_snn.networks import ann_twin, cnn, load, mlp, save

MODELS: dict[str, tuple[str, Callable[[int], Encoder]]] = {
    "ann": ("the non-spiking twin: ReLU for every spiking neuron, same layers and parameters", lambda T: Direct(T)),
    "snn-direct": ("constant-current input", lambda T: Direct(T)),
    "snn-poisson": ("Bernoulli rate code, fresh draws at every call", lambda T: Poisson(T)),
    "snn-latency": ("time-to-first-spike code, bright pixels early", lambda T: Latency(T)),
    "snn-events": ("event frames as they are, one per time step", lambda T: EventFrames(T)),
}
EVENT_MODELS = ("ann", "snn-events")
"""The models for event frames. All but the last are for images."""
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


def models_for(dataset: str) -> list[str]:
    """The models that fit the input of a data set: images, or event frames.

    >>> models_for("events")
    ['ann', 'snn-events']
    """
    return [name for name in MODELS if (name in EVENT_MODELS if dataset == "events" else name != "snn-events")]


def check_model(name: str, dataset: str) -> str:
    """Return ``name``.

    :raises ValueError: for an unknown model (the message suggests the nearest one), or one for other input.
    """
    if name not in MODELS:
        raise ValueError(suggest(name, MODELS, "model"))
    if name not in models_for(dataset):
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
    encoder = MODELS["snn-events" if frames else name][1](recipe.T)
    builder = mlp if frames or data.input_shape[-1] < 16 else cnn
    net = builder(data.input_shape[-3:], data.nb_classes, encoder=encoder, seed=seed)
    return _classifier(ann_twin(net) if name == "ann" else net, data, recipe, device)


def _classifier(net: nn.Module, data: Dataset, recipe: Recipe, device: str) -> PyTorchClassifier:
    kind = PyTorchClassifier if not hasattr(net, "encoder") else SNNClassifier
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
    classifier = build(name, data, recipe, seed, device)
    key = fingerprint("train", name, data.name, recipe.__dict__, seed, repr(classifier.model))
    file = None if store.folder is None else store.folder / "models" / f"{name}-{key}.safetensors"
    record = store.get(key)
    if record is not None and file is not None and _restore(classifier, file):
        return classifier, record
    _fit(classifier, data, recipe, derived_seed(seed, key), verbose)
    if file is not None:
        save(classifier.model, file)
    return classifier, store.add(_train_record(key, name, classifier, data, recipe, seed))


def _restore(classifier: PyTorchClassifier, file: Path) -> bool:
    try:
        load(file, into=classifier.model)
    except (FileNotFoundError, ValueError):
        return False
    return True


def _fit(classifier: PyTorchClassifier, data: Dataset, recipe: Recipe, seed: int, verbose: bool) -> None:
    chosen = np.random.default_rng(seed).permutation(len(data.x_train))[: recipe.train_samples]
    reseed = getattr(classifier.model, "reseed", None)
    if reseed is not None:
        reseed(seed)
    with seeded_globals(seed):
        classifier.fit(
            data.x_train[chosen],
            data.y_train[chosen],
            batch_size=recipe.batch_size,
            nb_epochs=recipe.epochs,
            verbose=verbose,
        )
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
