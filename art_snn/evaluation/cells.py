"""The cells of a comparison: one measurement each, addressed by everything that determines it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from art.estimators.classification import PyTorchClassifier
from safetensors.numpy import load_file, save

from art_snn import __version__
from art_snn.errors import explain
from art_snn.evaluation.attacks import NORMS, UNBOUNDED, Attack, attack_named, inscribed
from art_snn.evaluation.cost import counted
from art_snn.evaluation.deployed import deployed_draws, rewind
from art_snn.evaluation.draws import pack
from art_snn.evaluation.flags import DEFAULT, Evidence, Trial, judge_all
from art_snn.evaluation.seeding import derived_seed, fingerprint
from art_snn.evaluation.statistics import proportion
from art_snn.evaluation.store import Record, ResultStore
from art_snn.files import inside, write_whole

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 8
"""Adversarial images kept of each cell, for the report."""


@dataclass
class Subject:
    """One network under evaluation, and how its cells are addressed.

    :param name: the model's.
    :param classifier: the network.
    :param network: which of the model's networks, counted over training seeds.
    """

    name: str
    classifier: PyTorchClassifier
    network: int = 0
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        if any(getattr(part, "is_stochastic", False) for part in self.classifier.preprocessing_operations):
            came = f"a random preprocessor in front of {self.name!r}"
            fix = "put it inside: SpikingNetwork(Transformed(net.encoder, transform), net.body, net.decoder)"
            raise ValueError(explain(came, "randomness that can be averaged over draws", fix))
        state = {name: value.detach().cpu().numpy() for name, value in self.classifier.model.state_dict().items()}
        parts = [part for name in sorted(state) for part in (name, state[name])]
        structure = [
            repr(self.classifier.model),
            repr(self.classifier.clip_values),
            repr(self.classifier.preprocessing),
        ]
        self.identity = fingerprint(structure, *parts)

    def predict(self, x: Array, seed: int) -> Array:
        """Logits of the deployed rule: mean of fresh draws where the model is stochastic, from a seed of their own."""
        return self.draws(x, seed).mean(0)

    def draws(self, x: Array, seed: int) -> Array:
        """Logits ``[D, N, K]`` of each fresh draw; of one where the model is not stochastic."""
        return deployed_draws(self.classifier, x, seed)

    def rewind(self, seed: int) -> None:
        """Start the model's own random streams from ``seed``."""
        rewind(self.classifier, seed)


class Measurement:
    """All cells of one comparison on one selection of samples.

    :param x: samples, in input units.
    :param y: index labels.
    :param store: finished cells.
    :param seed: seed of the whole run; every cell derives its own.
    :param transferred: names of attacks whose examples are kept whole, to be tried on other models.
    """

    def __init__(self, x: Array, y: Array, store: ResultStore, seed: int, transferred: tuple[str, ...] = ()) -> None:
        self.x, self.y, self.store, self.seed, self.transferred = x, y, store, seed, transferred
        self._data = fingerprint(x, y)
        self._examples: dict[str, Array] = {}

    def key(self, subject: Subject, kind: str, *parts: Any) -> str:
        """Content address of a cell."""
        return fingerprint(__version__, kind, subject.identity, self._data, self.seed, *parts)

    def samples(self) -> Record:
        """The first samples as they are, kept to be shown beside adversarial ones."""
        key = fingerprint("samples", self._data)
        kept = self._keep_examples(key, self.x[:EXAMPLES])
        labels = [int(label) for label in self.y[:EXAMPLES]]
        return {"key": key, "kind": "samples", "labels": labels, "examples": kept}

    def clean(self, subject: Subject) -> Record:
        """Predictions on the samples as they are."""
        key = self.key(subject, "clean")
        found = self.store.get(key)
        if found is not None:
            return found
        with counted(subject.classifier.model) as cost:
            z = subject.draws(self.x, derived_seed(self.seed, key))
        top = np.sort(z.mean(0), axis=1)[:, -2:]
        return self.store.add({
            "key": key, "kind": "clean", "model": subject.name, "network": subject.network, **judged(z, self.y),
            "tie_rate": float((top[:, 0] == top[:, 1]).mean()), "forwards": cost.forwards, "seconds": cost.seconds,
        })  # fmt: skip

    def attack(self, subject: Subject, attack: Attack, eps: float) -> Record:
        """Predictions on adversarial examples, which are checked against their budget in float64 before they count."""
        key = self.attack_key(subject, attack, eps)
        found = self.store.get(key)
        if found is not None:
            return found
        seed = derived_seed(self.seed, key)
        with counted(subject.classifier.model) as cost:
            inside, used = self._generate(subject, attack, eps, seed)
        answers = subject.draws(inside, derived_seed(seed, "judge"))
        kept = self._keep_examples(key, inside if attack.name in self.transferred else inside[:EXAMPLES])
        return self.store.add({
            "key": key, "kind": "attack", "model": subject.name, "network": subject.network, "attack": attack.name,
            "eps": eps, **judged(answers, self.y),
            "parameters": dict(attack.parameters), "budget_used": used, "seed": seed, "examples": kept,
            "forwards": cost.forwards,
            "backwards": cost.backwards, "seconds": cost.seconds,
        })  # fmt: skip

    def attack_key(self, subject: Subject, attack: Attack, eps: float) -> str:
        """Content address of an attack's cell."""
        return self.key(subject, "attack", attack.name, dict(attack.parameters), eps)

    def _generate(self, subject: Subject, attack: Attack, eps: float, seed: int) -> tuple[Array, float]:
        """Adversarial examples inside the budget, and how much of it the attack asked for."""
        subject.rewind(seed)
        x_adv = attack.generate(subject.classifier, self.x, self.y, eps, seed)
        finite = bool(np.isfinite(x_adv).all())
        threat = NORMS[attack.parameters.get("norm", np.inf)](eps, subject.classifier.clip_values)
        used = float(threat.usage(self.x, x_adv).max()) if finite else 0.0
        x_adv = x_adv if finite else np.where(np.isfinite(x_adv), x_adv, self.x)
        if threat.norm != np.inf:
            return np.asarray(threat.project(self.x, x_adv), dtype=np.float32), used
        return np.clip(x_adv, self.x - np.float32(eps), self.x + np.float32(eps)).astype(np.float32), used

    def adversarial(self, subject: Subject, attack: Attack, eps: float) -> Array:
        """All adversarial examples of a finished attack; made again, from the same seed, if they are gone."""
        key = self.attack_key(subject, attack, eps)
        kept = self.examples(key)
        if kept is None or len(kept) < len(self.x):
            kept, _ = self._generate(subject, attack, eps, derived_seed(self.seed, key))
            self._keep_examples(key, kept)
        return kept

    def unbounded(self, subject: Subject) -> Record:
        """An attack that may change every value at will: it has to break every sample."""
        clip = subject.classifier.clip_values
        span = 1.0 if clip is None else float(np.max(clip[1]) - np.min(clip[0]))
        return self.attack(subject, UNBOUNDED, span)

    def flags(self, subject: Subject, clean: Record, unbounded: Record, attacks: list[Record]) -> Record:
        """Every reliability flag of one model, from its cells and a few probes of its own.

        :param attacks: attacks on the model, and what was made on other models and tried on it.
        """
        key = self.key(subject, "flags", sorted(record["key"] for record in attacks), DEFAULT.record())
        found = self.store.get(key)
        if found is not None:
            return found
        flags = [flag.record() for flag in judge_all(self._evidence(subject, clean, unbounded, attacks))]
        return self.store.add({"key": key, "kind": "flags", "model": subject.name, "flags": flags})

    def _evidence(self, subject: Subject, clean: Record, unbounded: Record, attacks: list[Record]) -> Evidence:
        """What the checks look at: the outcomes of every cell, and a few samples for probes of their own."""
        budgets = [record for record in attacks if record["eps"] > 0]
        reached = [self._reach(record) for record in budgets if record["kind"] == "attack"]
        largest = max(reached, default=unbounded["eps"])
        seed = derived_seed(self.seed, "probe", subject.identity)
        trials = [*map(_trial, budgets), replace(_trial(unbounded), name="unbounded")]
        correct = np.array(clean["correct"], dtype=bool)
        return Evidence(
            subject.classifier, self.x, self.y, largest, seed, DEFAULT, trials=trials, clean=correct, all_labels=self.y
        )

    def evidence(self, subject: Subject, eps: float) -> Evidence:
        """Samples for probes of a model at a budget, before anything is known of it."""
        seed = derived_seed(self.seed, "evidence", subject.identity)
        return Evidence(subject.classifier, self.x, self.y, eps, seed, DEFAULT)

    def _reach(self, record: Record) -> float:
        """The L-infinity budget of the checks' own probes: the cell's, or the one inscribed in its ball."""
        return inscribed(record["eps"], record["parameters"].get("norm", np.inf), self.x[0].size)

    def kept(self) -> dict[str, Array]:
        """Adversarial images in memory, by the key of their cell."""
        return dict(self._examples)

    def provide(self, key: str, images: Array) -> None:
        """Hand in the adversarial images of a cell that was measured elsewhere."""
        self._examples[key] = images

    def _keep_examples(self, key: str, images: Array) -> Record:
        """Keep adversarial samples; where, how many, and the SHA-256 of the file."""
        self._examples[key] = images
        content = save({"x_adv": np.ascontiguousarray(images)})
        if self.store.folder is not None:
            write_whole(self._example_file(key), content)
        digest = hashlib.sha256(content).hexdigest()
        return {"file": f"examples/{key}.safetensors", "samples": len(images), "sha256": digest}

    def examples(self, key: str) -> Array | None:
        """The first adversarial images of a finished attack cell."""
        if key not in self._examples and self.store.folder is not None and self._example_file(key).exists():
            self._examples[key] = load_file(self._example_file(key))["x_adv"]
        return self._examples.get(key)

    def _example_file(self, key: str) -> Path:
        folder = self.store.folder if self.store.folder is not None else Path()
        return inside(folder, f"examples/{key}.safetensors")


def outcome(correct: Array) -> Record:
    """Per-sample outcomes (1 is correct) and their share."""
    return {"correct": [int(value) for value in correct], "accuracy": proportion(correct).record()}


def judged(z: Array, y: Array) -> Record:
    """:func:`outcome` of the deployed rule on logits ``[D, N, K]``, and of every draw where there are several."""
    found = outcome(z.mean(0).argmax(1) == y)
    return found if len(z) == 1 else {**found, "draws": pack(z.argmax(2) == y)}


def _trial(record: Record) -> Trial:
    """The outcome of a cell, as the checks want it."""
    if record["kind"] == "transfer":
        name = f"transfer from {record['source']}"
        return Trial(name, "transfer", record["eps"], np.array(record["correct"], dtype=bool))
    knowledge = "white-box" if record["attack"] == UNBOUNDED.name else attack_named(record["attack"]).knowledge
    correct = np.array(record["correct"], dtype=bool)
    return Trial(record["attack"], knowledge, record["eps"], correct, record["budget_used"] / record["eps"])
