"""The detector: calibrated on fresh data, independent of batch and order, and attacked by who knows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.defences.detector.evasion.evasion_detector import EvasionDetector
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import DetectorAwarePGD, SNNAutoPGD
from art_snn.coding import Direct, Poisson
from art_snn.defenses.detector import SpikeTimingDetector
from art_snn.networks import mlp

EPS = 0.12


@pytest.fixture(scope="module")
def trained():
    data = load_digits()
    x, y = (data.images[:, None] / 16).astype(np.float32), data.target
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    net = mlp((1, 8, 8), 10, hidden=(48,), encoder=Direct(T=5))
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu",
        optimizer=torch.optim.Adam(net.parameters(), lr=5e-3),
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clf.fit(x[:600], y[:600], nb_epochs=12, batch_size=64)
    detector = SpikeTimingDetector(clf, fpr=0.1)
    detector.fit(x[600:1200], y[600:1200])
    return detector, x[1200:], y[1200:]


def test_false_positives_on_fresh_data_are_what_was_promised(trained):
    detector, x, _ = trained
    assert isinstance(detector, EvasionDetector)
    _, flagged = detector.detect(x)
    assert flagged.dtype == bool
    interval = binomtest(int(flagged.sum()), len(x)).proportion_ci(0.999)
    assert interval.low <= detector.fpr <= interval.high


def test_batch_and_order_do_not_matter(trained):
    detector, x, _ = trained
    whole = detector.scores(x[:40])
    np.testing.assert_allclose(detector.scores(x[:40], batch_size=7), whole, rtol=1e-3)
    np.testing.assert_allclose(detector.scores(x[:40][::-1])[::-1], whole, rtol=1e-3)


def test_fitting_is_deterministic_and_takes_one_hot_labels(trained):
    detector, x, y = trained
    ones = [SpikeTimingDetector(detector.classifier, fpr=0.1, seed=seed) for seed in (0, 0, 1)]
    ones[0].fit(x, y)
    ones[1].fit(x, np.eye(10)[y])
    ones[2].fit(x, y)
    assert ones[0].threshold == ones[1].threshold != ones[2].threshold


def test_it_sees_an_attack_that_does_not_know_it_and_falls_to_one_that_does(trained):
    detector, x, y = trained
    clf = detector.classifier
    right = np.flatnonzero(clf.predict(x).argmax(1) == y)[:30]
    x, y = x[right], y[right]
    blind = SNNAutoPGD(clf, eps=EPS, max_iter=15)
    x_adv = blind.generate(x, y)
    fooled = blind.record.success
    assert fooled.mean() > 0.5
    assert detector.curve(x, x_adv[fooled]).auc > 0.6
    hidden = fooled & ~detector.detect(x_adv)[1]
    aware = DetectorAwarePGD(detector, eps=EPS, max_iter=15, nb_random_init=2)
    found = aware.generate(x, y)
    success = aware.record.success
    assert np.abs(found - x).max() <= EPS + 1e-6
    assert (clf.predict(found[success]).argmax(1) != y[success]).all()
    assert not detector.detect(found[success])[1].any()
    assert success.mean() > hidden.mean()
    again = DetectorAwarePGD(detector, eps=EPS, max_iter=15, nb_random_init=2, batch_size=7)
    np.testing.assert_array_equal(again.generate(x, y)[success], found[success])


@pytest.mark.parametrize("variant", ["penalty", "orthogonal"])
@pytest.mark.parametrize("norm", [np.inf, 2])
def test_both_variants_stay_in_the_ball_and_report_joint_success(trained, variant, norm):
    detector, x, y = trained
    attack = DetectorAwarePGD(detector, norm=norm, eps=EPS if norm == np.inf else 0.8, max_iter=4, variant=variant)
    x_adv = attack.generate(x[:12], y[:12])
    won = attack.record.success
    assert ((detector.classifier.predict(x_adv).argmax(1) != y[:12]) & ~detector.detect(x_adv)[1])[won].all()
    assert attack.threat.contains(x[:12], x_adv).all()
    assert (attack.record.best_loss[won] > 0).all()


def test_everything_flagged_means_no_success(trained, monkeypatch):
    detector, x, y = trained
    monkeypatch.setattr(detector, "_threshold", 1e-9)
    attack = DetectorAwarePGD(detector, eps=0.3, max_iter=4, nb_random_init=1)
    attack.generate(x[:8], y[:8])
    assert not attack.record.success.any()


def test_a_random_network_is_scored_the_same_in_any_batch():
    net = mlp((1, 4, 4), 2, hidden=(8,), encoder=Poisson(T=4))
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 2, clip_values=(0.0, 1.0))
    x = np.random.default_rng(0).random((300, 1, 4, 4)).astype(np.float32)
    detector = SpikeTimingDetector(clf, fpr=0.1)
    predicted = detector._features(x, 64)[1].numpy()
    detector.fit(x, predicted)
    np.testing.assert_allclose(detector.scores(x[:20], batch_size=3), detector.scores(x[:20]), rtol=1e-4)
    with pytest.raises(ValueError, match="stochastic network"):
        DetectorAwarePGD(detector)


def test_wrong_use_names_the_fix(trained):
    detector, x, y = trained
    clf = detector.classifier
    with pytest.raises(TypeError, match="SNNClassifier"):
        SpikeTimingDetector(clf.model)
    with pytest.raises(ValueError, match="a rate in"):
        SpikeTimingDetector(clf, fpr=0.0)
    fresh = SpikeTimingDetector(clf)
    with pytest.raises(RuntimeError, match="a call of fit first"):
        fresh.detect(x)
    with pytest.raises(RuntimeError, match="a call of fit first"):
        DetectorAwarePGD(fresh)
    with pytest.raises(ValueError, match="raise fpr"):
        SpikeTimingDetector(clf, fpr=0.001).fit(x, y)
    with pytest.raises(ValueError, match="samples per class"):
        SpikeTimingDetector(clf, fpr=0.2).fit(x[y != 3][:100], y[y != 3][:100])
    with pytest.raises(ValueError, match="variant='penalty'"):
        DetectorAwarePGD(detector, variant="both")
    with pytest.raises(ValueError, match=r"targeted=True; expected an untargeted attack\. Fix: targeted=False"):
        DetectorAwarePGD(detector).set_params(targeted=True)
