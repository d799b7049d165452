"""ART's stronger attacks build their own classifier around ``classifier.model``: it must see the same function."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoAttack, AutoConjugateGradient, AutoProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import surrogate

from art_snn import SNNClassifier
from art_snn.gradients import Surrogate

CODES = ["direct", "latency", "poisson"]
POLICIES = {"own": None, "steered": Surrogate(surrogate.ATan(), sharpness=6.0)}


def brendel_bethge(clf):
    pytest.importorskip("numba")
    from art.attacks.evasion.brendel_bethge import BrendelBethgeAttack

    return BrendelBethgeAttack(clf, norm=np.inf)


def auto_attack(index):
    return lambda clf: AutoAttack(clf, eps=0.1, eps_step=0.02).attacks[index]


ATTACKS = {
    "APGD, cross-entropy": lambda clf: AutoProjectedGradientDescent(clf, loss_type="cross_entropy"),
    "APGD, DLR": lambda clf: AutoProjectedGradientDescent(clf, loss_type="difference_logits_ratio"),
    "ACG, cross-entropy": lambda clf: AutoConjugateGradient(clf, loss_type="cross_entropy"),
    "ACG, DLR": lambda clf: AutoConjugateGradient(clf, loss_type="difference_logits_ratio"),
    "Brendel-Bethge": brendel_bethge,
    "AutoAttack's APGD, cross-entropy": auto_attack(0),
    "AutoAttack's APGD, DLR": auto_attack(1),
}
KEEPS = {
    "APGD, own loss": lambda clf: AutoProjectedGradientDescent(clf, loss_type=None),
    "ACG, own loss": lambda clf: AutoConjugateGradient(clf, loss_type=None),
    "AutoAttack's DeepFool": auto_attack(2),
    "AutoAttack's Square": auto_attack(3),
}


@pytest.fixture
def batch(digits):
    return digits[2][:16], np.eye(10, dtype=np.float32)[digits[3][:16]]


def scope(clf, policy):
    return nullcontext() if POLICIES[policy] is None else clf.gradient(POLICIES[policy])


def truth(clf, estimator, x, y):
    """Prediction and loss gradient of the network under the estimator's loss, by autograd alone."""
    net = clf.model.eval()
    net.reseed()
    z = net(torch.from_numpy(x)).detach().numpy()
    net.reseed()
    source = torch.from_numpy(x).requires_grad_(True)
    labels = torch.from_numpy(y).argmax(1) if estimator._reduce_labels else torch.from_numpy(y)
    loss = estimator._loss(net(source), labels)
    return z, torch.autograd.grad(loss, source)[0].numpy()


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_rebuilt_estimator_sees_the_same_predictions_and_gradients(name, code, policy, trained, batch):
    clf, (x, y) = trained(code), batch
    with scope(clf, policy):
        estimator = ATTACKS[name](clf).estimator
        assert type(estimator) is PyTorchClassifier
        assert estimator.model is clf.model
        z, grad = truth(clf, estimator, x, y)
        clf.model.reseed()
        assert np.array_equal(estimator.predict(x), z)
        clf.model.reseed()
        assert np.array_equal(clf.predict(x), z)
        clf.model.reseed()
        assert np.allclose(estimator.loss_gradient(x, y), grad, atol=1e-7 + 1e-6 * np.abs(grad).max())
        assert np.abs(grad).max() > 0
        if "cross-entropy" in name:
            clf.model.reseed()
            assert np.allclose(clf.loss_gradient(x, y), grad, atol=1e-7)


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_a_policy_reaches_a_rebuilt_estimator_that_was_built_before(name, trained, batch):
    clf, (x, y) = trained("latency"), batch
    estimator = ATTACKS[name](clf).estimator
    own = estimator.loss_gradient(x, y)
    with scope(clf, "steered"):
        steered = estimator.loss_gradient(x, y)
    assert not np.allclose(own, steered)
    assert np.array_equal(own, estimator.loss_gradient(x, y))


@pytest.mark.parametrize("name", sorted(KEEPS))
def test_the_others_keep_the_classifier(name, trained):
    clf = trained("latency")
    assert KEEPS[name](clf).estimator is clf


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("loss_type", [None, "cross_entropy", "difference_logits_ratio"])
def test_apgd_runs_and_breaks_digits(loss_type, code, trained, batch):
    clf, (x, y) = trained(code), batch
    attack = AutoProjectedGradientDescent(
        clf, eps=0.15, eps_step=0.04, max_iter=10, nb_random_init=1, loss_type=loss_type, verbose=False
    )
    with scope(clf, "own"):
        x_adv = attack.generate(x, y)
    assert np.abs(x_adv - x).max() <= 0.15 + 1e-6
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    correct = clf.predict(x).argmax(1) == y.argmax(1)
    fooled = clf.predict(x_adv).argmax(1) != y.argmax(1)
    assert (fooled & correct).sum() > 0.3 * correct.sum()


def test_the_own_loss_of_apgd_is_the_rebuilt_cross_entropy(trained, batch):
    """The same attack through the subclass and through the rebuilt estimator; no random start can differ."""
    clf, (x, y) = trained("latency"), batch
    results = []
    for loss_type in (None, "cross_entropy"):
        attack = AutoProjectedGradientDescent(
            clf, eps=0.1, eps_step=0.03, max_iter=8, nb_random_init=1, loss_type=loss_type, verbose=False
        )
        state = np.random.get_state()  # noqa: NPY002 - ART draws its random start from numpy's global generator
        results.append(attack.generate(x, y))
        np.random.set_state(state)  # noqa: NPY002
    assert np.allclose(*results, atol=1e-6)


def test_auto_attack_runs(trained, batch):
    pytest.importorskip("multiprocess")
    clf, (x, y) = trained("latency"), batch
    quick = [
        AutoProjectedGradientDescent(
            clf, eps=0.1, eps_step=0.03, max_iter=5, nb_random_init=1, loss_type=kind, verbose=False
        )
        for kind in ("cross_entropy", "difference_logits_ratio")
    ]  # fmt: skip
    x_adv = AutoAttack(clf, eps=0.1, eps_step=0.03, attacks=quick).generate(x, y)
    assert np.abs(x_adv - x).max() <= 0.1 + 1e-6
    before, after = (float((clf.predict(v).argmax(1) == y.argmax(1)).mean()) for v in (x, x_adv))
    assert after < before
    assert isinstance(clf, SNNClassifier)
    assert clf.optimizer is not None


@pytest.mark.slow
def test_brendel_bethge_runs(trained, digits):
    clf, x = trained("latency"), digits[2]
    labels = clf.predict(x).argmax(1)
    chosen, others = x[:2], np.stack([x[labels != label][0] for label in labels[:2]])
    attack = brendel_bethge(clf)
    attack.steps = 10
    x_adv = attack.generate(chosen, labels[:2], starting_points=others)
    assert (clf.predict(x_adv.astype(np.float32)).argmax(1) != labels[:2]).all()
    assert (np.abs(x_adv - chosen).max((1, 2, 3)) < np.abs(others - chosen).max((1, 2, 3))).all()
