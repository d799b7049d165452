"""ART's own PyTorch trainers, unchanged, on a spiking classifier."""

import copy
import logging

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.defences.trainer import (
    AdversarialTrainer,
    AdversarialTrainerAWPPyTorch,
    AdversarialTrainerFBFPyTorch,
    AdversarialTrainerMadryPGD,
    AdversarialTrainerOAATPyTorch,
    AdversarialTrainerTRADESPyTorch,
)

from art_snn.coding import Poisson
from art_snn.seeding import seeded_globals

OAAT = {
    "list_swa_epoch": [50], "list_swa_tau": [0.995], "swa_save_epoch": 50, "models_path": None, "i_epsilon": 0.05,
    "epsilon": 0.1, "alternate_iter_eps": 1.0, "max_iter": 2, "beta": 3.0, "beta_final": 6.0, "lpips_weight": 1.0,
    "alpha": 1.0, "mixup_alpha": 0.2, "mixup_epsilon": 0.1, "awp_warmup": 1, "awp_gamma": 0.005, "oaat_warmup": 1,
    "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0, "lr_schedule": "cosine", "layer_names": [],
}  # fmt: skip


def pgd(clf):
    return ProjectedGradientDescent(clf, eps=0.1, eps_step=0.05, max_iter=2, num_random_init=1, verbose=False)


def proxy(clf):
    other = copy.deepcopy(clf)
    other.set_params(optimizer=torch.optim.SGD(other.model.parameters(), lr=0.01))
    return other


def oaat(clf):
    average = [copy.deepcopy(clf)]
    return AdversarialTrainerOAATPyTorch(clf, proxy(clf), copy.deepcopy(clf), average, pgd(clf), dict(OAAT))


TRAINERS = {
    "fgsm": lambda clf: AdversarialTrainer(clf, FastGradientMethod(clf, eps=0.1), ratio=0.5),
    "two attacks": lambda clf: AdversarialTrainer(clf, [FastGradientMethod(clf, eps=0.1), pgd(clf)], ratio=1.0),
    "madry": lambda clf: AdversarialTrainerMadryPGD(clf, eps=0.1, eps_step=0.05, max_iter=2),
    "trades": lambda clf: AdversarialTrainerTRADESPyTorch(clf, pgd(clf), beta=6.0),
    "awp": lambda clf: AdversarialTrainerAWPPyTorch(clf, proxy(clf), pgd(clf), "PGD", 0.01, 6.0, 0),
    "awp-trades": lambda clf: AdversarialTrainerAWPPyTorch(clf, proxy(clf), pgd(clf), "TRADES", 0.01, 6.0, 0),
    "fbf": lambda clf: AdversarialTrainerFBFPyTorch(clf, eps=0.1),
    "oaat": oaat,
}


@pytest.fixture(autouse=True)
def quiet():
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def fitted(name, clf, x, y, epochs=1):
    clf.model.reseed(0)
    with seeded_globals(0):
        TRAINERS[name](clf).fit(x, np.eye(10, dtype=np.float32)[y], batch_size=40, nb_epochs=epochs)
    return clf


@pytest.mark.parametrize("code", ["direct", "poisson"])
@pytest.mark.parametrize("name", TRAINERS)
def test_they_train_and_repeat_themselves(name, code, few, classify, same_weights):
    encoder = Poisson(T=4, seed=0) if code == "poisson" else None
    start = classify(encoder=encoder)
    one, two = (fitted(name, classify(encoder=encoder), *few, epochs=2) for _ in range(2))
    assert not same_weights(one, start)
    assert same_weights(one, two)
    assert np.isfinite(one.predict(few[0])).all()
    assert all(not isinstance(m.v, torch.Tensor) for m in one.model.modules() if hasattr(m, "v"))


def test_attacks_run_in_eval_mode_inside_them(few, classify, monkeypatch):
    clf, modes = classify(norm=True), []
    before = type(clf).loss_gradient

    def loss_gradient(self, x, y, **kwargs):
        grad = before(self, x, y, **kwargs)
        modes.append(self.model.training)
        return grad

    monkeypatch.setattr(type(clf), "loss_gradient", loss_gradient)
    AdversarialTrainer(clf, FastGradientMethod(clf, eps=0.1), ratio=0.5).fit(*few, batch_size=40, nb_epochs=1)
    assert modes
    assert not any(modes)


def test_fast_is_better_than_free_trains_batch_norm_in_eval_mode(few, classify):
    """ART's FBF asks for an input gradient, which sets eval mode, and stays there: running statistics never move."""
    clf = fitted("fbf", classify(norm=True), *few)
    norm = next(m for m in clf.model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) == 0
    trained = fitted("madry", classify(norm=True), *few)
    norm = next(m for m in trained.model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) > 0


@pytest.mark.slow
def test_madry_gains_accuracy_under_attack(digits, classify):
    x, y, x_test, y_test = digits
    plain, robust = classify(hidden=64), classify(hidden=64)
    with seeded_globals(0):
        plain.fit(x, y, batch_size=64, nb_epochs=8)
        AdversarialTrainerMadryPGD(robust, eps=0.1, eps_step=0.03, max_iter=5).fit(x, y, batch_size=64, nb_epochs=8)

    def under_attack(clf):
        attack = ProjectedGradientDescent(clf, eps=0.1, eps_step=0.01, max_iter=30, verbose=False)
        return float((clf.predict(attack.generate(x_test, y_test)).argmax(1) == y_test).mean())

    assert under_attack(robust) > under_attack(plain) + 0.1
