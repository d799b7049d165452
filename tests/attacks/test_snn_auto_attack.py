"""The ladder: monotone, its last row the union, survivors only, nothing tuned on what is evaluated."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.attacks.evasion import PRESETS, SNNAutoAttack, SNNAutoPGD
from art_snn.attacks.evasion import calibration as cal
from art_snn.attacks.evasion.ascent import others
from art_snn.attacks.evasion.candidates import Candidate, code_backward, code_backwards, full_grid, small_grid
from art_snn.attacks.evasion.ladder import first_success
from art_snn.attacks.evasion.victim import Victim
from art_snn.coding import Direct, Latency, MembraneMean
from art_snn.errors import GradientWarning
from art_snn.gradients import RGA, Surrogate
from art_snn.networks import SpikingNetwork, mlp
from art_snn.threats import Linf, pixel_budget

TINY = replace(
    PRESETS["fast"], calibration_steps=3, finalists=2, steps=8, restarts=(2, 4), patience=2, targets=2, fab_targets=1,
    fab_steps=5, square=15, corners=5,
)  # fmt: skip


def made(clf, **settings):
    return SNNAutoAttack(clf, **{"eps": 0.06, "preset": TINY, "batch_size": 64, "verbose": False, **settings})


@pytest.fixture(scope="module")
def evaluated(digits):
    attack = made(digits.snn, calibration=digits.calibration, transfer=[digits.ann])
    return attack, attack.generate(digits.x, digits.y)


def test_the_ladder_is_monotone_and_ends_in_the_union(digits, evaluated):
    attack, x_adv = evaluated
    run = attack.last_run
    heights = [row.robust_accuracy for row in run.rows]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == run.robust_accuracy
    assert run.success.sum() == sum(row.broken for row in run.rows[1:])
    assert run.initially_wrong.sum() == run.rows[0].broken
    assert ((run.broken_by != "") == run.success).all()
    now = digits.snn.predict(x_adv).argmax(1)
    assert np.array_equal(run.success, (now != digits.y) & ~run.initially_wrong)
    assert run.success.sum() > 0
    assert run.unconfirmed == 0


def test_only_survivors_go_on(evaluated):
    rows = [row for row in evaluated[0].last_run.rows if row.rung not in ("calibration", "confirmed", "clean")]
    for before, after in pairwise(rows):
        assert after.attempted == before.attempted - before.broken


def test_budget_holds_and_wrong_samples_are_left_alone(digits, evaluated):
    attack, x_adv = evaluated
    assert Linf(0.06).contains(digits.x, x_adv).all()
    wrong = attack.last_run.initially_wrong
    assert np.array_equal(x_adv[wrong], digits.x[wrong])
    assert np.allclose(attack.last_run.usage, Linf(1).usage(digits.x, x_adv))


def test_costs_add_up(evaluated):
    run = evaluated[0].last_run
    outside = ("clean", "calibration", "confirmed")
    by_rung = sum(row.forwards for row in run.rows if row.rung not in outside)
    assert run.forwards.sum() == by_rung + len(run.forwards)
    assert run.backwards.sum() == sum(row.backwards for row in run.rows if row.rung not in outside)
    assert run.calibration_cost == next((row.forwards, row.backwards) for row in run.rows if row.rung == "calibration")


def test_the_record_prints_itself(evaluated):
    text = evaluated[0].last_run.table()
    for word in ("Linf(0.06)", "apgd-ce #1", "square", "transfer #1", "random corners", "confirmed", "fab"):
        assert word in text


def test_no_policy_of_the_grid_leaves_less(digits, evaluated):
    reached = evaluated[0].last_run.robust_accuracy
    for candidate in small_grid():
        alone = SNNAutoPGD(digits.snn, eps=0.06, max_iter=8, policy=candidate.policy)
        alone.generate(digits.x, digits.y)
        assert reached <= alone.last_run.summary["robust_accuracy"]


@pytest.mark.slow
def test_batches_do_not_matter(digits, evaluated):
    again = made(digits.snn, calibration=digits.calibration, transfer=[digits.ann], batch_size=16)
    x_adv = again.generate(digits.x, digits.y)
    assert np.array_equal(again.last_run.success, evaluated[0].last_run.success)
    assert Linf(0.06).contains(digits.x, x_adv).all()


def test_calibration_never_sees_evaluation_samples(digits):
    overlapping = (np.concatenate([digits.calibration[0], digits.x[:1]]), np.append(digits.calibration[1], 0))
    with pytest.raises(ValueError, match="1 evaluation samples"):
        made(digits.snn, calibration=overlapping).generate(digits.x, digits.y)


def test_without_a_split_fixed_policies_take_turns(digits):
    attack = made(digits.snn)
    attack.generate(digits.x[:8], digits.y[:8])
    main = [row.gradients for row in attack.last_run.rows if row.rung.startswith("apgd-ce #")]
    assert main[:2] == ["assg 0.45", "atan 8"]
    assert attack.last_run.calibration == []
    assert attack.last_run.surrogate_gap is None


def test_networks_without_spikes_climb_with_plain_gradients(digits):
    attack = made(digits.ann)
    attack.generate(digits.x, np.eye(10)[digits.y])
    assert {row.gradients for row in attack.last_run.rows} <= {"", "own"}
    assert attack.last_run.success.any()


def test_no_labels_means_the_own_predictions(digits):
    attack = made(digits.snn)
    attack.generate(digits.x[:6])
    assert not attack.last_run.initially_wrong.any()


def test_stochastic_networks_are_judged_by_votes(digits):
    attack = made(digits.poisson, eps=0.3, eot=2, votes=5, preset=replace(TINY, restarts=(1, 1), square=3))
    x_adv = attack.generate(digits.x[:8], digits.y[:8])
    assert attack.last_run.success.any()
    assert (attack.last_run.eot, attack.last_run.votes) == (2, 5)
    assert "fab" not in [row.rung for row in attack.last_run.rows]
    assert Linf(0.3).contains(digits.x[:8], x_adv).all()


@pytest.mark.parametrize(("threshold", "draws"), [(-1.0, 1), (2.0, 3)])
def test_the_number_of_draws_is_the_first_that_is_stable(digits, monkeypatch, threshold, draws):
    monkeypatch.setattr(cal, "_SAME", threshold)
    monkeypatch.setattr(cal, "DRAWS", (1, 3))
    victim = Victim(digits.poisson)
    with victim.attached():
        assert cal.enough_draws(victim, torch.tensor(digits.x[:2]), torch.tensor(digits.y[:2])) == draws


def test_progress_shows_the_ladder(digits, capsys):
    made(digits.snn, progress=True).generate(digits.x[:4], digits.y[:4])
    shown = capsys.readouterr()
    assert "apgd-ce #1" in shown.out + shown.err


def test_a_mask_reaches_every_rung(digits):
    mask = np.zeros(digits.x.shape)
    mask[..., 4:] = 1
    x_adv = made(digits.snn, eps=0.4).generate(digits.x, digits.y, mask=mask)
    assert np.array_equal(x_adv[..., :4], digits.x[..., :4])


class Probabilities(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).softmax(1)


class Remembers(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net, self.calls = net, 0

    def forward(self, x):
        self.calls += 1
        return self.net(x) * self.calls


def test_preflight_refuses_probabilities_and_memory(digits, make_classifier):
    for wrapper, reason in ((Probabilities, "probabilities"), (Remembers, "from call to call")):
        clf = make_classifier(wrapper(digits.ann.model), PyTorchClassifier)
        with pytest.raises(ValueError, match=reason):
            made(clf).generate(digits.x, digits.y)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
def test_preflight_refuses_a_code_that_hides_gradient(digits, make_classifier):
    clf = make_classifier(mlp((1, 8, 8), 10, encoder=Latency(T=4, backward="masked")))
    with pytest.raises(ValueError, match=r"encoder\.backward = 'shift'"):
        made(clf).generate(digits.x, digits.y)


class FlippedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return -grad


class Flipped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(FlippedSign.apply(x))


def test_a_flipped_gradient_is_flagged_and_beaten_by_queries(digits, make_classifier):
    clf = make_classifier(Flipped(digits.ann.model), PyTorchClassifier)
    attack = made(clf, eps=0.2, preset=replace(TINY, square=60, corners=30))
    with pytest.warns(GradientWarning, match="along the gradient"):
        attack.generate(digits.x, digits.y)
    assert any("square" in name or "corners" in name for name in attack.last_run.broken_by)


@pytest.mark.slow
def test_a_weak_training_surrogate_is_flagged(digits, make_classifier):
    net = mlp((1, 8, 8), 10, hidden=(32,), encoder=Direct(T=4), decoder=MembraneMean(tau=1.0)).double().eval()
    net.body.load_state_dict(digits.snn.model.body.state_dict())
    from spikingjelly.activation_based import surrogate

    for module in net.body:
        if hasattr(module, "surrogate_function"):
            module.surrogate_function = surrogate.ATan(alpha=2000.0)
    attack = made(make_classifier(net), eps=0.08, preset="fast", calibration=digits.calibration)
    attack.generate(digits.x, digits.y)
    assert attack.last_run.surrogate_gap > 0.1


@pytest.mark.parametrize("settings", [{"preset": "quick"}, {"eps": -1}, {"norm": 7}, {"calibration": (1,)},
                                      {"batch_size": 0}, {"votes": 0}])  # fmt: skip
def test_parameters_out_of_range_are_refused(digits, settings):
    with pytest.raises(ValueError, match="expected"):
        made(digits.snn, **settings)


def test_candidates_that_a_neuron_cannot_follow_are_left_out(digits):
    from spikingjelly.activation_based import layer, neuron

    body = nn.Sequential(layer.Flatten(step_mode="m"), layer.Linear(64, 10, step_mode="m"),
                         neuron.QIFNode(step_mode="m"), layer.Linear(10, 10, step_mode="m"))  # fmt: skip
    net = SpikingNetwork(Direct(T=2), body)
    assert cal.follows(Candidate("own", "own"), net)
    assert cal.follows(Candidate("atan", "surrogate", Surrogate("atan", 4.0)), net)
    assert not cal.follows(Candidate("rga", "rate", RGA()), net)


def test_backward_passes_of_a_code_are_tried_and_put_back():
    net = mlp((1, 8, 8), 10, encoder=Latency(T=4))
    assert code_backwards(net) == ["shift", "identity", "soft_latency"]
    assert code_backwards(mlp((1, 8, 8), 10)) == [None]
    with code_backward(net, "identity"):
        assert net.encoder.backward == "identity"
    assert net.encoder.backward == "shift"


def test_further_policies_come_from_other_families():
    grid = full_grid()
    names = [one.name for one in others([grid[3], *grid], 3)]
    assert [one.family for one in others([grid[3], *grid], 3)] == ["adaptive", "rate", "potential"]
    assert "own" not in names


def test_restarts_side_by_side_are_those_one_after_the_other(digits):
    attack = SNNAutoPGD(digits.snn, eps=0.05, max_iter=5, nb_random_init=3)
    attack.generate(digits.x, digits.y)
    three = np.tile(np.arange(len(digits.x)), 3)
    beside = SNNAutoPGD(digits.snn, eps=0.05, max_iter=5)
    points = beside.generate(digits.x[three], digits.y[three], first_restart=np.repeat(np.arange(3), len(digits.x)))
    picked, run = first_success(beside.record, points, 3)
    assert np.array_equal(run.success, attack.last_run.success)
    assert np.array_equal(run.restart, attack.last_run.restart)
    solved = run.success
    assert np.array_equal(picked[solved], points.reshape(3, *digits.x.shape)[run.restart[solved], solved.nonzero()[0]])


@pytest.mark.parametrize(("norm", "eps"), [(2, 0.5), (1, 1.5)])
def test_other_norms_climb_too(digits, norm, eps):
    attack = made(digits.ann, norm=norm, eps=eps)
    x_adv = attack.generate(digits.x[:12], digits.y[:12])
    assert pixel_budget(norm, eps).contains(digits.x[:12], x_adv).all()
    assert attack.last_run.success.any()
    assert "sa-pgd-ce" not in [row.rung for row in attack.last_run.rows]
