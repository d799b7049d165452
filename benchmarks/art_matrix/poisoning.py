"""Poisoning and extraction."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from art.attacks import extraction, poisoning
from art.attacks.poisoning.hidden_trigger_backdoor.hidden_trigger_backdoor_pytorch import HiddenTriggerBackdoorPyTorch
from art.attacks.poisoning.perturbations import add_pattern_bd, add_single_bd

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage, onehot
from art_matrix.victims import Array


def _trigger(x: Array) -> Array:
    marked: Array = add_pattern_bd(x, pixel_value=1, channels_first=True)
    return marked


@case("PoisoningAttackBackdoor")
def backdoor(stage: Stage) -> None:
    x, y = stage.training(128)
    attack = poisoning.PoisoningAttackBackdoor(partial(add_single_bd, distance=1, pixel_value=1))
    poisoned, labels = attack.poison(x[:32, 0], y=onehot(np.full(32, 3)))
    stage.images(poisoned, x[:32, 0])
    clf = stage.clf()
    clf.fit(np.concatenate([x, poisoned[:, None].astype(np.float32)]), np.concatenate([y, labels]), nb_epochs=1)
    stage.still_works(clf)


@case("PoisoningAttackCleanLabelBackdoor")
def clean_label(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.training(64)
    attack = poisoning.PoisoningAttackCleanLabelBackdoor(
        poisoning.PoisoningAttackBackdoor(_trigger),
        clf,
        onehot(np.array(3)),
        pp_poison=0.5,
        eps=EPS,
        eps_step=0.1,
        max_iter=4,
    )
    poisoned, labels = attack.poison(x, y)
    stage.images(poisoned, x)
    stage.holds(not np.array_equal(poisoned, x) and labels.shape == y.shape, "nothing was poisoned")


@case("FeatureCollisionAttack")
def feature_collision(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.samples(8)
    base = x[y != y[0]][:1]
    attack = poisoning.FeatureCollisionAttack(
        clf,
        target=x[:1],
        feature_layer=stage.layer,
        learning_rate=0.005,
        max_iter=20,
        similarity_coeff=2,
        verbose=False,
    )
    poisoned, _ = attack.poison(base)
    stage.images(np.asarray(poisoned).reshape(base.shape).astype(np.float32), base)
    _nearer(stage, clf, np.asarray(poisoned, dtype=np.float32).reshape(base.shape), base, x[:1])


def _nearer(stage: Stage, clf: Any, poisoned: Array, base: Array, target: Array) -> None:
    goal = clf.get_activations(target, stage.layer, batch_size=4).reshape(1, -1)
    far, near = (
        float(((clf.get_activations(v, stage.layer, batch_size=4).reshape(len(v), -1) - goal) ** 2).sum(1).mean())
        for v in (base, poisoned)
    )
    stage.holds(near < far, f"the distance to the target in the layer went from {far:.4g} to {near:.4g}")


for title, whole in (("", True), ("one layer", False)):

    @case("BullseyePolytopeAttackPyTorch", name=title)
    def bullseye(stage: Stage, whole: bool = whole) -> None:
        clf = stage.clf()
        x, y = stage.samples(12)
        base = x[y != y[0]][:4]
        attack = poisoning.BullseyePolytopeAttackPyTorch(
            clf, x[:1], stage.layer, max_iter=80, learning_rate=0.02, epsilon=EPS, dropout=0.0, endtoend=whole,
            batch_size=4, verbose=False,
        )  # fmt: skip
        poisoned, _ = attack.poison(base, onehot(np.full(len(base), 3)))
        stage.images(poisoned, base)
        _nearer(stage, clf, poisoned, base, x[:1])


@case("HiddenTriggerBackdoor", "HiddenTriggerBackdoorPyTorch")
def hidden_trigger(stage: Stage) -> None:
    _hide(stage, poisoning.HiddenTriggerBackdoor)


@case("HiddenTriggerBackdoorPyTorch")
def hidden_trigger_torch(stage: Stage) -> None:
    _hide(stage, HiddenTriggerBackdoorPyTorch)


def _hide(stage: Stage, cls: Any) -> None:
    clf = stage.clf()
    x, y = stage.training(200)
    attack = cls(
        clf, eps=EPS, target=onehot(np.array(3)), source=onehot(np.array(4)), feature_layer=stage.layer,
        backdoor=poisoning.PoisoningAttackBackdoor(_trigger), decay_coeff=0.95, decay_iter=10, max_iter=5, batch_size=8,
        poison_percent=0.2, learning_rate=0.05, verbose=False,
    )  # fmt: skip
    poisoned, rows = attack.poison(x, y)
    stage.images(poisoned, x[: len(poisoned)])
    stage.holds(len(rows) > 0 and not np.array_equal(poisoned, x[rows]), "nothing was poisoned")


GRADUAL: dict[str, Any] = {
    "percent_poison": 0.2, "max_trials": 1, "max_epochs": 3, "learning_rate_schedule": ([0.1, 0.05], [2, 3]),
    "epsilon": EPS, "batch_size": 32, "clip_values": (0.0, 1.0), "verbose": 0,
}  # fmt: skip


@case("GradientMatchingAttack")
def gradient_matching(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.training(64)
    trigger, _ = stage.samples(1)
    poisoned, _ = poisoning.GradientMatchingAttack(clf, **GRADUAL).poison(trigger, onehot(np.array([3])), x, y)
    stage.images(poisoned, x)
    stage.holds(not np.array_equal(poisoned, x), "nothing was poisoned")


@case("SleeperAgentAttack", limit=150)
def sleeper_agent(stage: Stage) -> None:
    clf = stage.clf(kind="color")
    x, y = stage.training(64, "color")
    test, labels = stage.samples(32, "color")
    source = int(labels[0])
    attack = poisoning.SleeperAgentAttack(
        clf, patch=np.ones((3, 2, 2), dtype=np.float32), indices_target=np.flatnonzero(y.argmax(1) == 3),
        patching_strategy="random", selection_strategy="max-norm", class_source=source, class_target=3,
        model_retrain=False, device_name="cpu", model_retraining_epoch=1, **{**GRADUAL, "percent_poison": 0.5},
    )  # fmt: skip
    trigger = test[labels == source][:1]
    poisoned, _ = attack.poison(trigger, np.array([3]), x, y, test, onehot(labels))
    stage.holds(bool(np.isfinite(poisoned).all()), "not finite")


@case("CopycatCNN")
def copycat(stage: Stage) -> None:
    _extract(stage, extraction.CopycatCNN)


@case("CopycatCNN", name="probabilities")
def copycat_probabilities(stage: Stage) -> None:
    _extract(stage, extraction.CopycatCNN, use_probability=True)


@case("KnockoffNets")
def knockoff(stage: Stage) -> None:
    _extract(stage, extraction.KnockoffNets, sampling_strategy="random", verbose=False)


@case("KnockoffNets", name="adaptive")
def knockoff_adaptive(stage: Stage) -> None:
    _extract(stage, extraction.KnockoffNets, sampling_strategy="adaptive", reward="all", verbose=False)


def _extract(stage: Stage, cls: Any, **options: Any) -> None:
    victim = stage.clf(probabilities=options.get("use_probability", False))
    thief = victim.clone_for_refitting() if not stage.spiking else stage.clf().clone_for_refitting()
    x, y = stage.training(200)
    before = float((thief.predict(x).argmax(1) == victim.predict(x).argmax(1)).mean())
    attack = cls(victim, batch_size_fit=32, batch_size_query=32, nb_epochs=4, nb_stolen=200, **options)
    stolen = attack.extract(x, y, thieved_classifier=thief)
    agree = float((stolen.predict(x).argmax(1) == victim.predict(x).argmax(1)).mean())
    stage.notes.append(f"agreement {agree:.2f}")
    stage.holds(agree > before, f"the thief agrees in {agree:.2f} of the answers, before in {before:.2f}")
