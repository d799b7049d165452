"""What every native attack promises, whatever its idea."""

import copy

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn.attacks.evasion import FAB, RandomCorners, SNNAutoPGD, SNNSquare, StableAdaptivePGD, Transfer
from art_snn.attacks.evasion.victim import Victim
from art_snn.coding import Direct, MembraneMean
from art_snn.gradients import ASSG, SCG, Surrogate
from art_snn.networks import SpikingNetwork
from art_snn.threats import Linf, pixel_budget

EPS = {np.inf: 0.1, 2: 0.7, 1: 2.0}
GRADIENT = (SNNAutoPGD, StableAdaptivePGD)
ALL = (*GRADIENT, SNNSquare, RandomCorners)


def made(kind, clf, **settings):
    defaults = {"eps": 0.1, "max_iter": 8, "batch_size": 16}
    return kind(clf, **{**defaults, **settings})


def cases():
    for kind in ALL:
        for norm in (np.inf,) if kind is StableAdaptivePGD else (np.inf, 2, 1):
            yield pytest.param(kind, norm, id=f"{kind.__name__}-{norm}")


@pytest.mark.parametrize(("kind", "norm"), cases())
def test_budget_range_and_flags_hold(digits, kind, norm):
    before = digits.x.copy()
    attack = made(kind, digits.snn, norm=norm, eps=EPS[norm])
    x_adv = attack.generate(digits.x, digits.y)
    run = attack.last_run
    assert np.array_equal(digits.x, before)
    assert x_adv.dtype == np.float32
    assert x_adv.shape == digits.x.shape
    assert pixel_budget(norm, EPS[norm]).contains(digits.x, x_adv).all()
    assert np.allclose(run.usage, pixel_budget(norm, 1).usage(digits.x, x_adv))
    clean, now = digits.snn.predict(digits.x).argmax(1), digits.snn.predict(x_adv).argmax(1)
    assert np.array_equal(run.initially_wrong, clean != digits.y)
    assert np.array_equal(run.success, (clean == digits.y) & (now != digits.y))
    assert np.array_equal(x_adv[run.initially_wrong], digits.x[run.initially_wrong])
    assert ((run.step >= 0) == run.success).all()


@pytest.mark.parametrize("kind", ALL)
def test_results_do_not_depend_on_batch_or_order(digits, kind):
    whole = made(kind, digits.snn, batch_size=64).generate(digits.x, digits.y)
    pieces = made(kind, digits.snn, batch_size=5).generate(digits.x, digits.y)
    assert np.array_equal(whole, pieces)
    order = np.random.default_rng(0).permutation(len(digits.x))
    turned = made(kind, digits.snn).generate(digits.x[order], digits.y[order])
    assert np.array_equal(whole[order], turned)
    some = np.arange(0, len(digits.x), 3)
    assert np.array_equal(whole[some], made(kind, digits.snn).generate(digits.x[some], digits.y[some]))


@pytest.mark.parametrize("policy", [ASSG(0.45), Surrogate("atan", 8.0)], ids=repr)
def test_survivors_do_not_notice_who_leaves(digits, policy):
    settings = {"policy": policy, "max_iter": 12, "eps": 0.05}
    whole = made(SNNAutoPGD, digits.snn, batch_size=64, **settings)
    together = whole.generate(digits.x, digits.y)
    assert 0 < whole.last_run.success.sum() < len(digits.x)
    for i in range(0, len(digits.x), 4):
        alone = made(SNNAutoPGD, digits.snn, **settings).generate(digits.x[i : i + 1], digits.y[i : i + 1])
        assert np.array_equal(together[i : i + 1], alone)


@pytest.mark.parametrize("kind", ALL)
def test_a_restart_can_be_repeated_alone(digits, kind):
    settings = {"eps": 0.06, "max_iter": 4}
    many = made(kind, digits.snn, nb_random_init=3, **settings)
    x_many = many.generate(digits.x, digits.y)
    third = np.flatnonzero(many.last_run.success & (many.last_run.restart == 2))
    last = made(kind, digits.snn, **settings)
    found = last.generate(digits.x, digits.y, first_restart=2)
    assert np.array_equal(found[third], x_many[third])
    mixed = np.arange(len(digits.x)) % 3
    by_sample = made(kind, digits.snn, **settings).generate(digits.x, digits.y, first_restart=mixed)
    assert np.array_equal(by_sample[mixed == 2], found[mixed == 2])


@pytest.mark.parametrize("kind", ALL)
def test_seeds_repeat_and_differ(digits, kind):
    one, two, other = (made(kind, digits.snn, seed=s, eps=0.03).generate(digits.x, digits.y) for s in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("kind", ALL)
def test_no_budget_is_the_identity(digits, kind):
    attack = made(kind, digits.snn, eps=0.0)
    assert np.array_equal(attack.generate(digits.x, digits.y), digits.x)
    assert not attack.last_run.success.any()


@pytest.mark.parametrize("kind", GRADIENT)
def test_a_larger_budget_with_a_warm_start_never_breaks_fewer(digits, kind):
    broken, starts = np.zeros(len(digits.x), dtype=bool), None
    for eps in (0.03, 0.06, 0.12):
        attack = made(kind, digits.snn, eps=eps)
        starts = attack.generate(digits.x, digits.y, starts=starts)
        assert (attack.last_run.success >= broken).all()
        broken = attack.last_run.success
    assert broken.any()


@pytest.mark.parametrize(("kind", "norm"), cases())
def test_without_bounds_every_sample_falls(digits, kind, norm):
    if kind is RandomCorners and norm != np.inf:
        pytest.skip("a random direction is no attack")
    attack = made(kind, digits.snn, norm=norm, eps=np.inf, max_iter=100, nb_random_init=2)
    attack.generate(digits.x, digits.y)
    assert attack.last_run.summary["robust_accuracy"] == 0.0


@pytest.mark.parametrize("kind", GRADIENT)
def test_gradients_beat_chance(digits, kind):
    attack, chance = made(kind, digits.snn, max_iter=20), made(RandomCorners, digits.snn, max_iter=21)
    for one in (attack, chance):
        one.generate(digits.x, digits.y)
    assert attack.last_run.success.sum() > chance.last_run.success.sum()


def test_projection_switched_off_is_found_out(digits, monkeypatch):
    monkeypatch.setattr(Linf, "project", lambda self, x, x_adv: x_adv)
    with pytest.raises(RuntimeError, match="outside Linf"):
        made(SNNAutoPGD, digits.snn).generate(digits.x, digits.y)


def test_any_visited_success_counts_and_failures_return_the_highest_loss(digits, monkeypatch):
    visited = []
    query = Victim.query

    def spy(self, x, *args, **settings):
        seen = query(self, x, *args, **settings)
        visited.append((x.clone(), seen))
        return seen

    monkeypatch.setattr(Victim, "query", spy)
    for i in range(8):
        visited.clear()
        attack = made(SNNAutoPGD, digits.snn, eps=0.05)
        x_adv = attack.generate(digits.x[i : i + 1], digits.y[i : i + 1])
        if attack.last_run.initially_wrong[0]:
            continue
        fooled = [int(seen.logits.argmax()) != digits.y[i] for _, seen in visited]
        assert attack.last_run.success[0] == any(fooled)
        if not any(fooled):
            best = max(visited, key=lambda one: float(one[1].loss))
            assert np.array_equal(x_adv, best[0].numpy())
            assert attack.last_run.best_loss[0] == pytest.approx(float(best[1].loss))
        else:
            assert attack.last_run.step[0] == fooled.index(True)


def test_cost_is_counted(digits):
    attack = made(SNNAutoPGD, digits.snn, eps=1e-6, max_iter=5, nb_random_init=2)
    attack.generate(digits.x, digits.y)
    right = ~attack.last_run.initially_wrong
    assert (attack.last_run.forwards[right] == 1 + 2 * 6).all()
    assert (attack.last_run.backwards[right] == 2 * 5).all()
    assert (attack.last_run.backwards[~right] == 0).all()
    assert len(attack.last_run.robust_accuracy) == 2


def test_another_forward_for_gradients_is_paid_and_never_judges(digits):
    attack = made(SNNAutoPGD, digits.snn, policy=SCG(), eps=1e-6, max_iter=5)
    x_adv = attack.generate(digits.x, digits.y)
    assert not attack.last_run.success.any()
    assert (attack.last_run.forwards[~attack.last_run.initially_wrong] == 1 + 2 * 5 + 1).all()
    assert np.array_equal(digits.snn.predict(x_adv).argmax(1), digits.snn.predict(digits.x).argmax(1))


def left_as_found(net):
    parameters = list(net.parameters())
    return (
        [m.training for m in net.modules()], [p.requires_grad for p in parameters], [p.grad for p in parameters],
        copy.deepcopy(net.state_dict()), net.eot, list(net.policies), torch.get_rng_state(),
    )  # fmt: skip


class Explodes(Surrogate):
    def steer(self, net, draw=0):
        raise RuntimeError("boom")


@pytest.mark.parametrize("policy", [None, ASSG(0.45), Explodes("atan", 2.0)], ids=["own", "assg", "exception"])
def test_the_estimator_is_left_as_it_was(digits, policy):
    net = digits.snn.model
    net.train()
    net.body[1].train(False)
    before = left_as_found(net)
    attack = made(SNNAutoPGD, digits.snn, policy=policy)
    try:
        if isinstance(policy, Explodes):
            with pytest.raises(RuntimeError, match="boom"):
                attack.generate(digits.x, digits.y)
        else:
            attack.generate(digits.x, digits.y)
        after = left_as_found(net)
    finally:
        net.eval()
    assert after[:3] == before[:3]
    assert after[4:6] == before[4:6]
    assert all(torch.equal(before[3][name], value) for name, value in after[3].items())
    assert torch.equal(before[6], after[6])


class NotANumber(nn.Module):
    spiking = True

    def forward(self, v):
        return (v >= 0).to(v) + (v * float("nan")).nan_to_num() * 0 + _bad(v)


class _Bad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v):
        return torch.zeros_like(v)

    @staticmethod
    def backward(ctx, grad):
        return torch.full_like(grad, float("nan"))


def _bad(v):
    return _Bad.apply(v)


def test_a_gradient_that_is_no_number_is_an_error_with_a_name(digits):
    with pytest.raises(ValueError, match=r"not a number.*NotANumber.*layer 'body.2'"):
        made(SNNAutoPGD, digits.snn, policy=Surrogate(NotANumber())).generate(digits.x, digits.y)


class Overflows(nn.Module):
    def forward(self, x):
        return x / 0.0


def test_a_loss_that_is_no_number_names_its_layer(make_classifier, digits):
    broken = nn.Sequential(nn.Flatten(), Overflows(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match=r"loss that is not a number, first seen in layer '1'"):
        made(SNNAutoPGD, make_classifier(broken, PyTorchClassifier)).generate(digits.x)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("loss", ["ce", "margin", "dlr", "dlr_targeted"])
def test_a_silent_network_is_safe(make_classifier, digits, loss):
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(64, 8, step_mode="m"),
        neuron.LIFNode(v_threshold=1e6, step_mode="m"), layer.Linear(8, 10, step_mode="m", bias=False),
    )  # fmt: skip
    from spikingjelly.activation_based import surrogate

    body[2].surrogate_function = surrogate.PiecewiseQuadratic()
    clf = make_classifier(SpikingNetwork(Direct(T=3), body, MembraneMean()))
    attack = made(SNNAutoPGD, clf, loss_type=loss, max_iter=3, nb_targets=2)
    x_adv = attack.generate(digits.x[:3], np.zeros(3, dtype=int))
    assert np.isfinite(x_adv).all()
    assert not attack.last_run.success.any()
    assert attack.last_run.zero_gradients.sum() == attack.last_run.backwards.sum() > 0


def test_labels_in_every_form(digits):
    index = made(SNNAutoPGD, digits.snn).generate(digits.x, digits.y)
    rows = made(SNNAutoPGD, digits.snn).generate(digits.x, np.eye(10)[digits.y])
    assert np.array_equal(index, rows)
    attack = made(SNNAutoPGD, digits.snn)
    own = attack.generate(digits.x)
    assert not attack.last_run.initially_wrong.any()
    assert np.array_equal(own, made(SNNAutoPGD, digits.snn).generate(digits.x, digits.snn.predict(digits.x)))
    single = made(SNNAutoPGD, digits.snn).generate(digits.x[:1], digits.y[:1])
    assert np.array_equal(single, index[:1])
    for bad in (digits.y[:-1], digits.y + 10, digits.y + 0.5):
        with pytest.raises(ValueError, match="labels"):
            made(SNNAutoPGD, digits.snn).generate(digits.x, bad)


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
def test_targeted_runs_reach_their_target(digits, loss):
    targets = (digits.y + 1) % 10
    attack = made(SNNAutoPGD, digits.snn, targeted=True, eps=0.4, max_iter=30, loss_type=loss)
    x_adv = attack.generate(digits.x, targets)
    reached = digits.snn.predict(x_adv).argmax(1) == targets
    assert np.array_equal(attack.last_run.success | attack.last_run.initially_wrong, reached)
    assert reached.mean() > 0.8
    with pytest.raises(ValueError, match="without y"):
        attack.generate(digits.x)


@pytest.mark.parametrize("kind", [*ALL, FAB])
def test_the_mask_is_kept(digits, kind):
    mask = np.zeros((1, 8, 8))
    mask[:, :, 3:] = 1
    attack = made(kind, digits.snn, eps=0.3)
    x_adv = attack.generate(digits.x, digits.y, mask=mask)
    assert np.array_equal(x_adv[..., :3], digits.x[..., :3])
    assert not np.array_equal(x_adv, digits.x)
    with pytest.raises(ValueError, match="mask"):
        attack.generate(digits.x, digits.y, mask=np.ones((3, 3)))


def test_networks_without_spikes_get_the_same_attack(digits):
    attack = made(SNNAutoPGD, digits.ann)
    attack.generate(digits.x, digits.y)
    assert attack.last_run.success.any()
    with pytest.raises(TypeError, match="SpikingNetwork"):
        made(SNNAutoPGD, digits.ann, policy=ASSG(0.45)).generate(digits.x, digits.y)


@pytest.mark.parametrize("kind", ALL)
def test_one_step_and_no_spike_is_the_analog_network(make_classifier, digits, kind):
    linear = nn.Linear(64, 10).double()
    clf = make_classifier(SpikingNetwork(Direct(T=1), nn.Sequential(nn.Flatten(2), linear), MembraneMean(tau=1.0)))
    plain = make_classifier(nn.Sequential(Double(), nn.Flatten(), linear), PyTorchClassifier)
    assert np.array_equal(made(kind, clf).generate(digits.x), made(kind, plain).generate(digits.x))


class Double(nn.Module):
    def forward(self, x):
        return x.double()


def test_transfer_judges_on_the_target(digits):
    attack = made(Transfer, digits.snn, source=digits.ann, eps=0.15, max_iter=20)
    x_adv = attack.generate(digits.x, digits.y)
    now = digits.snn.predict(x_adv).argmax(1) != digits.y
    assert np.array_equal(attack.last_run.success, now & ~attack.last_run.initially_wrong)
    assert attack.last_run.success.any()
    assert attack.last_run.backwards.sum() > 0


def test_transfer_from_itself_is_the_attack_itself(digits):
    one = made(Transfer, digits.snn, source=digits.snn).generate(digits.x, digits.y)
    assert np.array_equal(one, made(SNNAutoPGD, digits.snn).generate(digits.x, digits.y)) or np.abs(one).max() <= 1
    run = made(Transfer, digits.snn, source=digits.snn)
    run.generate(digits.x, digits.y)
    own = made(SNNAutoPGD, digits.snn)
    own.generate(digits.x, digits.y)
    assert np.array_equal(run.last_run.success, own.last_run.success)


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": 3}, {"eps": -1}, {"max_iter": 0}, {"nb_random_init": 0}, {"loss_type": "mse"}, {"batch_size": 0},
        {"seed": -1}, {"eot": 0}, {"votes": 0}, {"targeted": 1}, {"targeted": True, "loss_type": "dlr_targeted"},
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(digits, settings):
    with pytest.raises(ValueError, match="expected"):
        SNNAutoPGD(digits.snn, **settings)


def test_parameters_are_arts(digits):
    attack = made(SNNAutoPGD, digits.snn)
    attack.set_params(eps=0.2, targeted=True)
    assert attack.targeted
    assert "max_iter=8" in repr(attack)
    with pytest.raises(ValueError, match="cannot be set"):
        attack.set_params(nothing=1)
    with pytest.raises(TypeError, match="GradientPolicy"):
        attack.set_params(policy="atan")
    with pytest.raises(ValueError, match="norm=2"):
        StableAdaptivePGD(digits.snn, norm=2)
    with pytest.raises(RuntimeError, match="has not run"):
        _ = made(SNNAutoPGD, digits.snn).record
