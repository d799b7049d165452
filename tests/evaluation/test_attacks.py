"""The standard attacks: budgets, seeds, losses, and what they leave behind."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from art_snn.evaluation.attacks import ATTACK_DRAWS, ATTACKS, SUITES, InTurn, attack_named, averaged
from art_snn.evaluation.seeding import derived_seed, fingerprint, seeded_globals


@pytest.mark.parametrize("name", sorted(ATTACKS))
@pytest.mark.parametrize("model", ["ann", "snn", "poisson", "latency"])
def test_budget_range_and_determinism(name, model, request, samples):
    classifier = request.getfixturevalue(model)
    x, y = samples[0][:10], samples[1][:10]
    before = x.copy()
    made = []
    for _ in range(2):
        if hasattr(classifier.model, "reseed"):
            classifier.model.reseed(5)
        made.append(attack_named(name).generate(classifier, x, y, 0.1, seed=5))
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(x, before)
    assert np.abs(made[0].astype(np.float64) - x).max() <= 0.1 + 1e-6
    assert made[0].min() >= 0.0
    assert made[0].max() <= 1.0
    assert made[0].shape == x.shape


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_zero_budget_returns_the_input_bit_for_bit(name, snn, samples):
    np.testing.assert_array_equal(attack_named(name).generate(snn, *samples, 0.0), samples[0])


def test_every_gradient_attack_beats_noise(snn, samples):
    left = {}
    for name, attack in ATTACKS.items():
        x_adv = attack.generate(snn, *samples, 0.15, seed=1)
        left[name] = float((snn.predict(x_adv).argmax(1) == samples[1]).mean())
    assert all(left[name] < left["noise"] - 0.3 for name in left if name != "noise"), left


def test_unknown_attack_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'apgd-ce'"):
        attack_named("apgdce")
    with pytest.raises(ValueError, match=r"norm=3; expected inf, 2 or 1\. Fix: norm=np\.inf"):
        attack_named("fgsm", norm=3)


def test_averaging_reaches_stochastic_networks_only_and_ends(poisson, snn):
    with averaged(poisson.model, ATTACK_DRAWS):
        assert (poisson.model.eot, poisson.model.votes) == (ATTACK_DRAWS, ATTACK_DRAWS)
    assert (poisson.model.eot, poisson.model.votes) == (1, 1)
    with averaged(snn.model, ATTACK_DRAWS):
        assert snn.model.votes == 1
    with pytest.raises(RuntimeError), averaged(poisson.model, 3):
        raise RuntimeError
    assert poisson.model.votes == 1


def test_seeding_restores_every_global_generator():
    import random

    before = (random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state())
    with seeded_globals(7):
        first = (random.random(), np.random.rand(), torch.rand(1).item())
    with seeded_globals(7):
        assert first == (random.random(), np.random.rand(), torch.rand(1).item())
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_fingerprints_tell_content_apart():
    x = np.zeros(3, dtype=np.float32)
    prints = [
        fingerprint(x),
        fingerprint(x.astype(np.float64)),
        fingerprint(x[None]),
        fingerprint(x + 1),
        fingerprint("x"),
    ]
    assert len(set(prints)) == len(prints)
    assert derived_seed(0, "a") != derived_seed(1, "a")
    assert 0 <= derived_seed(0, "a") < 2**31


def test_the_adaptive_attack_fits_the_model(ann, snn, latency):
    adaptive = attack_named("adaptive")
    built = {name: adaptive.build(clf, 0.1, 0, adaptive.parameters).attacks for name, clf in
             (("ann", ann), ("snn", snn), ("latency", latency))}  # fmt: skip
    assert [type(attack).__name__ for attack in built["latency"]] == ["SNNAutoPGD", "LatencyPGD"]
    assert [type(attack).__name__ for attack in built["snn"]] == ["SNNAutoPGD", "SNNAutoPGD"]
    assert all("atan" in repr(attack.policy) for attack in built["snn"])
    assert all(attack.policy is None for attack in built["ann"])
    assert built["ann"][0].seed != built["ann"][1].seed


class Counted:
    """Moves every sample by one, and breaks those that it is told to."""

    def __init__(self, breaks):
        self.breaks, self.asked = breaks, []

    def generate(self, x, y):
        self.asked.append(len(x))
        self.record = SimpleNamespace(success=np.full(len(x), self.breaks))
        return x + 1


def test_nobody_is_asked_about_what_is_broken():
    none, every, never = Counted(False), Counted(True), Counted(True)
    assert InTurn([none, every, never]).generate(np.zeros((5, 1)), np.zeros(5)).tolist() == [[1.0]] * 5
    assert (none.asked, every.asked, never.asked) == ([5], [5], [])


def test_attacks_in_turn_keep_what_the_first_one_broke(snn, samples):
    x, y = samples
    adaptive = attack_named("adaptive")
    turn = adaptive.build(snn, 0.1, 3, adaptive.parameters)
    alone = turn.attacks[0].generate(x, y)
    broken = turn.attacks[0].record.success
    both = turn.generate(x, y)
    np.testing.assert_array_equal(both[broken], alone[broken])
    assert (snn.predict(both).argmax(1) == y).sum() <= (snn.predict(alone).argmax(1) == y).sum()


def test_the_adaptive_attack_on_neurons_that_cannot_follow(samples):
    from spikingjelly.activation_based import neuron, surrogate
    from torch import nn

    from art_snn.coding import Direct
    from art_snn.estimators import SNNClassifier
    from art_snn.networks import SpikingNetwork

    levels = neuron.ILIFNode(surrogate_function=surrogate.MultiLevelSpikeCount(4))
    net = SpikingNetwork(Direct(T=3), nn.Sequential(nn.Flatten(), nn.Linear(64, 16), levels, nn.Linear(16, 10)))
    classifier = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    x_adv = attack_named("adaptive").generate(classifier, samples[0][:4], samples[1][:4], 0.1)
    assert np.isfinite(x_adv).all()


def test_the_suite_is_an_attack_of_compare(snn, samples):
    x, y = samples[0][:8], samples[1][:8]
    suite = attack_named("auto-fast")
    made = [suite.generate(snn, x, y, 0.1, seed=2) for _ in range(2)]
    np.testing.assert_array_equal(made[0], made[1])
    moved = np.abs(made[0].astype(np.float64) - x)
    assert moved.max() <= 0.1 + 1e-6
    assert (moved.reshape(8, -1).max(1) > 0).all()  # what stands is at a corner, not at rest
    apgd = attack_named("apgd-ce").generate(snn, x, y, 0.1, seed=2)
    assert (snn.predict(made[0]).argmax(1) == y).sum() <= (snn.predict(apgd).argmax(1) == y).sum()
    assert set(SUITES) == {"auto-fast", "auto-standard", "auto-thorough"}
