"""What every attack on spike grids promises, whatever its idea."""

import copy
import math

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import (
    CornerAttack,
    DashAttack,
    EventPatch,
    EventSquare,
    FrameAttack,
    GumbelEventAttack,
    HammingFW,
    MovingDashAttack,
    RandomEvents,
    SparseEventAttack,
    SpikeCompatibleGradient,
    SpikeFool,
    UniversalEventPerturbation,
)  # fmt: skip
from art_snn.coding import EventFrames, MembraneMean, Poisson, SpikeJitter, Transformed
from art_snn.networks import SpikingNetwork, mlp
from art_snn.threats import SpikeFlips

FLIPS = {
    "fw": (HammingFW, {"max_iter": 6, "nb_random_init": 2}),
    "sea": (HammingFW, {"max_iter": 1, "momentum": 0.0}),
    "sparse": (SparseEventAttack, {"max_iter": 3}),
    "fool": (SpikeFool, {"max_iter": 3, "deepfool_iter": 4}),
    "scg": (SpikeCompatibleGradient, {"max_iter": 8}),
    "gumbel": (GumbelEventAttack, {"max_iter": 12}),
    "universal": (UniversalEventPerturbation, {"max_iter": 6}),
    "square": (EventSquare, {"max_iter": 20}),
}
RANDOM = {name: (RandomEvents, {"kind": name, "max_iter": 5}) for name in (
    "flip", "delete", "insert", "polarity", "hot_pixel", "burst", "time_warp")}  # fmt: skip
PATTERNS = {"frame": (FrameAttack, {}), "corner": (CornerAttack, {}), "dash": (DashAttack, {}),
            "moving dash": (MovingDashAttack, {})}  # fmt: skip
PATCH = {"patch": (EventPatch, {"max_iter": 6})}
UNDER_K = {**FLIPS, **RANDOM, **PATTERNS}
ALL = {**UNDER_K, **PATCH}
STARTS_ALIKE = ("sea", "fool", "sparse", "universal")
"""Attacks whose first run draws nothing that matters."""

K = 12


def made(name, clf, **settings):
    kind, own = ALL[name]
    size = {"side": 3} if name == "patch" else {"k": K}
    settings = {**size, **own, **settings}
    if name == "patch":
        settings.pop("k", None)
    return kind(clf, **settings)


@pytest.mark.parametrize("name", ALL)
def test_outputs_are_legal_and_flags_are_facts(events, name):
    before = events.x.copy()
    attack = made(name, events.clf)
    x_adv = attack.generate(events.x, events.y)
    run = attack.last_run
    assert np.array_equal(events.x, before)
    assert x_adv.dtype == np.float32
    assert x_adv.shape == events.x.shape
    assert set(np.unique(x_adv)) <= {0.0, 1.0}
    changed = (x_adv != events.x).reshape(len(x_adv), -1).sum(1)
    if name in UNDER_K:
        assert (changed <= K).all()
        assert np.array_equal(run.usage, changed)
    if name in PATTERNS:
        assert (x_adv >= events.x).all()
    clean, now = events.clf.predict(events.x).argmax(1), events.clf.predict(x_adv).argmax(1)
    assert np.array_equal(run.initially_wrong, clean != events.y)
    assert np.array_equal(run.success, (clean == events.y) & (now != events.y))
    assert np.array_equal(x_adv[run.initially_wrong], events.x[run.initially_wrong])
    assert attack.threat.contains(events.x, x_adv).all()
    assert np.isfinite(run.best_loss[~run.initially_wrong]).all()


@pytest.mark.parametrize("name", ALL)
def test_no_budget_is_the_identity(events, name):
    attack = made(name, events.clf, **({"side": 0} if name == "patch" else {"k": 0}))
    assert np.array_equal(attack.generate(events.x, events.y), events.x)
    assert not attack.last_run.success.any()


@pytest.mark.parametrize("name", [n for n in ALL if n != "universal"])
def test_results_do_not_depend_on_batch_or_order(events, name):
    x, y = events.x[:6], events.y[:6]
    whole = made(name, events.clf, batch_size=64).generate(x, y)
    assert np.array_equal(whole, made(name, events.clf, batch_size=4).generate(x, y))
    order = np.random.default_rng(0).permutation(len(x))
    assert np.array_equal(whole[order], made(name, events.clf).generate(x[order], y[order]))


def test_the_universal_pattern_does_not_depend_on_the_batch_size(events):
    whole, pieces = (made("universal", events.clf, batch_size=size) for size in (64, 5))
    assert np.array_equal(whole.generate(events.x, events.y), pieces.generate(events.x, events.y))
    assert np.array_equal(whole.pattern, pieces.pattern)


@pytest.mark.parametrize("name", ALL)
def test_seeds_repeat_and_differ(events, name):
    one, two = (made(name, events.clf, seed=0).generate(events.x, events.y) for _ in range(2))
    assert np.array_equal(one, two)
    small = {"side": 2} if name == "patch" else {"k": {"hot_pixel": 6, "time_warp": 40}.get(name, 3)}
    if name not in STARTS_ALIKE:
        later = {"first_restart": 1}
        one, other = (made(name, events.clf, seed=s, **small).generate(events.x, events.y, **later) for s in (0, 1))
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ALL)
def test_the_mask_is_kept(events, name):
    mask = np.zeros((1, 2, 8, 8))
    mask[..., 4:] = 1
    x_adv = made(name, events.clf).generate(events.x, events.y, mask=mask)
    assert np.array_equal(x_adv[..., :4], events.x[..., :4])
    if name in ("flip", "insert"):
        right = events.clf.predict(events.x).argmax(1) == events.y
        assert ((x_adv != events.x).reshape(len(x_adv), -1).sum(1)[right] == K).all()


@pytest.mark.parametrize("name", ALL)
def test_unusable_recordings_are_refused(events, name):
    attack = made(name, events.clf)
    with pytest.raises(ValueError, match="at least one grid"):
        attack.generate(events.x[:0], events.y[:0])
    blank = events.x.copy()
    blank[2] = 0
    with pytest.raises(ValueError, match="without any event, the first at index 2"):
        attack.generate(blank, events.y)
    with pytest.raises(ValueError, match="binary grid"):
        attack.generate(events.x * 0.5, events.y)
    with pytest.raises(ValueError, match="binary grid"):
        attack.generate(events.x * 2, events.y)


@pytest.mark.parametrize("name", ALL)
def test_one_time_step_is_enough(event_classifier, name):
    net = mlp((2, 8, 8), 10, hidden=(16,), encoder=EventFrames(T=1), decoder=MembraneMean(tau=1.0)).double().eval()
    clf = event_classifier(net, (1, 2, 8, 8))
    x = (np.random.default_rng(0).random((3, 1, 2, 8, 8)) < 0.3).astype(np.float32)
    attack = made(name, clf)
    x_adv = attack.generate(x)
    assert attack.threat.contains(x, x_adv).all()


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_silent_network_is_safe(event_classifier, events, name):
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(128, 8, step_mode="m"),
        neuron.LIFNode(v_threshold=1e6, step_mode="m"), layer.Linear(8, 10, step_mode="m", bias=False),
    )  # fmt: skip
    body[2].surrogate_function = surrogate.PiecewiseQuadratic()
    clf = event_classifier(SpikingNetwork(EventFrames(T=6), body, MembraneMean()))
    attack = made(name, clf)
    x_adv = attack.generate(events.x[:3], np.zeros(3, dtype=int))
    assert attack.threat.contains(events.x[:3], x_adv).all()
    assert not attack.last_run.success.any()


def left_as_found(net):
    return (
        [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()],
        [p.grad for p in net.parameters()], copy.deepcopy(net.state_dict()), net.eot, list(net.policies),
        torch.get_rng_state(),
    )  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_the_estimator_is_left_as_it_was(events, name):
    net = events.clf.model
    before = left_as_found(net)
    made(name, events.clf).generate(events.x[:4], events.y[:4])
    after = left_as_found(net)
    for was, now in zip(before, after, strict=True):
        if isinstance(was, dict):
            assert all(torch.equal(was[key], now[key]) for key in was)
        elif isinstance(was, torch.Tensor):
            assert torch.equal(was, now)
        else:
            assert was == now


@pytest.mark.parametrize("name", [*FLIPS, "flip"])
@pytest.mark.parametrize(("add", "delete"), [(True, False), (False, True)])
def test_add_only_and_delete_only(events, name, add, delete):
    x_adv = made(name, events.clf, add=add, delete=delete).generate(events.x[:6], events.y[:6])
    assert ((x_adv >= events.x[:6]) if add else (x_adv <= events.x[:6])).all()
    assert not np.array_equal(x_adv, events.x[:6])


@pytest.mark.parametrize("name", [n for n in UNDER_K if n not in ("universal", "polarity", "time_warp")])
def test_grids_of_counts_move_by_one_event(unit, events, name):
    x = events.x * np.random.default_rng(0).integers(1, 4, events.x.shape).astype(np.float32)
    attack = made(name, unit, most=math.inf)
    x_adv = attack.generate(x)
    assert SpikeFlips(K, most=math.inf).contains(x, x_adv).all()
    assert not np.array_equal(x_adv, x)


@pytest.mark.parametrize("name", ["fw", "sparse", "scg", "gumbel", "square"])
def test_targets_are_reached(events, name):
    targets = (events.y + 1) % 10
    attack = made(name, events.clf, targeted=True, k=60, **({"max_iter": 25} if name != "sparse" else {}))
    x_adv = attack.generate(events.x, targets)
    reached = events.clf.predict(x_adv).argmax(1) == targets
    assert np.array_equal(attack.last_run.success | attack.last_run.initially_wrong, reached)
    if name in ("fw", "sparse"):
        assert reached.mean() > 0.8


@pytest.mark.parametrize("name", ["fw", "sparse", "fool", "scg", "gumbel"])
def test_gradients_beat_chance(events, name):
    more = {"max_iter": 20} if name in ("fw", "scg", "gumbel") else {}
    attack, chance = made(name, events.clf, k=4, **more), made("flip", events.clf, k=4, max_iter=40)
    for one in (attack, chance):
        one.generate(*events.more)
    assert attack.last_run.success.sum() > chance.last_run.success.sum()


@pytest.mark.parametrize("name", ["fw", "sparse", "fool"])
def test_without_a_budget_every_recording_falls(events, name):
    attack = made(name, events.clf, k=math.inf, max_iter=30)
    attack.generate(events.x, events.y)
    assert attack.last_run.summary["robust_accuracy"] == 0.0


@pytest.mark.parametrize("name", ["fw", "gumbel", "scg", "flip", "frame", "square"])
def test_projection_switched_off_is_found_out(events, name, monkeypatch):
    monkeypatch.setattr(SpikeFlips, "project", lambda self, x, x_adv: x_adv + 1)
    with pytest.raises(RuntimeError, match="outside SpikeFlips"):
        made(name, events.clf).generate(events.x, events.y)


@pytest.mark.parametrize("name", UNDER_K)
def test_parameters_out_of_range_are_refused(events, name):
    with pytest.raises(ValueError, match="expected"):
        made(name, events.clf, k=-1)
    with pytest.raises(ValueError, match="expected"):
        made(name, events.clf, seed=-1)


@pytest.mark.parametrize("name", [n for n in ALL if n != "universal"])
def test_a_stochastic_model_is_judged_by_votes(event_classifier, events, name):
    body = nn.Sequential(nn.Flatten(2), nn.Linear(768, 16), neuron.LIFNode(step_mode="m"), nn.Linear(16, 10))
    clf = event_classifier(SpikingNetwork(Poisson(T=2, seed=0), body, MembraneMean()).eval())
    attack = made(name, clf, votes=2, eot=1)
    x_adv = attack.generate(events.x[:3])
    assert attack.threat.contains(events.x[:3], x_adv).all()
    clean, now = clf.predict(events.x[:3]).argmax(1), clf.predict(x_adv).argmax(1)
    assert np.array_equal(attack.last_run.success, clean != now)  # binary intensities fire for certain


def plain(shape, body, encoder=None):
    """A classifier of ten classes that sees grids of another shape."""
    net = SpikingNetwork(EventFrames(T=shape[0]) if encoder is None else encoder, body)
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")


@pytest.mark.parametrize(
    ("build", "fix"),
    [(lambda c: EventSquare(c, k=4, max_iter=2), "give the frames their pixel axes"),
     (lambda c: EventPatch(c, side=2, max_iter=2), "give the frames their pixel axes"),
     (lambda c: RandomEvents(c, k=4, kind="hot_pixel", max_iter=2), "kind='flip' works on any grid")],
)  # fmt: skip
def test_attacks_on_places_need_grids_with_places(events, build, fix):
    flat = plain((6, 128), nn.Linear(128, 10))
    x = events.x.reshape(len(events.x), 6, 128)
    with pytest.raises(ValueError, match=r"samples of shape \(6, 128\); expected grids \[T, C, H, W\]") as error:
        build(flat).generate(x, flat.predict(x).argmax(1))
    assert f"Fix: {fix}" in str(error.value)
    assert RandomEvents(flat, k=4, kind="flip", max_iter=2).generate(x, events.y).shape == x.shape


@pytest.mark.parametrize("share", [0, 1.5, math.nan])
def test_squares_begin_with_a_share_of_the_grid(events, share):
    with pytest.raises(ValueError, match=r"expected a share in \(0, 1\]\. Fix: p_init=0\.3"):
        EventSquare(events.clf, k=4, p_init=share)


def test_one_polarity_cannot_be_exchanged(events):
    clf = plain((6, 1, 8, 8), nn.Sequential(nn.Flatten(2), nn.Linear(64, 10)))
    x = np.ascontiguousarray(events.x[:, :, 1:])
    with pytest.raises(ValueError, match=r"kind='polarity' with one polarity; expected two channels\. Fix:"):
        RandomEvents(clf, k=4, kind="polarity").generate(x, clf.predict(x).argmax(1))


def test_one_pattern_is_for_binary_grids_one_mask_and_a_model_that_repeats_itself(events):
    with pytest.raises(ValueError, match=r"most=inf; expected binary grids\. Fix: leave most=1"):
        UniversalEventPerturbation(events.clf, k=K, most=math.inf)
    code = Transformed(EventFrames(T=6), SpikeJitter(1))
    random = plain((6, 2, 8, 8), nn.Sequential(nn.Flatten(2), nn.Linear(128, 10)), code)
    with pytest.raises(ValueError, match=r"a stochastic model; expected one that answers the same twice.*HammingFW"):
        UniversalEventPerturbation(random, k=K)
    mask = np.ones(events.x.shape)
    mask[0, ..., :4] = 0
    with pytest.raises(ValueError, match=r"a mask that differs between samples.*Fix: mask=mask\[0\]"):
        UniversalEventPerturbation(events.clf, k=K, max_iter=2).generate(events.x, events.y, mask=mask)
