"""Attacks that only ask for predictions, and preprocessors that answer with more rows than they were asked."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import HopSkipJump, SquareAttack, VirtualAdversarialMethod, ZooAttack
from art.preprocessing.expectation_over_transformation import EoTGaussianNoisePyTorch

from art_snn.attacks import SNNSquare
from art_snn.defenses.postprocessor import Softmax
from art_snn.testing import tiny


def test_finite_differences_change_no_spike(spiking):
    """At ART's steps hardly anything moves in a spiking network, and everything in its twin; a wide step sees both."""
    clf, x, _ = spiking
    assert ZooAttack(clf).variable_h == 1e-4
    assert VirtualAdversarialMethod(clf).finite_diff == 1e-6
    twin = tiny.classifier(tiny.analog())
    direction = np.sign(np.random.default_rng(0).normal(size=x.shape)).astype(np.float32)
    moved = {
        (name, h): float((one.predict(np.clip(x + h * direction, 0, 1)) != one.predict(x)).any(1).mean())
        for name, one in (("snn", clf), ("ann", twin))
        for h in (1e-4, 0.2)
    }
    assert moved["snn", 1e-4] < 0.2
    assert moved["ann", 1e-4] == 1
    assert moved["snn", 0.2] > 0.9


def test_the_virtual_adversarial_method_does_nothing_unless_its_step_is_wide(spiking):
    _, x, _ = spiking
    clf = tiny.classifier(tiny.direct(), postprocessing_defences=Softmax())
    narrow, wide = (
        VirtualAdversarialMethod(clf, max_iter=1, finite_diff=h, eps=1.0, batch_size=4, verbose=False).generate(x[:4])
        for h in (1e-6, 0.2)
    )
    assert np.array_equal(narrow, x[:4])
    assert not np.array_equal(wide, x[:4])


def test_square_in_l2_asks_about_nan_images_on_small_images(plain, onehot):
    """Below ten pixels the first perturbation is 0/0. A plain network answers NaN and the attack goes on."""
    asked = []
    net = tiny.analog()
    clf = plain(net, (1, 8, 8), 10)
    handle = net.register_forward_hook(lambda module, args, output: asked.append(bool(args[0].isnan().any())))
    x, y = tiny.samples(4)
    SquareAttack(clf, norm=2, eps=1.0, max_iter=3, verbose=False).generate(x, onehot(y))
    handle.remove()
    assert any(asked)
    with pytest.raises(ValueError, match="NaN or inf"):
        SquareAttack(tiny.classifier(tiny.direct()), norm=2, eps=1.0, max_iter=3, verbose=False).generate(x, onehot(y))


def test_hop_skip_jump_cannot_be_repeated(spiking, onehot):
    """Its generator is its own and unseeded; the native attacks repeat to the bit."""
    clf, x, y = spiking

    def twice(make):
        found = []
        for _ in range(2):
            np.random.seed(0)
            torch.manual_seed(0)
            found.append(make().generate(x[:2], onehot(y[:2])))
        return found

    options = {"max_iter": 1, "max_eval": 20, "init_eval": 10, "init_size": 30, "verbose": False}
    assert not np.array_equal(*twice(lambda: HopSkipJump(clf, **options)))
    assert np.array_equal(*twice(lambda: SNNSquare(clf, eps=0.2, max_iter=10, seed=0, verbose=False)))


def test_expectation_over_transformation_answers_with_more_rows(spiking):
    _, x, _ = spiking
    noise = EoTGaussianNoisePyTorch(3, (0.0, 1.0), std=0.05)
    clf = tiny.classifier(tiny.direct(), preprocessing_defences=noise)
    assert clf.predict(x[:4]).shape == (12, 10)
