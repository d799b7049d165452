"""Inference attacks."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.attacks.inference import attribute_inference as attributes
from art.attacks.inference import membership_inference as members
from art.attacks.inference.model_inversion import MIFace

from art_matrix.registry import case
from art_matrix.stage import Stage, onehot
from art_matrix.victims import Array, data


def _halves(number: int = 48) -> tuple[Array, Array, Array, Array]:
    x, y, test, labels = data("images")
    return x[:number], onehot(y[:number]), test[:number], onehot(labels[:number])


def _guesses(stage: Stage, found: Any, number: int) -> None:
    found = np.asarray(found).ravel()
    stage.holds(
        found.shape == (number,) and set(np.unique(found)) <= {0, 1}, f"guesses {found.shape}: {np.unique(found)[:5]}"
    )


for source in ("prediction", "loss"):
    for model in ("nn", "rf", "gb", "lr", "dt", "knn", "svm"):
        if source == "loss" and model not in ("nn", "rf"):
            continue

        @case("MembershipInferenceBlackBox", name=f"{source}, {model}")
        def black_box(stage: Stage, source: str = source, model: str = model) -> None:
            clf = stage.clf()
            x, y, test, labels = _halves()
            attack = members.MembershipInferenceBlackBox(clf, input_type=source, attack_model_type=model,
                                                         nn_model_epochs=3, nn_model_batch_size=16)  # fmt: skip
            attack.fit(x, y, test, labels)
            _guesses(stage, attack.infer(x, y), len(x))
            probabilities = attack.infer(x, y, probabilities=True)
            stage.holds(bool(np.isfinite(probabilities).all()), "probabilities not finite")


@case("MembershipInferenceBlackBoxRuleBased")
def rule_based(stage: Stage) -> None:
    x, y, _, _ = _halves()
    clf = stage.clf()
    found = members.MembershipInferenceBlackBoxRuleBased(clf).infer(x, y)
    _guesses(stage, found, len(x))
    right = clf.predict(x).argmax(1) == y.argmax(1)
    stage.holds(np.array_equal(found, right.astype(int)), "a guess differs from 'is classified correctly'")


@case("LabelOnlyGapAttack")
def gap(stage: Stage) -> None:
    from art.attacks.inference.membership_inference import LabelOnlyGapAttack

    x, y, _, _ = _halves()
    _guesses(stage, LabelOnlyGapAttack(stage.clf()).infer(x, y), len(x))


@case("LabelOnlyDecisionBoundary", limit=150)
def label_only(stage: Stage) -> None:
    clf = stage.clf()
    x, y, test, labels = _halves(4)
    attack = members.LabelOnlyDecisionBoundary(clf)
    small = {"max_iter": 1, "max_eval": 20, "init_eval": 5, "init_size": 20, "verbose": False}
    attack.calibrate_distance_threshold(x, y, test, labels, **small)
    _guesses(stage, attack.infer(x, y, **small), len(x))


@case("LabelOnlyDecisionBoundary", name="unsupervised", limit=150)
def label_only_unsupervised(stage: Stage) -> None:
    attack = members.LabelOnlyDecisionBoundary(stage.clf())
    attack.calibrate_distance_threshold_unsupervised(
        top_t=50, num_samples=4, max_queries=1, max_iter=2, max_eval=50, init_eval=5, init_size=50, verbose=False
    )
    stage.holds(bool(np.isfinite(attack.distance_threshold_tau)), "threshold not finite")


@case("ShadowModels")
def shadow_models(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.training(120)
    shadows = members.ShadowModels(clf, num_shadow_models=2, random_state=0)
    inside, outside = shadows.generate_shadow_dataset(x, y, 0.5)
    stage.holds(all(bool(np.isfinite(part[2]).all()) for part in (inside, outside)), "predictions not finite")
    weights = [[p.detach() for p in model.model.parameters()] for model in shadows.get_shadow_models()]
    same = all(bool((a == b).all()) for a, b in zip(*weights, strict=True) if a.dim() > 1)
    stage.holds(not same, "all shadow models have the same weights")


@case("MIFace")
def mi_face(stage: Stage) -> None:
    clf = stage.clf()
    y = np.arange(10)
    start = np.full((10, 1, 8, 8), 0.5, dtype=np.float32)
    found = MIFace(clf, max_iter=40, threshold=0.9999, learning_rate=0.5, batch_size=10, verbose=False).infer(
        start, onehot(y)
    )
    stage.images(found.astype(np.float32), start)
    before, after = (stage.losses(clf, v, y).mean() for v in (start, found))
    stage.holds(after < before, f"the loss of the wanted classes went from {before:.4g} to {after:.4g}")


def _features(x: Array) -> tuple[Array, Array]:
    return np.delete(x, 0, axis=1), x[:, :1]


for model in ("nn", "rf"):

    @case("AttributeInferenceBlackBox", name=model)
    def attribute(stage: Stage, model: str = model) -> None:
        x, _ = stage.training(96, "table")
        clf = stage.clf(kind="table")
        attack = attributes.AttributeInferenceBlackBox(
            clf, attack_model_type=model, attack_feature=0, nn_model_epochs=3, nn_model_batch_size=16
        )
        attack.fit(x)
        pred = clf.predict(x).argmax(1)[:, None]
        rest, _ = _features(x)
        found = attack.infer(rest, pred=pred, values=[0.0, 1.0])
        stage.holds(found.shape == (96,) and set(np.unique(found)) <= {0.0, 1.0}, f"guesses {found.shape}")


@case("AttributeInferenceMembership")
def attribute_by_membership(stage: Stage) -> None:
    clf = stage.clf(kind="table")
    x, y = stage.training(64, "table")
    _, _, test, labels = data("table")
    inner = members.MembershipInferenceBlackBox(clf, attack_model_type="rf")
    inner.fit(x, y, test[:64], onehot(labels[:64]))
    attack = attributes.AttributeInferenceMembership(clf, inner, attack_feature=0)
    rest, _ = _features(x)
    found = attack.infer(rest, y, values=[0.0, 1.0]).ravel()
    stage.holds(found.shape == (64,) and set(np.unique(found)) <= {0.0, 1.0}, f"guesses {found.shape}")


@case("AttributeInferenceBaseline")
def attribute_baseline(stage: Stage) -> None:
    x, _ = stage.training(96, "table")
    attack = attributes.AttributeInferenceBaseline(attack_model=None, attack_model_type="nn", attack_feature=0)
    attack.fit(x)
    found = attack.infer(_features(x)[0], values=[0.0, 1.0])
    stage.holds(len(found) == 96, "one guess per sample")


@case("AttributeInferenceBaselineTrueLabel")
def attribute_true_label(stage: Stage) -> None:
    x, y = stage.training(96, "table")
    attack = attributes.AttributeInferenceBaselineTrueLabel(attack_model_type="rf", attack_feature=0)
    attack.fit(x, y)
    found = attack.infer(_features(x)[0], y, values=[0.0, 1.0])
    stage.holds(len(found) == 96, "one guess per sample")
