"""Gradient attacks of ART that return less than they could, without a word."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import (
    AutoConjugateGradient,
    AutoProjectedGradientDescent,
    FastGradientMethod,
    FrameSaliencyAttack,
    ProjectedGradientDescent,
    RescalingAutoConjugateGradient,
    ShadowAttack,
)
from torch import nn

from art_snn.attacks import SNNAutoPGD

EPS = 0.1


def reached(weights, x, found):
    """Share of the best decrease of the margin that an L-infinity perturbation of EPS can have."""
    return float(-((found - x).reshape(len(x), -1) @ weights).mean() / (EPS * np.abs(weights).sum()))


@pytest.mark.parametrize("cls", [AutoConjugateGradient, RescalingAutoConjugateGradient])
def test_conjugate_gradients_step_without_sign(cls, plane, onehot):
    """On a linear network sign steps are optimal; these steps follow the large weight, and miss what is in reach."""
    weights, clf = plane
    x = np.full((4, 1, 8, 8), 0.9 * EPS, dtype=np.float32)
    y = np.zeros(4, dtype=int)
    options = {"eps": EPS, "eps_step": EPS / 4, "max_iter": 20, "verbose": False}
    np.random.seed(0)
    conjugate = cls(clf, nb_random_init=1, loss_type="cross_entropy", **options).generate(x, onehot(y, 2))
    signed = ProjectedGradientDescent(clf, **options).generate(x, y)
    native = SNNAutoPGD(clf, norm=np.inf, eps=EPS, max_iter=20, verbose=False).generate(x, y)
    assert reached(weights, x, conjugate) < 0.8
    assert reached(weights, x, signed) > 0.999
    assert [set(clf.predict(v).argmax(1)) for v in (conjugate, signed, native)] == [{0}, {1}, {1}]


class Island(nn.Module):
    """Wrong only in a thin slab; the loss rises beyond it."""

    def forward(self, x):
        t = x.flatten(1).mean(1)
        wrong = torch.relu(1 - (t - 0.55).abs() / 0.02) * 4
        return torch.stack([2 - 3 * (t - 0.5), wrong], 1)


def test_auto_pgd_forgets_a_success_on_the_way(plain):
    """ART tests the last iterate of a restart for success; a point that was wrong on the way is lost."""
    clf = plain(Island(), (1, 8, 8), 2)
    x = np.full((8, 1, 8, 8), 0.5, dtype=np.float32)
    slab = np.full((1, 1, 8, 8), 0.55, dtype=np.float32)
    assert clf.predict(slab).argmax(1) == 1
    seen = []
    inside = clf.model.forward
    clf.model.forward = lambda v: (seen.append(v.detach().numpy().copy()), inside(v))[1]
    np.random.seed(0)
    attack = AutoProjectedGradientDescent(clf, eps=0.2, eps_step=0.1, max_iter=20, nb_random_init=1, verbose=False)
    found = attack.generate(x, np.eye(2)[np.zeros(8, dtype=int)])
    clf.model.forward = inside
    visited = np.concatenate([v for v in seen if v.shape[1:] == (1, 8, 8)])
    assert (clf.predict(visited).argmax(1) == 1).any()
    assert (clf.predict(found).argmax(1) == 0).any()


def test_a_failed_restart_returns_noise(plane):
    """A sample that nothing breaks comes back neither as it was nor as the best point found, but moved to the rim."""
    weights, clf = plane
    x = np.full((4, 1, 8, 8), 0.9, dtype=np.float32)
    y = np.zeros(4, dtype=int)
    np.random.seed(0)
    attack = AutoProjectedGradientDescent(
        clf, eps=EPS, eps_step=EPS / 4, max_iter=20, nb_random_init=1, loss_type="cross_entropy", verbose=False
    )
    found = attack.generate(x, np.eye(2)[y])
    assert (clf.predict(found).argmax(1) == y).all()
    assert np.abs(found - x).max() > 0.9 * EPS
    assert abs(reached(weights, x, found)) < 0.5


class Tied(nn.Module):
    """Counts of spikes: the first and the third logit are equal."""

    def forward(self, x):
        t = x.flatten(1).mean(1)
        return torch.stack([t, t, t, 0 * t], 1)


def test_the_ratio_of_logits_is_not_a_number_on_ties(plain, onehot):
    clf = plain(Tied(), (1, 8, 8), 4)
    attack = AutoProjectedGradientDescent(clf, eps=EPS, loss_type="difference_logits_ratio", verbose=False)
    x = np.full((2, 1, 8, 8), 0.5, dtype=np.float32)
    gradient = attack.estimator.loss_gradient(x, onehot(np.array([0, 1]), 4))
    assert np.isnan(gradient).all()


def test_a_label_makes_the_shadow_attack_targeted(spiking, onehot, far_out):
    """Told the true label, the untargeted attack walks towards it."""
    clf, x, y = spiking
    attack = ShadowAttack(clf, targeted=False, nb_steps=1, batch_size=2, verbose=False)
    attack.generate(x[:1], onehot(y[:1]))
    assert attack.targeted


def test_frame_saliency_leaves_the_budget_with_several_samples(plain, onehot):
    """Each sample's frames are opened for all samples, and a frame is attacked once more on top of the first time."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 10))
    clf = plain(net, (4, 8, 8), 10)
    x = np.random.default_rng(0).random((8, 4, 8, 8), dtype=np.float32)
    y = onehot(clf.predict(x).argmax(1))
    reach = {}
    for number in (1, 8):
        inner = FastGradientMethod(clf, eps=0.002)
        attack = FrameSaliencyAttack(clf, inner, method="iterative_saliency_refresh", batch_size=8, verbose=False)
        reach[number] = np.abs(attack.generate(x[:number], y[:number]) - x[:number]).max()
    assert reach[1] <= 0.002 + 1e-6
    assert reach[8] > 0.0035
