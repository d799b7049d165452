"""The spike-compatible gradient and the Gumbel attack: what their random draws do."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import GumbelEventAttack, SpikeCompatibleGradient, SpikeCompatibleImages
from art_snn.attacks.evasion.gumbel_event import _Chances
from art_snn.attacks.evasion.search import Problem
from art_snn.attacks.evasion.spike_compatible import to_spikes
from art_snn.coding import Poisson
from art_snn.gradients import SCG
from art_snn.networks import mlp
from art_snn.threats import SpikeFlips


def test_kept_moves_follow_the_gradient_and_nothing_else():
    gen = torch.Generator().manual_seed(0)
    s = torch.randint(0, 2, (4, 500), generator=gen).double()
    g, u = torch.randn(4, 500, generator=gen).double(), torch.rand(4, 500, generator=gen).double()
    after = (s + to_spikes(s, g, u, torch.zeros(4, dtype=torch.bool))).clamp(0, 1)
    assert bool((g[after > s] > 0).all())
    assert bool((g[after < s] < 0).all())
    always = (s + to_spikes(s, g, torch.full_like(u, -1.0), torch.zeros(4, dtype=torch.bool))).clamp(0, 1)
    assert torch.equal(always, (g > 0).double())


def test_without_gradient_one_cell_in_twenty_flips():
    gen = torch.Generator().manual_seed(0)
    s = torch.randint(0, 2, (2, 50_000), generator=gen).double()
    u = torch.rand(2, 50_000, generator=gen).double()
    after = s + to_spikes(s, torch.zeros_like(s), u, torch.ones(2, dtype=torch.bool))
    assert set(after.unique().tolist()) == {0.0, 1.0}
    assert float((after != s).double().mean()) == pytest.approx(0.05, abs=0.003)


def test_the_policy_is_the_paper_s_unless_another_is_given(events):
    attack = SpikeCompatibleGradient(events.clf)
    assert isinstance(attack.policy, SCG)
    assert SpikeCompatibleGradient(events.clf, policy=SCG(2.0)).policy.theta_pen == 2.0


@pytest.fixture(scope="module")
def poisson():
    data = load_digits()
    x, y = (data.images[:, None] / 16).astype(np.float32), data.target
    net = mlp((1, 8, 8), 10, hidden=(24,), encoder=Poisson(T=8, seed=0))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(6):
        for index in torch.randperm(600, generator=torch.Generator().manual_seed(epoch)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(torch.tensor(x[index])), torch.tensor(y[index])).backward()
            optimizer.step()
    clf = SNNClassifier(net.eval(), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu")
    return clf, x[600:606], y[600:606]


def test_images_stay_in_the_ball_and_fall_by_votes(poisson):
    clf, x, y = poisson
    attack = SpikeCompatibleImages(clf, eps=0.5, max_iter=15, votes=5, eot=2)
    x_adv = attack.generate(x, y)
    assert attack.threat.contains(x, x_adv).all()
    assert attack.last_run.success.any()
    assert np.array_equal(x_adv, SpikeCompatibleImages(clf, eps=0.5, max_iter=15, votes=5, eot=2).generate(x, y))
    assert np.array_equal(SpikeCompatibleImages(clf, eps=0.0, votes=5).generate(x, y), x)
    with pytest.raises(ValueError, match="firing probabilities"):
        SpikeCompatibleImages(clf_with_range(clf))


def clf_with_range(clf):
    return SNNClassifier(clf.model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 255.0), device_type="cpu")


def chances(temperature, start=0.3, k=1e9):
    x = torch.randint(0, 2, (3, 4, 2, 5, 5), generator=torch.Generator().manual_seed(0)).double()
    rows = torch.arange(3)
    problem = Problem(x, rows, rows, rows, None, [1, 2, 3], [4, 5, 6], SpikeFlips(k))
    return x, _Chances(problem, torch.ones(3, dtype=torch.bool), 1, temperature, 0.3, 0.1, start)


def test_cells_change_as_often_as_their_odds_say_whatever_the_temperature():
    for temperature in (0.01, 1.0):
        x, search = chances(temperature)
        share = np.mean([float((search._draw() != x).double().mean()) for _ in range(60)])
        assert share == pytest.approx(0.3, abs=0.02)


def test_a_cold_softmax_is_the_hard_draw():
    x, search = chances(1e-4)
    hard = (search._draw() != x).double()
    soft = search.soft.sum(1)
    assert float((soft - hard).abs().mean()) < 1e-3


def test_the_largest_chances_are_kept():
    x, search = chances(0.5, k=4)
    assert int((search._draw() != x).flatten(1).sum(1).max()) == 4


@pytest.mark.parametrize("bad", [{"draws": 0}, {"temperature": 0}, {"step": 0}, {"penalty": -1}, {"start": 1}])
def test_bad_settings_are_refused(events, bad):
    with pytest.raises(ValueError, match="expected"):
        GumbelEventAttack(events.clf, **bad)
