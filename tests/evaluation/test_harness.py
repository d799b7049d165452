"""ART's own harness: its Evaluation class, its security curve, its metrics."""

import inspect

import numpy as np
import pytest
from art import metrics as art_metrics
from art.attacks.evasion import HopSkipJump
from art.evaluations.evaluation import Evaluation
from art.evaluations.security_curve.security_curve import SecurityCurve
from torch import nn

from art_snn.attacks.evasion import SNNAutoPGD
from art_snn.coding import Latency
from art_snn.errors import GradientWarning
from art_snn.estimators import SNNClassifier
from art_snn.evaluation import SNNEvaluation, SNNSecurityCurve, metrics
from art_snn.gradients import Surrogate
from art_snn.networks import mlp

FEW = ["noise", "pgd"]


@pytest.fixture(scope="module")
def one_hot(samples):
    return samples[0], np.eye(10, dtype=np.float32)[samples[1]]


@pytest.fixture(scope="module")
def curve(snn, one_hot):
    found = SNNSecurityCurve(eps=[0.05, 0.1], attacks=FEW)
    return found, found.evaluate(snn, *one_hot)


@pytest.fixture(scope="module")
def arts(snn, one_hot):
    found = SecurityCurve(eps=[0.05, 0.1])
    return found, found.evaluate(snn, *one_hot, max_iter=10, eps_step=0.02, verbose=False)


def test_the_curve_has_everything_that_arts_has(curve, arts):
    (ours, (eps, robust, clean)), (theirs, expected) = curve, arts
    assert isinstance(ours, Evaluation)
    assert (eps, clean) == (expected[0], pytest.approx(expected[2]))
    assert [type(part) for part in (eps, robust, clean)] == [list, list, float]
    names = {name for name in vars(theirs) if not name.startswith("_")}
    assert names <= set(vars(ours))
    public = {name for name, _ in inspect.getmembers(type(theirs)) if not name.startswith("_")}
    assert public <= set(dir(ours))
    assert (ours.eps_list, ours.accuracy_adv_list, ours.accuracy) == (eps, robust, clean)
    assert ours.detected_obfuscating_gradients is False


def test_the_worst_case_is_below_what_any_attack_leaves(curve):
    ours, (_, robust, _) = curve
    for level, eps in zip(robust, ours.eps_list, strict=True):
        assert all(level <= ours.result.accuracy("model", attack, eps).value for attack in FEW)
    assert robust == sorted(robust, reverse=True)
    assert all(one.low <= one.value <= one.high for one in ours.intervals)


def test_the_curve_draws_itself(curve):
    line = curve[0].plot().get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), [100 * v for v in [curve[1][2], *curve[1][1]]])


def test_steps_are_those_of_art(snn, one_hot):
    ours = SNNSecurityCurve(eps=2, attacks=["noise"])
    assert ours.evaluate(snn, one_hot[0][:8], one_hot[1][:8])[0] == [0.5, 1.0]
    with pytest.raises(ValueError, match="steps >= 1"):
        SNNSecurityCurve(eps=0)


def test_a_masked_code_is_detected(digits, one_hot):
    net = mlp((1, 8, 8), 10, hidden=(16,), encoder=Latency(T=4, backward="none"))
    with pytest.warns(GradientWarning):
        clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    curve = SNNSecurityCurve(eps=[0.1], attacks=["noise"])
    curve.evaluate(clf, one_hot[0][:10], one_hot[1][:10])
    assert curve.detected_obfuscating_gradients
    assert "E7" in curve.plot().get_title()


def test_what_cannot_be_is_explained(snn, one_hot):
    with pytest.raises(TypeError, match="name attacks instead"):
        SNNSecurityCurve(eps=[0.1]).evaluate(snn, *one_hot, max_iter=20)
    with pytest.raises(RuntimeError, match="evaluate first"):
        _ = SNNSecurityCurve(eps=[0.1]).detected_obfuscating_gradients
    with pytest.raises(ValueError, match="did you mean 'fast'"):
        SNNEvaluation(0.1, preset="fats")


def test_the_protocol_as_an_art_evaluation(ann, samples, tmp_path):
    evaluation = SNNEvaluation([0.1], attacks=["noise"], out=tmp_path)
    assert isinstance(evaluation, Evaluation)
    result = evaluation.evaluate({"ann": ann}, samples[0][:12], samples[1][:12])
    assert result is evaluation.result
    assert result.models == ["ann"]
    assert (tmp_path / "report.html").exists()


def test_clever_warns_because_it_follows_the_surrogate(snn, ann, samples):
    x = samples[0][0]
    scores = []
    for alpha in (2.0, 10.0):
        np.random.seed(0)
        with snn.gradient(Surrogate("atan", alpha)), pytest.warns(GradientWarning, match="no bound"):
            scores.append(metrics.clever_u(snn, x, 2, 2, 20.0, 2, pool_factor=2))
    assert scores[0] > 0
    assert abs(scores[0] / scores[1] - 1) > 0.1  # the same function, another "bound"
    assert metrics.clever_u(ann, x, 2, 2, 0.3, 2, pool_factor=2) > 0


def test_loss_sensitivity_is_arts(snn, ann, one_hot):
    with pytest.warns(GradientWarning, match="this network only"):
        assert metrics.loss_sensitivity(snn, *one_hot) == pytest.approx(art_metrics.loss_sensitivity(snn, *one_hot))
    grads = ann.loss_gradient(*one_hot).reshape(len(one_hot[0]), -1)
    assert metrics.loss_sensitivity(ann, *one_hot) == pytest.approx(np.linalg.norm(grads, axis=1).mean())


def test_empirical_robustness_is_not_zero_where_nothing_breaks(snn, samples):
    assert 0 < metrics.empirical_robustness(snn, samples[0][:8]) < 10
    assert art_metrics.empirical_robustness(snn, samples[0][:8], "fgsm", {"eps": 1e-9, "eps_step": 1e-9}) == 0.0
    assert np.isnan(metrics.empirical_robustness(snn, samples[0][:8], eps_step=1e-9, eps=1e-9))


def test_adversarial_accuracy_takes_attacks_not_presets(snn, one_hot):
    x, y = one_hot
    right = snn.predict(x).argmax(1) == y.argmax(1)
    attack = SNNAutoPGD(snn, eps=0.1, max_iter=5, seed=1)
    found = metrics.adversarial_accuracy(snn, x, y, attack)
    attack.generate(x)
    assert found == pytest.approx(1 - attack.record.success[right].mean())
    with pytest.raises(TypeError, match="pass an attack"):
        metrics.adversarial_accuracy(snn, x, y, "hsj")
    for preset in ("hsj", "auto"):
        with pytest.raises((ValueError, NotImplementedError)):
            art_metrics.adversarial_accuracy(snn, x[:2], y[:2], attack_name=preset)
    hop = HopSkipJump(snn, norm=np.inf, max_iter=1, max_eval=20, init_eval=5, init_size=10, verbose=False)
    assert 0 <= metrics.adversarial_accuracy(snn, x[:3], y[:3], hop) <= 1


def test_the_gradient_check_sees_what_is_gone_not_what_is_wrong(snn, one_hot):
    assert not metrics.loss_gradient_check(snn, *one_hot).any()
    net = mlp((1, 8, 8), 10, hidden=(16,), encoder=Latency(T=4, backward="masked"))
    with pytest.warns(GradientWarning, match="hides the encoder's gradient"):
        masked = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    found = metrics.loss_gradient_check(masked, *one_hot)
    assert found.shape == (len(one_hot[0]), 3)
    assert not found[:, 1:].any()
