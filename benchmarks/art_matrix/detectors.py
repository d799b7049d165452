"""Detectors of evasion and of poison."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod
from art.defences.detector import evasion, poison
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage, onehot
from art_matrix.victims import HIDDEN, Array


def _attacked(stage: Stage, clf: Any) -> tuple[Array, Array]:
    x, y = stage.samples(24)
    return x, FastGradientMethod(clf, eps=EPS).generate(x, y=onehot(y))


def _verdict(stage: Stage, found: Any, number: int) -> Array:
    report, flags = found
    flags = np.asarray(flags).ravel()
    stage.holds(flags.shape == (number,) and set(np.unique(flags).tolist()) <= {0, 1}, f"verdicts {flags.shape}")
    for value in report.values() if isinstance(report, dict) else [report]:
        stage.holds(bool(np.isfinite(np.asarray(value, dtype=float)).all()), "report not finite")
    return flags


def _small(features: tuple[int, ...]) -> PyTorchClassifier:
    """A detector network of our own, two classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(features)), 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), features, 2, optimizer, device_type="cpu")


def _learned(stage: Stage, detector: Any, clean: Array, found: Array) -> None:
    both = np.concatenate([clean, found])
    truth = np.repeat([0, 1], len(clean))
    detector.fit(both, np.eye(2, dtype=np.float32)[truth], batch_size=16, nb_epochs=30)
    flags = _verdict(stage, detector.detect(both), len(both))
    share = float((flags == truth).mean())
    stage.notes.append(f"{share:.0%} right")
    stage.holds(share > 0.7, f"right in {share:.0%} of what it was trained on")


@case("BinaryInputDetector")
def binary_input(stage: Stage) -> None:
    _learned(stage, evasion.BinaryInputDetector(_small((1, 8, 8))), *_attacked(stage, stage.clf()))


@case("BinaryActivationDetector")
def binary_activation(stage: Stage) -> None:
    clf = stage.clf()
    detector = evasion.BinaryActivationDetector(clf, _small((HIDDEN,)), stage.layer)
    _learned(stage, detector, *_attacked(stage, clf))


@case("SubsetScanningDetector")
def subset_scanning(stage: Stage) -> None:
    clf = stage.clf()
    clean, found = _attacked(stage, clf)
    background, _ = stage.training(64)
    detector = evasion.SubsetScanningDetector(clf, background, stage.layer, verbose=False)
    _, _, power = detector.scan(clean, found)
    stage.holds(bool(np.isfinite(power)), "detection power not finite")
    _verdict(stage, detector.detect(found[:8]), 8)


class _SelfSupervised(nn.Module):
    """Backbone, projector and classifier, as the detector wants them: the network itself is the classifier."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.backbone, self.classifier = nn.Identity(), inner
        self.projector = nn.Sequential(nn.Flatten(), nn.Linear(64, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.classifier(self.backbone(x))
        return z


@case("BeyondDetectorPyTorch")
def beyond(stage: Stage) -> None:
    clf = stage.clf()
    helper = PyTorchClassifier(
        _SelfSupervised(stage.module()), nn.CrossEntropyLoss(), (1, 8, 8), 10, device_type="cpu", clip_values=(0.0, 1.0)
    )
    detector = evasion.BeyondDetectorPyTorch(
        clf, helper, lambda v: (v + 0.05 * torch.rand_like(v)).clamp(0, 1), aug_num=6, var_K=3
    )
    clean, found = _attacked(stage, clf)
    detector.fit(clean, None)
    _verdict(stage, detector.detect(found), len(found))


def _poisoned(stage: Stage, number: int = 120) -> tuple[Array, Array, Array]:
    """Training data with a fifth of class 1 relabeled as class 0, and who is clean."""
    x, y = stage.training(number)
    labels = y.argmax(1)
    moved = np.flatnonzero(labels == 1)[: number // 20]
    labels[moved] = 0
    clean = np.ones(number)
    clean[moved] = 0
    return x, onehot(labels), clean


@case("ActivationDefence")
def activation_defence(stage: Stage) -> None:
    clf = stage.clf()
    x, y, clean = _poisoned(stage)
    defence = poison.ActivationDefence(clf, x, y)
    _, verdict = defence.detect_poison(nb_clusters=2, nb_dims=5, reduce="PCA")
    stage.holds(len(verdict) == len(x) and set(verdict) <= {0, 1}, "one verdict per sample")
    stage.holds(
        "class_0" in defence.evaluate_defence(clean).lower() or len(defence.evaluate_defence(clean)) > 0, "no report"
    )
    found = {int(v) for v in np.unique(verdict)}
    stage.holds(found <= {0, 1}, f"verdicts {found}")


@case("ActivationDefence", name="exclusionary reclassification", limit=150)
def activation_defence_exclusionary(stage: Stage) -> None:
    clf = stage.clf()
    x, y, _ = _poisoned(stage, 200)
    defence = poison.ActivationDefence(clf, x, y, ex_re_threshold=1)
    _, verdict = defence.detect_poison(nb_clusters=2, nb_dims=2, reduce="PCA", cluster_analysis="smaller")
    stage.holds(len(verdict) == len(x), "one verdict per sample")


@case("SpectralSignatureDefense")
def spectral(stage: Stage) -> None:
    clf = stage.clf()
    x, y, clean = _poisoned(stage)
    defence = poison.SpectralSignatureDefense(clf, x, y, expected_pp_poison=0.1, batch_size=32)
    _, verdict = defence.detect_poison()
    stage.holds(len(verdict) == len(x) and set(verdict) <= {0, 1}, "one verdict per sample")
    stage.holds(len(defence.evaluate_defence(clean)) > 0, "no report")


@case("RONIDefense", limit=150)
def roni(stage: Stage) -> None:
    clf = stage.clf(kind="table")
    x, y = stage.training(20, "table")
    val, labels = stage.samples(16, "table")
    defence = poison.RONIDefense(clf, x, y, val, onehot(labels), perf_func="accuracy", pp_cal=0.2, pp_quiz=0.2)
    _, verdict = defence.detect_poison()
    stage.holds(len(verdict) == len(x), "one verdict per sample")


@case("ProvenanceDefense", limit=150)
def provenance(stage: Stage) -> None:
    clf = stage.clf(kind="table")
    x, y = stage.training(60, "table")
    val, labels = stage.samples(20, "table")
    devices = np.eye(2)[np.arange(60) % 2]
    defence = poison.ProvenanceDefense(clf, x, y, devices, x_val=val, y_val=onehot(labels), eps=0.1)
    _, verdict = defence.detect_poison()
    stage.holds(len(verdict) == len(x), "one verdict per sample")
