"""The ideas: step rules, windows, distances, against closed forms and other implementations."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import nn

from art_snn.attacks.evasion import FAB, RandomCorners, SNNAutoPGD, SNNSquare, StableAdaptivePGD, draws
from art_snn.attacks.evasion.hyperplane import to_hyperplane
from art_snn.attacks.evasion.pixel import surface
from art_snn.attacks.evasion.search import Problem
from art_snn.attacks.evasion.snn_auto_pgd import CheckPoints
from art_snn.attacks.evasion.snn_square import window_share
from art_snn.coding import EventFrames, MembraneMean
from art_snn.networks import SpikingNetwork
from art_snn.threats import Linf

torchattacks = pytest.importorskip("torchattacks", reason="the extra `bench` brings it")


def linear(weights, bias=0.0, clip=(0.0, 1.0)):
    """Two classes, z_1 - z_0 = <w, x> + b, in float64."""
    net = nn.Linear(len(weights), 2).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor(np.stack([np.zeros(len(weights)), weights])))
        net.bias.copy_(torch.tensor([0.0, bias]))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x.double())

    return PyTorchClassifier(Net(), nn.CrossEntropyLoss(), (len(weights),), 2, clip_values=clip, device_type="cpu")


def test_check_points_follow_the_schedule():
    plan = CheckPoints(100)
    assert [step for step in range(1, 101) if plan.due(step)] == [22, 41, 57, 70, 80, 87, 93, 99]
    short = CheckPoints(3)
    assert [step for step in range(1, 4) if short.due(step)] == [1, 2, 3]


@pytest.mark.parametrize(("norm", "dual"), [(np.inf, 1), (2, 2), (1, np.inf)])
def test_auto_pgd_finds_the_optimum_of_a_linear_model(norm, dual):
    weights = np.array([1.0, -0.5, 0.25, 2.0])
    clf = linear(weights, bias=-20.0, clip=None)
    attack = SNNAutoPGD(clf, norm=norm, eps=0.5, max_iter=60, loss_type="margin")
    attack.generate(np.zeros((2, 4), dtype=np.float32), np.zeros(2, dtype=int))
    assert attack.last_run.best_loss == pytest.approx(-20 + 0.5 * np.linalg.norm(weights, dual), abs=2e-3)


def test_one_step_of_sa_pgd_on_equal_slopes_is_the_sign_method():
    weights = np.array([1.0, -1.0, 1.0, 1.0])
    clf = linear(weights, bias=-9.0)
    x, y = np.full((3, 4), 0.5, dtype=np.float32), np.zeros(3, dtype=int)
    x_adv = StableAdaptivePGD(clf, eps=0.1, max_iter=1).generate(x, y)
    threat = Linf(0.1)
    ids = draws.sample_ids(torch.tensor(x))
    problem = Problem(torch.tensor(x), torch.tensor(y), torch.tensor(y), torch.arange(3), None, ids,
                      [draws.key(0, 0, one) for one in ids], threat)  # fmt: skip
    start = problem.project(surface(problem)).numpy()
    expected = threat.project(x, (start + 0.1 * np.sign(weights)).astype(np.float32))
    np.testing.assert_allclose(x_adv, expected, atol=1e-7)


@pytest.mark.parametrize("kind", [SNNAutoPGD, StableAdaptivePGD])
def test_the_best_loss_only_rises(digits, kind, monkeypatch):
    highest = []
    for steps in (1, 4, 16):
        attack = kind(digits.snn, eps=0.02, max_iter=steps, loss_type="margin")
        attack.generate(digits.x, digits.y)
        highest.append(np.where(attack.last_run.success, np.inf, attack.last_run.best_loss))
    right = ~attack.last_run.initially_wrong
    assert np.mean(highest[2][right] >= highest[0][right]) > 0.9


@pytest.mark.slow
def test_on_a_network_without_spikes_it_is_as_strong_as_the_reference(digits):
    for eps in (0.05, 0.1):
        attack = SNNAutoPGD(digits.ann, eps=eps, max_iter=50, loss_type="ce")
        attack.generate(digits.x, digits.y)
        single = nn.Sequential(digits.ann.model).float()
        reference = torchattacks.APGD(single, norm="Linf", eps=eps, steps=50, n_restarts=1, seed=0, loss="ce")
        x_ref = reference(torch.tensor(digits.x), torch.tensor(digits.y)).detach().numpy()
        digits.ann.model.double()
        theirs = (digits.ann.predict(x_ref.astype(np.float32)).argmax(1) == digits.y).mean()
        assert abs(attack.last_run.summary["robust_accuracy"] - theirs) <= 2 / len(digits.y)


def test_window_share_is_halved_by_the_rescaled_schedule():
    shares = [window_share(i, 10_000) for i in (0, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001)]
    assert shares == [0.8 / 2**k for k in range(10)]
    assert window_share(999, 1000) == 0.8 / 2**9


def test_square_spends_one_forward_per_query_and_beats_chance(digits):
    square = SNNSquare(digits.snn, eps=0.15, max_iter=200)
    chance = RandomCorners(digits.snn, eps=0.15, max_iter=201)
    for attack in (square, chance):
        attack.generate(digits.x, digits.y)
        assert (attack.last_run.backwards == 0).all()
    open_ones = ~square.last_run.success & ~square.last_run.initially_wrong
    assert (square.last_run.forwards[open_ones] == 1 + 201).all()
    assert square.last_run.success.sum() > chance.last_run.success.sum()


def test_square_takes_event_frames(make_classifier):
    body = nn.Sequential(nn.Flatten(2), nn.Linear(2 * 8 * 8, 10))
    net = SpikingNetwork(EventFrames(5), body, MembraneMean(tau=1.0)).double()
    clf = PyTorchClassifier(net, nn.CrossEntropyLoss(), (5, 2, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu")
    x = np.random.default_rng(0).random((3, 5, 2, 8, 8), dtype=np.float32)
    attack = SNNSquare(clf, eps=0.3, max_iter=40)
    x_adv = attack.generate(x)
    assert Linf(0.3).contains(x, x_adv).all()
    assert attack.last_run.success.any()


def test_square_refuses_flat_samples():
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        SNNSquare(linear(np.ones(4)), eps=0.1).generate(np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="p_init"):
        SNNSquare(linear(np.ones(4)), p_init=0.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([torch.inf, 2.0, 1.0]))
def test_the_way_to_a_plane_is_the_shortest(seed, norm):
    rng = np.random.default_rng(seed)
    w, room = rng.normal(size=5), rng.uniform(0.1, 1.0, size=(2, 5))
    reachable = np.where(w > 0, w * room[1], -w * room[0]).sum()
    c = rng.uniform(0.1, 0.9) * reachable
    way = to_hyperplane(*(torch.tensor(v) for v in (w[None], [c], room[:1], room[1:])), norm)[0].numpy()
    assert w @ way == pytest.approx(c)
    assert (way <= room[1] + 1e-12).all()
    assert (way >= -room[0] - 1e-12).all()
    if norm == 2:
        inner = np.abs(way) < np.where(way > 0, room[1], room[0]) - 1e-9
        ratio = way[inner] / w[inner]
        assert np.ptp(ratio) < 1e-9 if len(ratio) else True
        assert (np.abs(way[~inner] / w[~inner]) <= np.abs(ratio[0]) + 1e-9).all() if len(ratio) else True
        return
    bounds = [(-a, b) for a, b in room.T]
    if norm == 1:
        found = linprog(np.ones(10), A_eq=[np.r_[w, -w]], b_eq=[c],
                        bounds=[(0, b) for b in room[1]] + [(0, a) for a in room[0]])  # fmt: skip
    else:
        sides = np.block([[np.eye(5), -np.ones((5, 1))], [-np.eye(5), -np.ones((5, 1))]])
        found = linprog(np.r_[np.zeros(5), 1], A_ub=sides, b_ub=np.zeros(10), A_eq=[np.r_[w, 0]], b_eq=[c],
                        bounds=[*bounds, (0, None)])  # fmt: skip
    assert np.linalg.norm(way, norm) == pytest.approx(found.fun, abs=1e-9)


def test_a_plane_out_of_reach_is_approached_as_far_as_the_range_goes():
    w, room = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.5]])
    for norm in (torch.inf, 2.0, 1.0):
        way = to_hyperplane(w, torch.tensor([10.0]), room, room, norm)
        torch.testing.assert_close(way, torch.tensor([[0.5, -0.5]]))


@pytest.mark.parametrize(("norm", "dual"), [(np.inf, 1), (2, 2), (1, np.inf)])
def test_fab_finds_the_distance_to_the_boundary_of_a_linear_model(norm, dual):
    weights = np.array([1.0, -0.5, 0.25, 2.0])
    clf = linear(weights, bias=-1.0, clip=None)
    attack = FAB(clf, norm=norm, max_iter=20)
    attack.generate(np.zeros((1, 4), dtype=np.float32), np.array([0]))
    assert attack.last_run.success.all()
    assert attack.last_run.usage[0] == pytest.approx(1.0 / np.linalg.norm(weights, dual), rel=5e-3)


@pytest.mark.parametrize("norm", [np.inf, 2, 1])
def test_fab_returns_misclassified_points_no_larger_than_auto_pgd_needs(digits, norm):
    attack = FAB(digits.ann, norm=norm, max_iter=20, nb_targets=9)
    x_adv = attack.generate(digits.x, digits.y)
    run = attack.last_run
    fooled = digits.ann.predict(x_adv).argmax(1) != digits.y
    assert np.array_equal(run.success, fooled & ~run.initially_wrong)
    assert run.success[~run.initially_wrong].all()
    eps = float(np.median(run.usage[run.success]))
    rival = SNNAutoPGD(digits.ann, norm=norm, eps=eps, max_iter=50)
    rival.generate(digits.x, digits.y)
    assert (run.success & (run.usage <= eps)).sum() >= rival.last_run.success.sum() - 2


def test_fab_with_a_budget_keeps_to_it(digits):
    attack = FAB(digits.snn, eps=0.08, max_iter=15, nb_targets=3)
    x_adv = attack.generate(digits.x, digits.y)
    assert Linf(0.08).contains(digits.x, x_adv).all()
    now = digits.snn.predict(x_adv).argmax(1) != digits.y
    assert np.array_equal(attack.last_run.success, now & ~attack.last_run.initially_wrong)


def test_fab_refuses_what_it_cannot_do(digits):
    with pytest.raises(ValueError, match="untargeted"):
        FAB(digits.snn, targeted=True)
    with pytest.raises(ValueError, match="stochastic"):
        FAB(digits.poisson)
