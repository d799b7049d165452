"""Membership inference: metrics in closed form, our attack, and ART's own attacks on a spiking classifier."""

import numpy as np
import pytest
import torch
from art.attacks.inference.membership_inference import (
    LabelOnlyDecisionBoundary,
    LabelOnlyGapAttack,
    MembershipInferenceBlackBox,
    MembershipInferenceBlackBoxRuleBased,
    ShadowModels,
)
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.inference import InputDropoutMIA, dropout_losses, membership_report
from art_snn.coding import Direct, MembraneMean
from art_snn.networks import mlp


def network():
    return mlp((1, 8, 8), 10, hidden=(64,), encoder=Direct(T=4), decoder=MembraneMean(tau=1.0))


def classifier(net):
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    return SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer, clip_values=(0.0, 1.0), device_type="cpu"
    )


@pytest.fixture(scope="module")
def leaky():
    """A network that knows 60 digits by heart, 30 of them with a wrong label, which no other sample suggests."""
    data = load_digits()
    x, y = (data.images[:, None] / 16).astype(np.float32)[:120], data.target[:120]
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.5, (y + 3) % 10, y)
    clf = classifier(network())
    clf.fit(x[:60], y[:60], batch_size=30, nb_epochs=50)
    return clf, (x[:60], y[:60]), (x[60:], y[60:])


def test_metrics_in_closed_form():
    perfect = membership_report([2.0, 3.0], [0.0, 1.0], threshold=1.5)
    assert (perfect.balanced_accuracy, perfect.auc, perfect.tpr_at_fpr) == (1.0, 1.0, 1.0)
    tied = membership_report(np.ones(50), np.ones(70), threshold=0.5)
    assert (tied.balanced_accuracy, tied.auc, tied.tpr_at_fpr) == (0.5, 0.5, 0.0)
    decisions = membership_report([1, 1, 0, 1], [0, 1])
    assert decisions.balanced_accuracy == (0.75 + 0.5) / 2
    assert np.isnan(decisions.auc)
    for bad in (([], [1.0]), ([np.nan], [1.0])):
        with pytest.raises(ValueError, match="Fix"):
            membership_report(*bad)


def test_one_false_alarm_in_a_hundred():
    others = np.arange(200.0)
    assert membership_report([198.5, 197.5, 197.0], others, 0.0).tpr_at_fpr == pytest.approx(2 / 3)  # above 197
    brute = np.random.default_rng(0).normal(size=(2, 40))
    expected = np.mean([(a > b) + 0.5 * (a == b) for a in brute[0] for b in brute[1]])
    assert membership_report(*brute, threshold=0.0).auc == pytest.approx(expected)


def test_without_dropping_it_is_the_loss(leaky):
    clf, (x, y), _ = leaky
    losses = dropout_losses(clf, x, y, drop=0.0, queries=2)
    assert np.allclose(losses, clf.compute_loss(x, y, reduction="none"), atol=1e-5)
    assert np.allclose(InputDropoutMIA(clf, drop=0.0, queries=1).score(x, y), -losses[0])
    one_hot = dropout_losses(clf, x, np.eye(10)[y], drop=0.3, queries=2)
    assert np.array_equal(one_hot, dropout_losses(clf, x, y, drop=0.3, queries=2))
    assert not np.array_equal(one_hot[0], one_hot[1])


def test_masks_drop_the_promised_share():
    class Echo:
        nb_classes = 2

        def predict(self, x, batch_size):
            self.kept = (x != 0).mean()
            return np.zeros((len(x), 2), dtype=np.float32)

    echo = Echo()
    losses = dropout_losses(echo, np.ones((50, 400)), np.zeros(50, dtype=int), drop=0.3, queries=1)
    assert echo.kept == pytest.approx(0.7, abs=0.02)  # 20,000 draws: five standard deviations are 0.016
    assert np.allclose(losses, np.log(2))


def test_members_are_found_and_strangers_are_not_called_members(leaky):
    clf, (xi, yi), (xo, yo) = leaky
    attack = InputDropoutMIA(clf, drop=0.1, queries=8)
    with pytest.raises(RuntimeError, match="fit"):
        attack.infer(xi, yi)
    attack.fit(xi[:30], yi[:30], xo[:30], yo[:30])
    report = membership_report(attack.score(xi[30:], yi[30:]), attack.score(xo[30:], yo[30:]), attack.threshold)
    assert report.balanced_accuracy > 0.65
    assert report.auc > 0.65
    decided = attack.infer(xi[30:], yi[30:])
    assert np.array_equal(decided, (attack.score(xi[30:], yi[30:]) > attack.threshold).astype(int))
    trust = attack.infer(xi[30:], yi[30:], probabilities=True)
    assert np.allclose(trust.sum(1), 1)
    assert np.array_equal(trust.argmax(1), decided)
    shuffled = np.random.default_rng(0).permutation(yi[30:])
    assert attack.score(xi[30:], shuffled).mean() < attack.score(xi[30:], yi[30:]).mean()


def test_what_makes_no_sense_is_refused(leaky):
    clf, (x, y), _ = leaky
    for bad in ({"drop": 1.0}, {"queries": 0}, {"spread": np.inf}, {"seed": -1}):
        with pytest.raises(ValueError, match="Fix"):
            InputDropoutMIA(clf, **bad)
    with pytest.raises(ValueError, match="true labels"):
        InputDropoutMIA(clf).infer(x)
    with pytest.raises(ValueError, match="Fix"):
        dropout_losses(clf, x, y, drop=-0.1)


@pytest.mark.parametrize("kind", ["rf", "nn"])
def test_art_black_box(leaky, kind):
    clf, (xi, yi), (xo, yo) = leaky
    attack = MembershipInferenceBlackBox(clf, attack_model_type=kind, nn_model_epochs=20)
    attack.fit(xi[:30], yi[:30], xo[:30], yo[:30])
    assert set(np.unique(attack.infer(xi[30:], yi[30:]))) <= {0, 1}
    if kind == "rf":  # a forest knows the samples that it was fitted on
        known = membership_report(attack.infer(xi[:30], yi[:30]), attack.infer(xo[:30], yo[:30]))
        assert known.balanced_accuracy > 0.9


def test_art_rule_based_and_gap_attacks_see_the_gap(leaky):
    clf, (xi, yi), (xo, yo) = leaky
    right = [(clf.predict(x).argmax(1) == y).mean() for x, y in ((xi, yi), (xo, yo))]
    for kind in (MembershipInferenceBlackBoxRuleBased, LabelOnlyGapAttack):
        attack = kind(clf)
        report = membership_report(attack.infer(xi, yi), attack.infer(xo, yo))
        assert report.balanced_accuracy == pytest.approx((right[0] + 1 - right[1]) / 2)
        assert report.balanced_accuracy > 0.65


def test_art_label_only_boundary_distance(leaky):
    clf, (xi, yi), (xo, yo) = leaky
    attack = LabelOnlyDecisionBoundary(clf)
    budget = {"max_iter": 1, "max_eval": 20, "init_eval": 5, "init_size": 20, "verbose": False}
    attack.calibrate_distance_threshold(xi[:3], yi[:3], xo[:3], yo[:3], **budget)
    assert set(np.unique(attack.infer(xi[3:6], yi[3:6], **budget))) <= {0, 1}


def test_art_shadow_models_clone_a_spiking_classifier(leaky):
    clf, (xi, yi), (xo, yo) = leaky
    shadows = ShadowModels(classifier(network()), num_shadow_models=2, random_state=0)
    members, others = shadows.generate_shadow_dataset(
        np.concatenate([xi, xo]), np.eye(10, dtype=np.float32)[np.concatenate([yi, yo])]
    )
    attack = MembershipInferenceBlackBox(clf, attack_model_type="rf")
    (x_in, y_in, z_in), (x_out, y_out, z_out) = members, others
    attack.fit(x_in, y_in, x_out, y_out, z_in, z_out)
    assert attack.infer(xi, yi).shape[0] == len(xi)
    assert len(shadows.get_shadow_models()) == 2
