"""Metrics, evaluations, certification, and the classifiers that ART puts around classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art import metrics
from art.attacks.evasion import FastGradientMethod
from art.estimators.certification import randomized_smoothing as smoothing
from art.estimators.classification import BlackBoxClassifier, BlackBoxClassifierNeuralNetwork, EnsembleClassifier
from art.estimators.classification.deep_partition_ensemble import DeepPartitionEnsemble
from art.estimators.classification.detector_classifier import DetectorClassifier
from art.estimators.classification.query_efficient_bb import QueryEfficientGradientEstimationClassifier
from art.evaluations.great_score.great_score import GreatScorePyTorch
from art.evaluations.security_curve.security_curve import SecurityCurve
from art.metrics.gradient_check import loss_gradient_check
from art.metrics.privacy import PDTP, SHAPr
from art.metrics.privacy.worst_case_mia_score import get_roc_for_fpr, get_roc_for_multi_fprs
from torch import nn

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage, onehot


def _within(stage: Stage, value: Any, low: float, high: float) -> None:
    value = np.asarray(value, dtype=float)
    fits = bool(np.isfinite(value).all() and (value >= low).all() and (value <= high).all())
    stage.notes.append(f"value {float(np.mean(value)):.3g}")
    stage.holds(fits, f"{value.ravel()[:3]} not in [{low:g}, {high:g}]")


@case("empirical_robustness")
def empirical_robustness(stage: Stage) -> None:
    clf = stage.clf()
    _within(
        stage, metrics.empirical_robustness(clf, stage.samples(16)[0], "fgsm", {"eps_step": 0.05, "eps": 1.0}), 0, 10
    )


@case("adversarial_accuracy", "get_crafter")
def adversarial_accuracy(stage: Stage) -> None:
    x, y = stage.samples(16)
    clf = stage.clf()
    crafter = FastGradientMethod(clf, eps=EPS)
    _within(stage, metrics.adversarial_accuracy(clf, x, onehot(y), attack_crafter=crafter), 0, 0.99)
    _within(
        stage, metrics.adversarial_accuracy(clf, x, onehot(y), attack_name="fgsm", attack_params={"eps": EPS}), 0, 0.99
    )


for preset in ("hsj", "auto"):

    @case("adversarial_accuracy", name=f"preset {preset}")
    def preset_accuracy(stage: Stage, preset: str = preset) -> None:
        x, y = stage.samples(2)
        params = {"max_iter": 1, "max_eval": 20, "init_eval": 5} if preset == "hsj" else {}
        _within(
            stage,
            metrics.adversarial_accuracy(stage.clf(), x, onehot(y), attack_name=preset, attack_params=params),
            0,
            1,
        )


@case("loss_sensitivity")
def loss_sensitivity(stage: Stage) -> None:
    x, y = stage.samples(16)
    _within(stage, metrics.loss_sensitivity(stage.clf(), x, onehot(y)), 1e-9, 1e6)


@case("loss_gradient_check")
def gradient_check(stage: Stage) -> None:
    x, y = stage.samples(8)
    found = loss_gradient_check(stage.clf(), x, onehot(y), verbose=False)
    stage.holds(not np.any(np.asarray(found)), "a gradient is NaN, infinite or all zero")


@case("wasserstein_distance")
def wasserstein(stage: Stage) -> None:
    clf = stage.clf()
    x, _ = stage.samples(8)
    _within(stage, metrics.wasserstein_distance(clf.predict(x), clf.predict(x[::-1].copy())), 0, 1e6)


@case("clever_u", "clever")
def clever_u(stage: Stage) -> None:
    clf = stage.clf()
    _within(
        stage, metrics.clever_u(clf, stage.samples(1)[0][0], 5, 5, 1.0, norm=2, pool_factor=3, verbose=False), 0, 1.0
    )


@case("clever_t")
def clever_t(stage: Stage) -> None:
    x, y = stage.samples(1)
    target = int((y[0] + 1) % 10)
    _within(stage, metrics.clever_t(stage.clf(), x[0], target, 5, 5, 1.0, norm=2, pool_factor=3), 0, 1.0)


@case("PDTP", limit=150)
def pdtp(stage: Stage) -> None:
    x, y = stage.training(40)
    target = stage.clf()
    leakage = PDTP(target, stage.clf(), x, y, indexes=np.arange(3), num_iter=1)[0]
    _within(stage, leakage, 0, 1e6)


@case("SHAPr")
def shapr(stage: Stage) -> None:
    x, y = stage.training(60)
    test, labels = stage.samples(24)
    _within(stage, SHAPr(stage.clf(), x, y, test, onehot(labels)), -10, 10)


@case("get_roc_for_fpr", "get_roc_for_multi_fprs")
def worst_case_membership(stage: Stage) -> None:
    clf = stage.clf()
    x, y = stage.training(40)
    test, labels = stage.samples(40)
    losses = np.concatenate([stage.losses(clf, x, y.argmax(1)), stage.losses(clf, test, labels)])
    score = (losses.max() - losses) / np.ptp(losses)
    member = np.r_[np.ones(40), np.zeros(len(test))].astype(int)
    found = get_roc_for_fpr(attack_proba=score, attack_true=member, targeted_fpr=0.2)
    _within(stage, [float(v) for v in found[0]], 0, 1)
    several = get_roc_for_multi_fprs(attack_proba=score, attack_true=member, targeted_fprs=np.array([0.1, 0.5]))
    stage.holds(len(several[0]) == 2, "two rates were asked for")


@case("SecurityCurve", limit=150)
def security_curve(stage: Stage) -> None:
    x, y = stage.samples(8)
    curve = SecurityCurve(eps=[0.02, EPS])
    _, accuracies, clean = curve.evaluate(stage.clf(), x, onehot(y), max_iter=5, verbose=False)
    stage.holds(clean == 1.0 and accuracies[0] >= accuracies[-1], f"accuracies {accuracies}, clean {clean}")
    stage.holds(not curve.detected_obfuscating_gradients, "obfuscated gradients are reported")


@case("GreatScorePyTorch")
def great_score(stage: Stage) -> None:
    x, y = stage.samples(16)
    score, accuracy = GreatScorePyTorch(stage.clf(probabilities=True)).evaluate(x, onehot(y))
    _within(stage, score, 0, 1)
    stage.holds(accuracy == 1.0, f"accuracy {accuracy} on samples that are right")


SMOOTH: dict[str, Any] = {"sample_size": 16, "scale": 0.1, "alpha": 0.05}


def _settings(net: nn.Module) -> dict[str, Any]:
    return {
        "model": net, "loss": nn.CrossEntropyLoss(), "input_shape": (1, 8, 8), "nb_classes": 10,
        "optimizer": torch.optim.Adam(net.parameters(), lr=1e-3), "clip_values": (0.0, 1.0), "device_type": "cpu",
    }  # fmt: skip


TRAINED: dict[str, dict[str, Any]] = {
    "PyTorchRandomizedSmoothing": {}, "PyTorchMACER": {"gaussian_samples": 4, "lmbda": 2.0},
    "PyTorchSmoothAdv": {"epsilon": 0.3, "num_noise_vec": 1, "num_steps": 2, "warmup": 1},
    "PyTorchSmoothMix": {"num_noise_vec": 2, "num_steps": 2, "warmup": 1, "eta": 2.0},
}  # fmt: skip

for title, options in TRAINED.items():

    @case(title, limit=150)
    def smoothed(stage: Stage, title: str = title, options: dict[str, Any] = options) -> None:
        clf = getattr(smoothing, title)(**_settings(stage.module()), **SMOOTH, **options)
        x, y = stage.training(64)
        clf.fit(x, y, batch_size=32, nb_epochs=2)
        _certified(stage, clf)


def _certified(stage: Stage, clf: Any) -> None:
    x, y = stage.samples(8)
    answer, radius = clf.certify(x, n=32)
    stage.holds(
        radius.shape == (8,) and bool(np.isfinite(radius).all()) and bool((radius >= 0).all()), f"radii {radius}"
    )
    right = float((answer == y).mean())
    stage.notes.append(f"{right:.0%} right, mean radius {radius.mean():.2f}")
    stage.holds(right >= 0.5 and float(radius.max()) > 0, "hardly anything is certified")


@case("NumpyRandomizedSmoothing")
def numpy_smoothing(stage: Stage) -> None:
    from art.estimators.certification.randomized_smoothing.numpy import NumpyRandomizedSmoothing

    _certified(stage, NumpyRandomizedSmoothing(stage.clf(), **SMOOTH))


@case("PyTorchDeRandomizedSmoothing", limit=150)
def derandomized(stage: Stage) -> None:
    from art.estimators.certification.derandomized_smoothing import PyTorchDeRandomizedSmoothing

    from art_snn.coding import Direct
    from art_snn.networks import mlp

    net: nn.Module = mlp((2, 8, 8), 10, hidden=(32,), encoder=Direct(T=4))
    if not stage.spiking:
        net = nn.Sequential(nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10))
    clf = PyTorchDeRandomizedSmoothing(
        **_settings(net), ablation_size=4, algorithm="levine2020", ablation_type="column", threshold=0.1, logits=True,
        verbose=False,
    )  # fmt: skip
    clf.optimizer.param_groups[0]["lr"] = 0.01
    x, y = stage.training(300)
    clf.fit(x, y, batch_size=32, nb_epochs=4)
    test, labels = stage.samples(16)
    counts = clf.predict(test)
    _, certified, _ = clf.ablator.certify(counts, 1, label=labels)
    stage.holds(counts.shape == (16, 10) and bool(np.isfinite(counts).all()), f"counts {counts.shape}")
    stage.notes.append(f"{float(np.mean(np.asarray(certified, dtype=float))):.0%} certified")
    stage.holds(float((counts.argmax(1) == labels).mean()) > 0.3, "hardly anything is right")


@case("EnsembleClassifier")
def ensemble(stage: Stage) -> None:
    clf = EnsembleClassifier([stage.clf(), stage.clf()], channels_first=True, clip_values=(0.0, 1.0))
    stage.still_works(clf)
    stage.evade(FastGradientMethod(clf, eps=EPS), clf, eps=EPS)


@case("DeepPartitionEnsemble", limit=150)
def partition(stage: Stage) -> None:
    clf = DeepPartitionEnsemble(stage.clf(), ensemble_size=2, channels_first=True, clip_values=(0.0, 1.0))
    x, y = stage.training(300)
    clf.fit(x, y, batch_size=32, nb_epochs=3)
    stage.holds(bool(np.isfinite(clf.predict(x[:8])).all()), "predictions not finite")


@case("DetectorClassifier")
def detector_classifier(stage: Stage) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    detector_net = type("Detector", (nn.Module,), {"forward": lambda self, x: self.inner(x)})()
    detector_net.inner = net
    from art.estimators.classification import PyTorchClassifier

    detector = PyTorchClassifier(
        detector_net, nn.CrossEntropyLoss(), (1, 8, 8), 2, device_type="cpu", clip_values=(0.0, 1.0)
    )
    clf = DetectorClassifier(stage.clf(), detector)
    x, _ = stage.samples(8)
    answers = clf.predict(x)
    stage.holds(answers.shape == (8, 11) and bool(np.isfinite(answers).all()), f"predictions {answers.shape}")
    gradients = clf.class_gradient(x)
    stage.holds(
        gradients.shape == (8, 11, 1, 8, 8) and bool(np.isfinite(gradients).all()), f"gradients {gradients.shape}"
    )


@case("QueryEfficientGradientEstimationClassifier")
def query_efficient(stage: Stage) -> None:
    inner = stage.clf(probabilities=True)
    clf = QueryEfficientGradientEstimationClassifier(inner, num_basis=40, sigma=0.2)
    stage.evade(FastGradientMethod(clf, eps=EPS), clf, eps=EPS)


for cls in (BlackBoxClassifier, BlackBoxClassifierNeuralNetwork):

    @case(cls.__name__)
    def black_box(stage: Stage, cls: type = cls) -> None:
        from art.attacks.evasion import HopSkipJump

        inner = stage.clf()
        clf = cls(inner.predict, (1, 8, 8), 10, clip_values=(0.0, 1.0))
        attack = HopSkipJump(clf, max_iter=2, max_eval=50, init_eval=10, init_size=50, verbose=False)
        stage.evade(attack, clf, 2)


@case("SummaryWriterDefault")
def summary_writer(stage: Stage) -> None:
    import tempfile

    from art.attacks.evasion import ProjectedGradientDescent

    with tempfile.TemporaryDirectory() as folder:
        clf = stage.clf()
        attack = ProjectedGradientDescent(
            clf, eps=EPS, eps_step=0.1, max_iter=3, summary_writer=folder, verbose=False, batch_size=8
        )
        stage.evade(attack, clf, eps=EPS)
