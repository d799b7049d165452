"""What an attack on images cannot attack is refused before it runs, and what it must not return never leaves it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from art.defences.preprocessor import SpatialSmoothingPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import (
    PRESETS,
    LatencyPGD,
    SNNAutoAttack,
    SNNAutoPGD,
    SpikeCompatibleImages,
    SpikeSponge,
    Transfer,
)
from art_snn.attacks.evasion.candidates import code_backwards
from art_snn.attacks.evasion.losses import dlr, margin
from art_snn.attacks.evasion.preflight import preflight
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.coding import Direct, Latency
from art_snn.errors import GradientWarning
from art_snn.gradients import Surrogate
from art_snn.networks import SpikingNetwork, mlp
from art_snn.threats import Linf

FEW = replace(
    PRESETS["fast"], calibration_steps=2, finalists=0, steps=3, restarts=(1, 1), patience=1, targets=1, fab_targets=0,
    fab_steps=2, square=4, corners=2,
)  # fmt: skip


def made(net, shape=(1, 8, 8), classes=10, clip=(0.0, 1.0), **more):
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, classes, clip_values=clip, device_type="cpu", **more)


def analog(net):
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu")


def test_attacks_on_spikes_need_a_network_that_spikes(digits):
    with pytest.raises(TypeError, match=r"an estimator around a AnalogNetwork.*Fix: attack an SNNClassifier"):
        SpikeSponge(digits.ann)
    with pytest.raises(TypeError, match=r"a PyTorchClassifier; expected an SNNClassifier\. Fix: attack a spiking"):
        SpikeCompatibleImages(digits.ann)
    with pytest.raises(TypeError, match=r"an estimator whose model is a function.*Fix: attack an SNNClassifier"):
        Victim(SimpleNamespace(model=made))


def test_a_transfer_wants_a_source_of_the_same_data(digits):
    for shape, classes in (((1, 8, 8), 5), ((1, 4, 4), 10)):
        source = made(mlp(shape, classes, hidden=(4,)), shape, classes)
        with pytest.raises(ValueError, match=r"a source with inputs and classes .*Fix: train the source on the same"):
            Transfer(digits.snn, source)
    with pytest.raises(ValueError, match=r"targeted=True; expected an untargeted transfer\. Fix: leave targeted=False"):
        Transfer(digits.snn, digits.ann, targeted=True)


def test_spikes_are_not_moved_behind_a_preprocessor():
    clf = made(
        mlp((1, 8, 8), 10, hidden=(4,), encoder=Latency(T=4)),
        preprocessing_defences=SpatialSmoothingPyTorch(channels_first=True),
    )
    with pytest.raises(ValueError, match=r"preprocessors before the code; expected raw intensities.*SNNAutoPGD"):
        LatencyPGD(clf, eps=0.2)


def test_few_pixels_need_a_range_that_has_corners():
    attack = SNNAutoPGD(made(mlp((1, 8, 8), 10, hidden=(4,)), clip=None), norm=0, eps=2, max_iter=2)
    with pytest.raises(ValueError, match=r"norm=0 without clip values.*Fix: give the estimator clip_values"):
        attack.generate(np.full((2, 1, 8, 8), 0.5, dtype=np.float32))


def test_what_was_not_asked_for_is_not_there(digits):
    seen = Seen(torch.zeros(2), None, torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"a query without gradient.*Fix: query\(\.\.\., gradient=True\)"):
        _ = seen.ascent
    assert seen.select(torch.tensor([1])).grad is None
    with pytest.raises(RuntimeError, match=r"an attack that has not run.*Fix: generate\(x\)"):
        _ = SpikeSponge(digits.snn).record


def test_of_two_classes_the_ratio_is_the_margin():
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    assert torch.equal(dlr(z, y), margin(z, y))
    assert not torch.equal(dlr(torch.cat([z, z - 5], 1), y), margin(torch.cat([z, z - 5], 1), y))


def test_only_a_spike_code_has_backward_passes_to_choose_from(digits):
    assert code_backwards(digits.ann.model) == [None]
    assert code_backwards(digits.snn.model) == [None]  # a direct code has one
    assert len(code_backwards(mlp((1, 8, 8), 10, encoder=Latency(T=4)))) > 1


class Escapes(Linf):
    """A budget that lets every point out again."""

    def project(self, x, x_adv):
        return x_adv + 10 * self.eps


def test_a_point_outside_the_budget_is_never_returned(digits):
    sponge = SpikeSponge(digits.snn, threat=Escapes(0.05, (0.0, 1.0)), max_iter=2)
    with pytest.raises(RuntimeError, match=r"points outside .*Fix: report this: the attack forgot to project"):
        sponge.generate(digits.x[:4], digits.y[:4])


def test_the_suite_judges_its_own_points_against_the_budget(digits, monkeypatch):
    honest = SNNAutoPGD.generate

    def boasts(self, x, y=None, **kwargs):
        x_adv = honest(self, x, y, **kwargs)
        self.last_run.success[:] = True
        return x_adv + np.float32(0.5)

    monkeypatch.setattr(SNNAutoPGD, "generate", boasts)
    attack = SNNAutoAttack(digits.snn, eps=0.06, preset=FEW, verbose=False)
    with pytest.raises(RuntimeError, match=r"a point outside the budget.*report this: an attack forgot to project"):
        attack.generate(digits.x[:4], digits.y[:4])


def test_where_nothing_is_right_the_suite_has_nothing_to_do(digits):
    attack = SNNAutoAttack(digits.snn, eps=0.06, preset=FEW, verbose=False, calibration=digits.calibration)
    wrong = (digits.snn.predict(digits.x[:4]).argmax(1) + 1) % 10
    assert np.array_equal(attack.generate(digits.x[:4], wrong), digits.x[:4])
    assert [row.rung for row in attack.last_run.rows] == ["clean", "confirmed"]
    assert attack.last_run.robust_accuracy == 0
    assert not attack.last_run.success.any()


def test_flat_samples_climb_without_the_squares():
    torch.manual_seed(0)
    clf = made(SpikingNetwork(Direct(T=3), nn.Sequential(nn.Linear(6, 3))), (6,), 3)
    x = np.random.default_rng(0).random((8, 6), dtype=np.float32)
    attack = SNNAutoAttack(clf, eps=0.3, preset=FEW, verbose=False)
    x_adv = attack.generate(x, clf.predict(x).argmax(1))
    assert "square" not in [row.rung for row in attack.last_run.rows]
    assert attack.last_run.success.any()
    assert Linf(0.3, (0.0, 1.0)).contains(x, x_adv).all()


class Everywhere(Linf):
    def contains(self, x, x_adv):
        return torch.ones(len(x), dtype=torch.bool)


class Nowhere(Linf):
    def contains(self, x, x_adv):
        return torch.zeros(len(x), dtype=torch.bool)


class Bends(Surrogate):
    """Changes the network it says it leaves alone."""

    def __init__(self):
        super().__init__("atan", 2.0)

    def conduct(self, net, x):
        return super().conduct(net, x) + 1


class Overflows(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x) * torch.inf


class Silent(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(0 * x + 0.3)


def looked_at(clf, digits, threat=None, policy=None):
    victim = Victim(clf, policy)
    with victim.attached():
        x, y = torch.tensor(digits.x), torch.tensor(digits.y)
        return preflight(victim, x, y, Linf(0.1, (0.0, 1.0)) if threat is None else threat)


def test_no_number_comes_from_a_model_or_a_budget_that_means_nothing(digits):
    assert looked_at(digits.snn, digits)["rise"] > 0
    with pytest.raises(ValueError, match=r"logits that are not finite.*Fix: repair the network"):
        looked_at(analog(Overflows(digits.ann.model)), digits)
    with pytest.raises(ValueError, match=r"clean samples outside clip_values.*Fix: rescale x"):
        looked_at(digits.snn, digits, Nowhere(0.1))
    with pytest.raises(ValueError, match=r"that contains far points.*a budget that binds\. Fix: check contains"):
        looked_at(digits.snn, digits, Everywhere(0.1))
    with pytest.raises(ValueError, match=r"logits that change under .*Fix: a policy must leave every spike alone"):
        looked_at(digits.snn, digits, policy=Bends())


def test_a_network_without_gradient_is_flagged(digits):
    clf = analog(Silent(digits.ann.model))
    with pytest.warns(GradientWarning, match=r"zero for 100% of the correctly classified.*Fix: look for silent layers"):
        assert looked_at(clf, digits)["zero_gradients"] == 1
