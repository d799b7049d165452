"""Trainers and transformers."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.defences import trainer as t
from art.defences.trainer.adversarial_trainer_awp_pytorch import AdversarialTrainerAWPPyTorch
from art.defences.trainer.adversarial_trainer_fbf_pytorch import AdversarialTrainerFBFPyTorch
from art.defences.trainer.adversarial_trainer_oaat_pytorch import AdversarialTrainerOAATPyTorch
from art.defences.trainer.adversarial_trainer_trades_pytorch import AdversarialTrainerTRADESPyTorch
from art.defences.transformer.evasion import DefensiveDistillation
from art.defences.transformer.poisoning import STRIP

from art_matrix.registry import case
from art_matrix.stage import EPS, Stage


def _pgd(clf: Any) -> Any:
    return ProjectedGradientDescent(clf, eps=EPS / 2, eps_step=EPS / 4, max_iter=2, verbose=False)


def _trained(stage: Stage, clf: Any, trainer: Any, accuracy: float = 0.5, **fit: Any) -> None:
    before = [p.detach().clone() for p in clf.model.parameters()]
    x, y = stage.training(96)
    trainer.fit(x, y, **fit)
    moved = any(not torch.equal(a, b) for a, b in zip(before, clf.model.parameters(), strict=True))
    stage.holds(moved, "no weight has changed")
    stage.still_works(clf, accuracy)


@case("AdversarialTrainer")
def adversarial(stage: Stage) -> None:
    clf = stage.clf()
    _trained(stage, clf, t.AdversarialTrainer(clf, _pgd(clf), ratio=0.5), batch_size=32, nb_epochs=1)


@case("AdversarialTrainerMadryPGD")
def madry(stage: Stage) -> None:
    clf = stage.clf()
    _trained(
        stage, clf, t.AdversarialTrainerMadryPGD(clf, nb_epochs=1, batch_size=32, eps=0.1, eps_step=0.05, max_iter=2)
    )


@case("AdversarialTrainerFBFPyTorch")
def fbf(stage: Stage) -> None:
    clf = stage.clf()
    _trained(stage, clf, AdversarialTrainerFBFPyTorch(clf, eps=0.1), 0.0, batch_size=32, nb_epochs=1)


@case("AdversarialTrainerTRADESPyTorch")
def trades(stage: Stage) -> None:
    clf = stage.clf()
    _trained(stage, clf, AdversarialTrainerTRADESPyTorch(clf, _pgd(clf), beta=2.0), batch_size=32, nb_epochs=1)


for mode in ("PGD", "TRADES"):

    @case("AdversarialTrainerAWPPyTorch", name=mode)
    def awp(stage: Stage, mode: str = mode) -> None:
        clf, proxy = stage.clf(), stage.clf()
        trainer = AdversarialTrainerAWPPyTorch(clf, proxy, _pgd(clf), mode=mode, gamma=0.01, beta=2.0, warmup=0)
        _trained(stage, clf, trainer, batch_size=32, nb_epochs=1)


@case("AdversarialTrainerOAATPyTorch")
def oaat(stage: Stage) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clf, proxy, lpips, average = (stage.clf() for _ in range(4))
        params = {
            "weight_decay": 0.0, "lr": 0.01, "momentum": 0.0, "norm": np.inf, "i_epsilon": 0.02, "epsilon": 0.1,
            "alpha": 1.0, "beta": 1.5, "awp_gamma": 0.005, "awp_warmup": 0, "lr_schedule": "cosine", "beta_final": 3.0,
            "mixup_alpha": 0.2, "mixup_epsilon": 0.1, "lpips_weight": 1.0, "list_swa_tau": [0.9], "oaat_warmup": 0,
            "alternate_iter_eps": 0.05,
            "swa_save_epoch": 0, "list_swa_epoch": [0], "max_iter": 2, "models_path": folder, "load_swa_model_tau": 0.9,
            "layer_names_activation": [stage.layer],
        }  # fmt: skip
        trainer = AdversarialTrainerOAATPyTorch(clf, proxy, lpips, [average], _pgd(clf), params)
        _trained(stage, clf, trainer, batch_size=32, nb_epochs=4)


@case("DPInstaHideTrainer")
def instahide(stage: Stage) -> None:
    from art.defences.preprocessor import Mixup

    clf = stage.clf()
    trainer = t.DPInstaHideTrainer(clf, Mixup(num_classes=10), noise="laplacian", scale=0.01, clip_values=(0.0, 1.0))
    _trained(stage, clf, trainer, batch_size=32, nb_epochs=1)


@case("DefensiveDistillation")
def distillation(stage: Stage) -> None:
    teacher, student = stage.clf(probabilities=True), stage.clf(probabilities=True)
    x, _ = stage.training(96)
    found = DefensiveDistillation(teacher, batch_size=32, nb_epochs=2)(x, student)
    stage.still_works(found)


@case("STRIP")
def strip(stage: Stage) -> None:
    clf = stage.clf(probabilities=True)
    x, _ = stage.training(64)
    defence = STRIP(clf)
    guarded = defence(num_samples=4, false_acceptance_rate=0.05)
    guarded.mitigate(x)
    answers = guarded.predict(x[:8])
    stage.holds(answers.shape == (8, 10) and bool(np.isfinite(answers).all()), f"answers {answers.shape}")
