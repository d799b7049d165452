"""Attacks on spike times: what they conserve, what they promise, and that the idea carries them."""

from itertools import product

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import (
    LatencyPGD,
    ProjectedRetiming,
    RandomRetiming,
    SNNAutoPGD,
    SpikeRetiming,
)
from art_snn.coding import EventFrames, Latency, MembraneMean
from art_snn.gradients import ASSG
from art_snn.networks import SpikingNetwork, mlp
from art_snn.threats import Linf, Retiming

ALL = (SpikeRetiming, ProjectedRetiming, RandomRetiming)
BUDGETS = [
    {"jitter": 1}, {"jitter": 2, "causal": True}, {"delay": 6}, {"moves": 4}, {"jitter": 2, "moves": 6},
    {"jitter": 3, "delay": 4, "moves": 3, "causal": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def recordings():
    """Bars that move right, left or not at all, in two polarities: the order of the spikes tells the class."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = rng.integers(0, 3, n)
        x = np.zeros((n, 7, 2, 5, 5), dtype=np.float32)
        for i, kind in enumerate(y):
            row = rng.integers(0, 4)
            for t in range(7):
                column = (t - 1, 5 - t, 2 + t % 2)[kind]
                if 0 <= column < 5:
                    x[i, t, t % 2, row : row + 2, column] = 1
            x[i][rng.random(x[i].shape) < 0.03] = 1
        return x, y

    net = mlp((2, 5, 5), 3, hidden=(24,), encoder=EventFrames(7), decoder=MembraneMean(tau=2.0), seed=0)
    x, y = draw(500)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.tensor(x)), torch.tensor(y)).backward()
        optimizer.step()
    clf = on_frames(net.double().eval(), (7, 2, 5, 5), 3)
    x, y = draw(20)
    assert (clf.predict(x).argmax(1) == y).mean() > 0.8
    return clf, x, y


def on_frames(net, shape, classes):
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, classes, clip_values=(0.0, 1.0), device_type="cpu")


def made(kind, clf, **chosen):
    return kind(clf, **{"max_iter": 6, "nb_random_init": 1, "batch_size": 8, **chosen})


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("kind", ALL)
def test_spikes_pixels_and_polarities_are_conserved(recordings, kind, budget):
    clf, x, y = recordings
    before = x.copy()
    attack = made(kind, clf, **budget)
    x_adv = attack.generate(x, y)
    run = attack.last_run
    assert np.array_equal(x, before)
    assert x_adv.dtype == np.float32
    assert set(np.unique(x_adv)) <= {0.0, 1.0}
    assert np.array_equal(x_adv.sum(1), x.sum(1))
    assert Retiming(**budget).contains(x, x_adv).all()
    assert all(np.array_equal(run.usage[k], v) for k, v in Retiming(**budget).usage(x, x_adv).items())
    clean, now = clf.predict(x).argmax(1), clf.predict(x_adv).argmax(1)
    assert np.array_equal(run.initially_wrong, clean != y)
    assert np.array_equal(run.success, (clean == y) & (now != y))
    assert np.array_equal(x_adv[run.initially_wrong], x[run.initially_wrong])
    assert not np.array_equal(x_adv, x)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(ALL), st.sampled_from(BUDGETS), st.integers(1, 4))
def test_every_output_is_legal(seed, kind, budget, most):
    rng = np.random.default_rng(seed)
    T = int(rng.integers(2, 6))
    net = mlp((2, 2, 2), 3, hidden=(6,), encoder=EventFrames(T), seed=seed % 7)
    x = (rng.integers(1, most + 1, (3, T, 2, 2, 2)) * (rng.random((3, T, 2, 2, 2)) < 0.4)).astype(np.float32)
    x[:, :, 0, 0, 0] = np.arange(T) == 0
    attack = made(kind, SNNClassifier(net, nn.CrossEntropyLoss(), x.shape[1:], 3), max_iter=3, **budget)
    x_adv = attack.generate(x)
    assert np.array_equal(np.sort(x_adv, 1), np.sort(x, 1))
    assert Retiming(**budget).contains(x, x_adv).all()


@pytest.mark.parametrize("budget", [{"jitter": 0}, {"delay": 0}, {"moves": 0}, {"jitter": 2, "moves": 0}], ids=str)
@pytest.mark.parametrize("kind", ALL)
def test_no_budget_is_the_identity(recordings, kind, budget):
    clf, x, y = recordings
    attack = made(kind, clf, **budget)
    assert np.array_equal(attack.generate(x, y), x)
    assert not attack.last_run.success.any()


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("kind", ALL)
def test_results_do_not_depend_on_batch_or_order(recordings, kind, budget):
    clf, x, y = recordings
    whole = made(kind, clf, batch_size=64, **budget).generate(x, y)
    assert np.array_equal(whole, made(kind, clf, batch_size=3, **budget).generate(x, y))
    order = np.random.default_rng(0).permutation(len(x))
    assert np.array_equal(whole[order], made(kind, clf, **budget).generate(x[order], y[order]))


@pytest.mark.parametrize("kind", [SpikeRetiming, RandomRetiming])
def test_seeds_repeat_and_differ(recordings, kind):
    clf, x, y = recordings
    one, two, other = (made(kind, clf, seed=s, moves=3).generate(x, y) for s in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_larger_budget_with_a_warm_start_never_breaks_fewer(recordings):
    clf, x, y = recordings
    broken, starts = np.zeros(len(x), dtype=bool), None
    for moves in (1, 3, 6, 12):
        attack = made(SpikeRetiming, clf, moves=moves)
        starts = attack.generate(x, y, starts=starts)
        assert (attack.last_run.success >= broken).all()
        broken = attack.last_run.success
    assert broken.any()


@pytest.mark.parametrize("budget", [{"jitter": 1}, {"moves": 4}, {"delay": 6}], ids=str)
def test_gradients_beat_chance_and_the_baseline(recordings, budget):
    clf, x, y = recordings
    found = {}
    for kind in ALL:
        attack = made(kind, clf, **{**budget, "max_iter": 15})
        attack.generate(x, y)
        found[kind] = attack.last_run.success.sum()
    assert found[SpikeRetiming] > found[RandomRetiming]
    assert found[SpikeRetiming] >= found[ProjectedRetiming]


def test_without_bounds_it_breaks_what_any_attack_breaks(recordings):
    clf, x, y = recordings
    free = made(SpikeRetiming, clf, jitter=6, max_iter=40)
    free.generate(x, y)
    assert free.last_run.success.mean() > 0.6
    for kind, budget in product((ProjectedRetiming, RandomRetiming), ({"jitter": 6}, {"jitter": 2})):
        other = made(kind, clf, **budget, max_iter=20)
        other.generate(x, y)
        assert (free.last_run.success >= other.last_run.success).all()


@pytest.mark.parametrize("kind", ALL)
def test_projection_switched_off_is_found_out(recordings, kind, monkeypatch):
    clf, x, y = recordings
    monkeypatch.setattr(Retiming, "step", lambda self, x, gain, mask=None: x.flip(1))
    with pytest.raises(RuntimeError, match="outside Retiming"):
        made(kind, clf, jitter=1).generate(x, y)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("budget", [{"jitter": 2}, {"delay": 5, "moves": 3}], ids=str)
def test_the_mask_binds(recordings, kind, budget):
    clf, x, y = recordings
    mask = np.zeros(x.shape[1:])
    mask[1:5, :, 1:4] = 1
    for starts in (None, x[:, ::-1].copy()):
        x_adv = made(kind, clf, **budget).generate(x, y, mask=mask, starts=starts)
        assert np.array_equal(x_adv[:, mask == 0], x[:, mask == 0])
        assert not np.array_equal(x_adv, x)
        assert Retiming(**budget).contains(x, x_adv).all()


@pytest.mark.parametrize("kind", ALL)
def test_inputs_without_room_are_errors(recordings, kind):
    clf, x, y = recordings
    attack = made(kind, clf, jitter=1)
    blank = x.copy()
    blank[3] = 0
    with pytest.raises(ValueError, match=r"1 recordings in which no spike can move.*number 3"):
        attack.generate(blank, y)
    with pytest.raises(ValueError, match="at least one recording"):
        attack.generate(x[:0], y[:0])
    with pytest.raises(ValueError, match="whole numbers"):
        attack.generate(x * 0.5, y)
    one = on_frames(mlp((2, 5, 5), 3, hidden=(4,), encoder=EventFrames(1)), (1, 2, 5, 5), 3)
    with pytest.raises(ValueError, match="no spike can move"):
        made(kind, one, jitter=1).generate(x[:, :1], y)
    with pytest.raises(ValueError, match="no spike can move"):
        attack.generate(x, y, mask=np.zeros(x.shape[1:]))


def test_analog_codes_and_images_are_refused_with_the_way_out(digits):
    with pytest.raises(ValueError, match=r"estimator.at_spikes\(\)"):
        SpikeRetiming(digits.snn, jitter=1)
    spikes = np.repeat(digits.x[:, None], 4, 1)
    with pytest.raises(ValueError, match="an analog code has no spikes to move"):
        SpikeRetiming(digits.snn.at_spikes(), jitter=1).generate(spikes, digits.y)


@pytest.mark.parametrize("bad", [{}, {"jitter": -1}, {"moves": 0.5}, {"causal": "yes", "jitter": 1}], ids=str)
def test_bad_budgets_are_refused(recordings, bad):
    with pytest.raises(ValueError, match=r"budget|jitter|moves|causal"):
        SpikeRetiming(recordings[0], **bad)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("kind", ALL)
def test_a_silent_network_is_safe(recordings, kind):
    _, x, _ = recordings
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(50, 8, step_mode="m"),
        neuron.LIFNode(v_threshold=1e6, step_mode="m"), layer.Linear(8, 3, step_mode="m", bias=False),
    )  # fmt: skip
    body[2].surrogate_function = surrogate.PiecewiseQuadratic()
    clf = on_frames(SpikingNetwork(EventFrames(7), body, MembraneMean()), (7, 2, 5, 5), 3)
    attack = made(kind, clf, jitter=1, max_iter=3)
    x_adv = attack.generate(x, np.zeros(len(x), dtype=int))
    assert Retiming(jitter=1).contains(x, x_adv).all()
    assert not attack.last_run.success.any()
    if kind is not RandomRetiming:
        assert attack.last_run.zero_gradients.sum() == attack.last_run.backwards.sum() > 0


def test_policies_targets_and_labels(recordings):
    clf, x, y = recordings
    index = made(SpikeRetiming, clf, jitter=1, policy=ASSG(0.45)).generate(x, y)
    rows = made(SpikeRetiming, clf, jitter=1, policy=ASSG(0.45)).generate(x, np.eye(3)[y])
    assert np.array_equal(index, rows)
    target = (clf.predict(x).argmax(1) + 1) % 3
    attack = made(SpikeRetiming, clf, jitter=3, targeted=True, max_iter=20)
    x_adv = attack.generate(x, target)
    assert np.array_equal(attack.last_run.success, clf.predict(x_adv).argmax(1) == target)
    assert attack.last_run.success.any()
    assert made(SpikeRetiming, clf, jitter=1).generate(x[:1]).shape == x[:1].shape


def linear(weights, T):
    """Logits (0, sum of w over the spike train): linear in the spikes."""
    weights = torch.tensor(weights)

    class Body(nn.Module):
        def forward(self, s):
            value = (s.flatten(2) * weights[:, None]).sum(2)
            return torch.stack([torch.zeros_like(value), value], 2)

    return SpikingNetwork(EventFrames(T), Body(), MembraneMean(tau=1.0)).double()


@pytest.mark.parametrize("budget", [{"jitter": 1}, {"jitter": 2, "causal": True}, {"delay": 3}, {"moves": 2}], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_on_a_linear_network_one_step_is_the_best_of_all_retimings(seed, budget):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(5, 3))
    x = (rng.random((1, 5, 3)) < 0.4).astype(np.float32)
    x[0, 0, 0], x[0, 1, 0] = 1, 0
    clf = SNNClassifier(linear(weights, 5), nn.CrossEntropyLoss(), (5, 3), 2, device_type="cpu")
    label = int(clf.predict(x).argmax())
    attack = SpikeRetiming(clf, **budget, max_iter=3, loss_type="margin")
    attack.generate(x, np.array([label]))
    grids = np.array(list(product([0.0, 1.0], repeat=15)), dtype=np.float32).reshape(-1, 5, 3)
    grids = grids[(grids.sum(1) == x.sum(1)).all(1)]
    legal = grids[Retiming(**budget).contains(np.repeat(x, len(grids), 0), grids)]
    best = ((1 if label == 0 else -1) * (legal * weights).sum((1, 2))).max() / 5
    if attack.last_run.success[0]:
        assert best > 0
    else:
        assert attack.last_run.best_loss[0] == pytest.approx(best)


def test_timing_and_pixel_attack_agree_at_the_converted_budget(digits):
    """Linear latency: eps = D bins of intensity reaches the same trains as a jitter of D steps."""
    T, steps = 9, 2
    weights = np.random.default_rng(1).normal(size=(T, 64))
    spiking = linear(weights, T)
    pixels = SpikingNetwork(Latency(T, "linear"), spiking.body, spiking.decoder).double()
    on_pixels = SNNClassifier(pixels, nn.CrossEntropyLoss(), (1, 8, 8), 2, clip_values=(0.0, 1.0), device_type="cpu")
    x = (np.round(digits.x * (T - 1)) / (T - 1)).astype(np.float32)
    eps = steps / (T - 1)
    threat = Retiming.from_pixels(Linf(eps), pixels.encoder.timing)
    assert threat.jitter == steps
    with torch.no_grad():
        spikes = pixels.encode(torch.tensor(x)).transpose(0, 1).numpy().astype(np.float32)
    y = on_pixels.predict(x).argmax(1)
    in_pixels = LatencyPGD(on_pixels, eps=eps, max_iter=10, loss_type="margin")
    in_time = SpikeRetiming(on_pixels.at_spikes(), jitter=threat.jitter, max_iter=10, loss_type="margin")
    x_adv, s_adv = in_pixels.generate(x, y), in_time.generate(spikes, y)
    assert np.array_equal(in_pixels.last_run.success, in_time.last_run.success)
    failed = ~in_time.last_run.success
    np.testing.assert_allclose(in_pixels.last_run.best_loss[failed], in_time.last_run.best_loss[failed])
    with torch.no_grad():
        moved = pixels.encode(torch.tensor(x_adv)).transpose(0, 1).numpy()
    assert threat.contains(spikes, moved.astype(np.float32)).all()
    back = pixels.encoder.decode(torch.tensor(s_adv).transpose(0, 1)).numpy()
    assert Linf(eps).contains(x, back).all()
    assert np.array_equal(on_pixels.predict(back).argmax(1), on_pixels.at_spikes().predict(s_adv).argmax(1))


@pytest.mark.parametrize("eps", [0.05, 0.15])
def test_gradient_steps_in_time_are_gradient_steps_in_pixels(digits, eps):
    """With t = t_max (1 - x) the ball, the step and the gradient's sign scale alike."""
    t_max = 4.0
    net = digits.ann.model

    class Timed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, t):
            return self.net(1 - t / t_max)

    t = (t_max * (1 - digits.x.astype(np.float64))).astype(np.float32)
    timed = PyTorchClassifier(
        Timed(), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, t_max), device_type="cpu"
    )
    settings_ = {"max_iter": 7, "verbose": False}
    in_time = ProjectedGradientDescent(timed, eps=eps * t_max, eps_step=eps / 4 * t_max, **settings_)
    in_pixels = ProjectedGradientDescent(digits.ann, eps=eps, eps_step=eps / 4, **settings_)
    one, other = in_pixels.generate(digits.x, digits.y), 1 - in_time.generate(t, digits.y) / t_max
    assert np.mean(np.abs(one - other) > 1e-5) < 0.01


def test_pixels_reach_no_train_beyond_the_converted_jitter(digits):
    net = mlp((1, 8, 8), 10, hidden=(32,), encoder=Latency(6, "linear"), decoder=MembraneMean(tau=1.0))
    net.body.load_state_dict(digits.snn.model.body.state_dict())
    clf = SNNClassifier(net.double().eval(), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    eps = 0.2
    x_adv = SNNAutoPGD(clf, eps=eps, max_iter=10).generate(digits.x)
    with torch.no_grad():
        trains = [net.encode(torch.tensor(v)).transpose(0, 1) for v in (digits.x, x_adv)]
    assert Retiming.from_pixels(Linf(eps), net.encoder.timing).contains(*trains).all()
