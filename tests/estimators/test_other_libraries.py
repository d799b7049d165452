"""The same network under the PGD of three libraries, and the trap of a cut encoder gradient."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from scipy.stats import binomtest

from art_snn.evaluation.seeding import seeded_globals

EPS, STEP, STEPS = 0.1, 0.025, 20
CODES = ["direct", "latency", "poisson"]


def art_pgd(clf, x, y, starts=0):
    attack = ProjectedGradientDescent(
        clf, eps=EPS, eps_step=STEP, max_iter=STEPS, num_random_init=starts, batch_size=200, verbose=False
    )  # fmt: skip
    return attack.generate(x, y)


def torchattacks_pgd(clf, x, y, starts=0):
    torchattacks = pytest.importorskip("torchattacks")
    attack = torchattacks.PGD(clf.model.eval(), eps=EPS, alpha=STEP, steps=STEPS, random_start=bool(starts))
    return attack(torch.from_numpy(x), torch.from_numpy(y)).numpy()


def foolbox_pgd(clf, x, y, starts=0):
    foolbox = pytest.importorskip("foolbox")
    model = foolbox.PyTorchModel(clf.model.eval(), bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=bool(starts))
    _, x_adv, _ = attack(model, torch.from_numpy(x), torch.from_numpy(y), epsilons=EPS)
    return x_adv.numpy()


COMPARISONS = 14
OTHERS = {"torchattacks": torchattacks_pgd, "foolbox": foolbox_pgd}


def survivors(clf, x_adv, x, y):
    """Which samples are still classified right, after the budget has been checked."""
    assert np.abs(x_adv - x).max() <= EPS + 1e-6
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    clf.model.reseed()
    return clf.predict(x_adv).argmax(1) == y


def within_noise(a, b):
    """Exact McNemar test at 5 % over all comparisons of this file (Bonferroni)."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return True
    return binomtest(only_a, only_a + only_b).pvalue > 0.05 / COMPARISONS


def attacked(clf, attack, digits, starts=0):
    x, y = digits[2], digits[3]
    clf.model.reseed()
    with seeded_globals(0):
        x_adv = attack(clf, x, y, starts)
    return survivors(clf, x_adv, x, y)


@pytest.mark.parametrize("starts", [0, 1])
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("library", sorted(OTHERS))
def test_robust_accuracy_under_pgd_of_another_library(library, code, starts, trained, digits):
    clf = trained(code)
    ours = attacked(clf, art_pgd, digits, starts)
    theirs = attacked(clf, OTHERS[library], digits, starts)
    clean = clf.predict(digits[2]).argmax(1) == digits[3]
    assert within_noise(ours, theirs)
    assert ours.mean() < clean.mean() - 0.1
    if code != "poisson" and starts == 0:
        assert (ours == theirs).mean() > 0.97


@pytest.mark.parametrize("code", ["latency", "poisson"])
def test_a_cut_encoder_gradient_looks_like_robustness(code, trained, digits):
    clf = trained(code)
    honest = attacked(clf, art_pgd, digits).mean()
    clf.model.encoder.backward = "none"
    cut = attacked(clf, art_pgd, digits).mean()
    assert cut - honest >= 0.30
    assert clf.model.encoder.obfuscates


@pytest.mark.parametrize(("code", "gap"), [("latency", 0.30), ("poisson", 0.0)])
def test_a_masked_encoder_gradient_looks_like_robustness_too(code, gap, trained, digits):
    """A masked code cannot light a black pixel. Poisson spikes come and go by chance, so there the gap is smaller.

    No random start here: it would light the black pixels itself and hide part of the trap.
    """
    clf = trained(code)
    honest = attacked(clf, art_pgd, digits)
    clf.model.encoder.backward = "masked"
    masked = attacked(clf, art_pgd, digits)
    assert masked.mean() - honest.mean() >= gap
    assert not within_noise(masked, honest)
