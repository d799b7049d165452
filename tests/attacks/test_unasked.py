"""On a device that has to be waited for, an attack looks once in several steps, and finds the same."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from art_snn import SNNClassifier
from art_snn.attacks.evasion import (
    FAB,
    EventSquare,
    GumbelEventAttack,
    HammingFW,
    LatencyPGD,
    RandomEvents,
    SNNAutoPGD,
    SNNSquare,
    SpikeCompatibleGradient,
    StableAdaptivePGD,
    draws,
    native,
)
from art_snn.coding import Direct, EventFrames, Latency, Poisson
from art_snn.gradients import ASSG, Surrogate
from art_snn.networks import cnn, mlp

SAMPLES = 12


def classifier(code, device="cpu"):
    torch.manual_seed(0)
    net = cnn((1, 8, 8), 5, channels=(4, 6), hidden=12, encoder=code).eval()
    for weight in net.parameters():
        weight.data.mul_(2)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 5, clip_values=(0.0, 1.0), device_type=device)


def images():
    return np.random.default_rng(0).random((SAMPLES, 1, 8, 8), dtype=np.float32)


def run(monkeypatch, every, code=None, kind=SNNAutoPGD, change=None, **settings):
    monkeypatch.setattr(native, "interval", lambda device: every)
    clf = classifier(Latency(T=4) if code is None else code)
    if change is not None:
        change(clf.model)
    attack = kind(clf, **{"eps": 0.08, "max_iter": 11, "batch_size": 7, **settings})
    return attack.generate(images()), attack.record


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"policy": ASSG(0.45)}, {"policy": Surrogate("atan", 8.0), "nb_random_init": 2},
        {"norm": 2, "eps": 0.9}, {"norm": 1, "eps": 6.0}, {"kind": StableAdaptivePGD}, {"loss_type": "dlr_targeted"},
        {"code": Poisson(T=4), "eot": 2, "votes": 3}, {"kind": SNNSquare}, {"kind": SNNSquare, "norm": 2, "eps": 0.9},
        {"kind": FAB, "loss_type": "difference", "eps": 0.2}, {"kind": FAB, "loss_type": "difference", "eps": None},
        {"kind": LatencyPGD},
    ],
    ids=str,
)  # fmt: skip
def test_how_often_it_looks_changes_nothing(monkeypatch, settings):
    found, expected = (run(monkeypatch, every, **settings) for every in (4, 1))
    assert np.array_equal(found[0], expected[0])
    for name, value in vars(expected[1]).items():
        assert np.array_equal(getattr(found[1], name), value), name
    if "code" not in settings:
        assert expected[1].success.sum() > 0


EVENTS = [EventSquare, GumbelEventAttack, HammingFW, RandomEvents, SpikeCompatibleGradient]


def on_events(kind, steps):
    torch.manual_seed(0)
    net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5)).eval()
    for weight in net.parameters():
        weight.data.mul_(2)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    grids = (np.random.default_rng(0).random((SAMPLES, 5, 2, 4, 4)) < 0.3).astype(np.float32)
    attack = kind(clf, k=3, max_iter=steps)
    return attack.generate(grids), attack.record


@pytest.mark.parametrize("kind", EVENTS)
def test_attacks_on_events_look_as_seldom_and_find_the_same(monkeypatch, kind):
    outcomes = []
    for every in (4, 1):
        monkeypatch.setattr(native, "interval", lambda device, every=every: every)
        outcomes.append(on_events(kind, 11))
    assert np.array_equal(outcomes[0][0], outcomes[1][0])
    for name, value in vars(outcomes[1][1]).items():
        assert np.array_equal(getattr(outcomes[0][1], name), value), name
    monkeypatch.setattr(native, "interval", lambda device: 8)
    monkeypatch.setattr(kind, "_hit", lambda self, z, y: torch.zeros(len(z), dtype=torch.bool))
    looks = []
    for steps in (15, 47):
        with Asked() as counter:
            on_events(kind, steps)
        looks.append(sum(counter.found.values()))
    assert looks[1] - looks[0] <= 2 * (47 - 15) // 8


def silent(net):
    """No neuron of the second layer ever fires, so there is no gradient."""
    for node in net.modules():
        if hasattr(node, "v_threshold"):
            node.surrogate_function = Dead()


class Dead(nn.Module):
    """Fires, and passes no gradient."""

    spiking = True

    def forward(self, v):
        return (v >= 0).to(v) + 0.0 * v


def test_steps_without_gradient_are_counted_alike(monkeypatch):
    found, expected = (run(monkeypatch, every, change=silent, eps=0.02) for every in (4, 1))
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1].zero_gradients, expected[1].zero_gradients)
    assert expected[1].zero_gradients.max() > 5


class Broken(Dead):
    """Passes a gradient that is not a number."""

    def forward(self, v):
        return (v >= 0).to(v) + 0.0 * (v - v.detach()).sqrt()


def broken(net):
    next(m for m in net.modules() if hasattr(m, "v_threshold")).surrogate_function = Broken()


@pytest.mark.parametrize("every", [1, 4, 100])
def test_a_gradient_that_is_not_a_number_is_an_error_all_the_same(monkeypatch, every):
    with pytest.raises(ValueError, match="a gradient that is not a number"):
        run(monkeypatch, every, change=broken)


ATEN = torch.ops.aten
ANSWERS = {ATEN._local_scalar_dense, ATEN.nonzero, ATEN.masked_select, ATEN.equal, ATEN._unique2}


class Asked(TorchDispatchMode):
    """Counts what a device would have to be waited for: values read, and shapes that depend on values."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kind = func._overloadpacket
        by_flags = kind in (ATEN.index, ATEN.index_put, ATEN.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.found[str(kind)] += kind in ANSWERS or by_flags
        return func(*args, **(kwargs or {}))


def asked(monkeypatch, every, steps, **settings):
    read = []
    original = torch.Tensor.tolist
    with monkeypatch.context() as patch, Asked() as counter:
        patch.setattr(torch.Tensor, "tolist", lambda self: read.append(self) or original(self))
        patch.setattr(torch.Tensor, "cpu", lambda self: read.append(self) or self)
        run(monkeypatch, every, **{"eps": 1e-4, "max_iter": steps, "batch_size": SAMPLES, **settings})
    return sum(counter.found.values()) + len(read)


@pytest.mark.parametrize("code", [Direct(4), Latency(4)], ids=["direct", "latency"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"policy": ASSG(0.45)},
        {"norm": 2},
        {"norm": 1},
        {"kind": StableAdaptivePGD},
        {"loss_type": "margin"},
        {"kind": SNNSquare, "loss_type": "margin"},
        {"kind": SNNSquare, "norm": 2, "loss_type": "margin"},
        {"kind": FAB, "loss_type": "difference"},
        {"kind": LatencyPGD},
    ],
    ids=str,
)
def test_one_look_in_several_steps(monkeypatch, code, settings):
    if settings.get("kind") is LatencyPGD and isinstance(code, Direct):
        pytest.skip("moves spikes of a latency code")
    few, many = (asked(monkeypatch, 8, steps, code=code, **settings) for steps in (15, 47))
    assert many - few <= 2 * (47 - 15) // 8
    if not settings:
        every_step = asked(monkeypatch, 1, 47, code=code)
        assert every_step > many + 100


def test_signs_depend_on_key_step_and_place_alone():
    like = torch.zeros(3, 2, 500)
    keys = torch.tensor([5, 2**32 - 1, 5])
    signs = draws.signs(keys, 4, like)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(signs[1], draws.signs(keys[1:2], 4, like[:1])[0])
    others = [draws.signs(keys, 5, like), draws.signs(keys + 1, 4, like), signs.flip(2)]
    assert all(0.45 < (signs == other).double().mean() < 0.55 for other in others)
    every = torch.stack([draws.signs(torch.arange(2000), step, torch.zeros(2000, 4)) for step in range(5)])
    assert every.mean((1, 2)).abs().max() < 0.06
    assert abs((every[:, :, 0] * every[:, :, 1]).mean().item()) < 0.04


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.cuda
def test_cuda_is_not_waited_for():
    attack = SNNAutoPGD(classifier(Latency(4), "gpu"), eps=0.05, max_iter=40)
    attack.generate(images())
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            attack.generate(images())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert sum("synchron" in str(one.message) for one in heard) < 40
