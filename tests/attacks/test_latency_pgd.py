"""LatencyPGD moves spikes between reachable bins and nowhere else."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import LatencyPGD, SNNAutoAttack, SNNAutoPGD
from art_snn.attacks.evasion.latency_pgd import bin_edges
from art_snn.coding import Latency, MembraneMean
from art_snn.coding.timing import spike_bin
from art_snn.gradients import ASSG
from art_snn.networks import SpikingNetwork, mlp
from art_snn.threats import Linf


@pytest.fixture
def latency(digits, make_classifier):
    """The trained body behind a latency code."""

    def build(convention, T=4):
        net = mlp((1, 8, 8), 10, hidden=(32,), encoder=Latency(T, convention), decoder=MembraneMean(tau=1.0))
        net.body.load_state_dict(digits.snn.model.body.state_dict())
        return make_classifier(net.double().eval())

    return build


@pytest.mark.parametrize("convention", ["floor", "linear", "log"])
def test_edges_enclose_the_intensities_of_a_bin(convention):
    T = 6
    x = torch.linspace(0, 1, 4001, dtype=torch.double)
    low, high = bin_edges(spike_bin(x, T, convention), T, convention)
    assert bool((x >= low - 1e-5).all())
    assert bool((x <= high + 1e-5).all())


def linear(weights, T, convention):
    """Logits (0, sum of w over the spike train) for three pixels: linear in the spikes."""
    weights = torch.tensor(weights)

    class Body(nn.Module):
        def forward(self, s):
            value = (s.flatten(2) * weights[:, None, :]).sum(2)
            return torch.stack([torch.zeros_like(value), value], 2)

    return SpikingNetwork(Latency(T, convention), Body(), MembraneMean(tau=1.0)).double()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("convention", ["floor", "linear"])
def test_on_a_linear_network_it_finds_the_best_of_all_reachable_trains(seed, convention):
    rng = np.random.default_rng(seed)
    T, eps = 5, 0.3
    weights = rng.normal(size=(T, 3))
    net = linear(weights, T, convention)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 1, 3), 2, clip_values=(0.0, 1.0), device_type="cpu")
    x = rng.uniform(0.05, 0.95, size=(1, 1, 1, 3)).astype(np.float32)
    label = int(clf.predict(x).argmax())
    attack = LatencyPGD(clf, eps=eps, max_iter=12, loss_type="margin")
    attack.generate(x, np.array([label]))
    values = np.linspace(0, 1, 401)
    legal = [values[np.abs(values - v) <= eps] for v in x.ravel()]
    bins = [sorted({int(b) for b in spike_bin(torch.tensor(one), T, convention)}) for one in legal]
    sign = 1 if label == 0 else -1
    padded = np.concatenate([weights, np.zeros((1, 3))])
    best = max(sign * sum(padded[b, i] for i, b in enumerate(chosen)) for chosen in product(*bins)) / T
    if attack.last_run.success[0]:
        assert best >= 0
    else:
        assert attack.last_run.best_loss[0] == pytest.approx(best)


@pytest.mark.parametrize("convention", ["floor", "linear", "log"])
def test_budget_flags_and_batches(digits, latency, convention):
    clf = latency(convention)
    whole = LatencyPGD(clf, eps=0.2, max_iter=10, policy=ASSG(0.45), batch_size=64)
    x_adv = whole.generate(digits.x)
    assert Linf(0.2).contains(digits.x, x_adv).all()
    changed = clf.predict(x_adv).argmax(1) != clf.predict(digits.x).argmax(1)
    assert np.array_equal(whole.last_run.success, changed)
    assert changed.any()
    pieces = LatencyPGD(clf, eps=0.2, max_iter=10, policy=ASSG(0.45), batch_size=5).generate(digits.x)
    assert np.array_equal(x_adv, pieces)


def test_less_than_half_a_bin_changes_nothing(digits, latency):
    clf = latency("linear", T=8)
    centred = (np.round(digits.x * 7) / 7).astype(np.float32)
    attack = LatencyPGD(clf, eps=0.45 / 7, max_iter=5)
    assert np.array_equal(attack.generate(centred), centred)
    assert not attack.last_run.success.any()


def test_it_beats_the_estimates_of_the_code(digits, latency):
    clf = latency("floor")
    moved = LatencyPGD(clf, eps=0.1, max_iter=20)
    moved.generate(digits.x)
    for backward in ("shift", "identity", "soft_latency"):
        clf.model.encoder.backward = backward
        guessed = SNNAutoPGD(clf, eps=0.1, max_iter=20)
        guessed.generate(digits.x)
        assert moved.last_run.success.sum() >= guessed.last_run.success.sum()
    clf.model.encoder.backward = "shift"


def test_the_suite_moves_spikes_of_a_latency_code(digits, latency):
    attack = SNNAutoAttack(latency("floor"), eps=0.02, preset="fast", batch_size=64, verbose=False)
    attack.generate(digits.x[:6])
    assert "latency-pgd" in [row.rung for row in attack.last_run.rows] or attack.last_run.success.all()


def test_other_codes_and_norms_are_refused(digits):
    with pytest.raises(ValueError, match="Latency code"):
        LatencyPGD(digits.snn)
    net = mlp((1, 8, 8), 10, encoder=Latency(T=4))
    with pytest.raises(ValueError, match="norm=2"):
        LatencyPGD(SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0)), norm=2)


@pytest.mark.parametrize("code", [Latency(8, polarity="dark_first"), Latency(8, "edl"), Latency(8, drop_below=0.2)])
def test_timing_rules_it_cannot_turn_back_are_refused(code):
    net = mlp((1, 8, 8), 10, hidden=(8,), encoder=code)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    with pytest.raises(ValueError, match="use SNNAutoPGD"):
        LatencyPGD(clf, eps=0.1)
