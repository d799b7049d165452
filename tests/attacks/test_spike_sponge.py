"""SpikeSponge: what it claims is measured again here, by a count of its own."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.attacks.evasion.brightening import brightened, with_random_events
from art_snn.attacks.evasion.spike_sponge import SpikeSponge
from art_snn.coding import EventFrames
from art_snn.gradients import ASSG
from art_snn.threats import L2, Linf


class AddOnly:
    """A threat model that the library does not know: at most k events more, on binary grids."""

    def __init__(self, k):
        self.k = k

    def usage(self, x, x_adv):
        return (x_adv - x).flatten(1).sum(1)

    def contains(self, x, x_adv):
        change = (x_adv - x).flatten(1)
        return ((x_adv == 0) | (x_adv == 1)).flatten(1).all(1) & (change >= 0).all(1) & (change.sum(1) <= self.k)

    def project(self, x, x_adv):
        gain = torch.where(x == 0, x_adv, torch.zeros_like(x)).flatten(1)
        rank = gain.argsort(1, descending=True).argsort(1)
        return torch.where(((rank < self.k) & (gain > 0)).view_as(x), 1.0, x)


def spikes_by_hand(classifier, x):
    """SynOps of the fixture's network: a hidden layer of 32 neurons, each with 10 synapses, behind a direct code."""
    trains = []
    node = classifier.model.body[2]
    handle = node.register_forward_hook(lambda module, args, out: trains.append(out.detach()))
    with torch.no_grad():
        classifier.model(torch.tensor(x).double())
    handle.remove()
    return 10 * trains[0].sum((0, 2)).numpy()


@pytest.fixture(scope="module")
def grids():
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(18, 12, step_mode="m"), neuron.IFNode(step_mode="m"),
        layer.Linear(12, 3, step_mode="m"),
    )  # fmt: skip
    net = SpikingNetwork(EventFrames(T=4), body).double()
    x = (np.random.default_rng(0).random((6, 4, 2, 3, 3)) < 0.2).astype(np.float32)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (4, 2, 3, 3), 3, clip_values=(0, 1), device_type="cpu"), x


@pytest.fixture
def attacked(digits):
    attack = SpikeSponge(digits.snn, eps=0.1, max_iter=8)
    return attack, digits.x[:12], digits.y[:12]


def test_energy_is_what_an_independent_count_finds(attacked, digits):
    attack, x, _ = attacked
    x_adv = attack.generate(x)
    assert np.array_equal(attack.record.clean, spikes_by_hand(digits.snn, x))
    assert np.array_equal(attack.record.adversarial, spikes_by_hand(digits.snn, x_adv))
    baseline = brightened(torch.tensor(x), Linf(0.1)).numpy()
    assert np.array_equal(attack.record.baseline, spikes_by_hand(digits.snn, baseline))
    assert np.array_equal(attack.record.beats_baseline, attack.record.adversarial > attack.record.baseline)


def test_labels_are_kept_and_energy_never_falls(attacked, digits):
    attack, x, _ = attacked
    x_adv = attack.generate(x)
    run = attack.record
    assert run.label_kept.all()
    assert np.array_equal(digits.snn.predict(x_adv).argmax(1), digits.snn.predict(x).argmax(1))
    assert (np.diff(run.trace, axis=0) >= 0).all()
    assert np.array_equal(run.trace[-1], run.adversarial)
    assert (run.adversarial > run.clean).all()
    assert Linf(0.1).contains(x, x_adv).all()


def test_the_gradient_does_better_than_light_alone(attacked):
    attack, x, _ = attacked
    attack.generate(x)
    run = attack.record
    kept = run.baseline_label_kept
    assert (run.adversarial[kept] >= run.baseline[kept]).all()  # the second run starts there
    assert run.summary["beats_baseline"] > 0.5


def test_without_the_label_energy_is_at_least_as_high_and_labels_may_go(digits):
    x = digits.x[:12]
    energies = {}
    for keep in (True, False):
        attack = SpikeSponge(digits.snn, eps=0.3, max_iter=8, keep_label=keep, penalty=0.0)
        attack.generate(x)
        energies[keep] = attack.record.adversarial.mean()
        assert attack.record.label_kept.all() == keep
    assert energies[False] >= energies[True]


def test_batches_order_and_seeds(digits):
    x = digits.x[:6]
    runs = [SpikeSponge(digits.snn, eps=0.1, max_iter=4, nb_random_init=3, batch_size=b).generate(x) for b in (64, 2)]
    assert np.array_equal(*runs)
    turned = SpikeSponge(digits.snn, eps=0.1, max_iter=4, nb_random_init=3).generate(x[::-1].copy())
    assert np.array_equal(turned[::-1], runs[0])


def test_no_budget_no_change_and_wrong_samples_are_left_alone(digits):
    x = digits.x[:6]
    attack = SpikeSponge(digits.snn, eps=0.0, max_iter=2)
    assert np.array_equal(attack.generate(x), x)
    wrong = (digits.snn.predict(x).argmax(1) + 1) % 10
    attack = SpikeSponge(digits.snn, eps=0.1, max_iter=2)
    assert np.array_equal(attack.generate(x, wrong), x)
    assert attack.record.initially_wrong.all()
    assert attack.record.summary == {}


def test_masks_and_other_norms(digits):
    x = digits.x[:4]
    mask = np.zeros((1, 8, 8), dtype=np.float32)
    mask[:, :4] = 1
    attack = SpikeSponge(digits.snn, norm=2, eps=0.5, max_iter=4)
    x_adv = attack.generate(x, mask=mask)
    assert np.array_equal(x_adv[:, :, 4:], x[:, :, 4:])
    assert L2(0.5).contains(x, x_adv).all()
    assert (attack.record.adversarial >= attack.record.clean).all()


def test_event_grids_under_a_budget_the_library_does_not_know(grids):
    classifier, x = grids
    attack = SpikeSponge(classifier, threat=AddOnly(5), max_iter=8, keep_label=False, penalty=0.0)
    x_adv = attack.generate(x)
    run = attack.record
    assert set(np.unique(x_adv)) <= {0.0, 1.0}
    assert ((x_adv - x).reshape(len(x), -1).sum(1) <= 5).all()
    assert (x_adv >= x).all()
    assert (run.adversarial > run.clean).all()
    assert run.adversarial.sum() > run.baseline.sum()
    assert np.allclose(run.per_event * x_adv.reshape(len(x), -1).sum(1), run.adversarial)


def test_random_events_are_as_many_as_asked_and_where_nothing_was():
    x = torch.zeros(2, 4, 5)
    x[:, 0] = 1
    more = with_random_events(x, torch.tensor([3, 0]), [1, 2], Linf(1.0))
    assert (more - x).flatten(1).sum(1).tolist() == [3.0, 0.0]
    assert bool((more >= x).all())


def test_a_silent_network_takes_random_steps_and_says_so():
    net = SpikingNetwork(EventFrames(T=2), nn.Sequential(layer.Linear(2, 2, step_mode="m")))
    silent = SNNClassifier(net, nn.CrossEntropyLoss(), (2, 2), 2, clip_values=(0, 1), device_type="cpu")
    net.body[0].weight.data.zero_()
    attack = SpikeSponge(silent, eps=0.1, max_iter=3)
    x = np.zeros((2, 2, 2), dtype=np.float32)
    assert np.array_equal(attack.generate(x), x)
    assert (attack.record.zero_gradients == 6).all()


def test_a_stochastic_network_and_the_model_is_left_alone(digits):
    x = digits.x[:3]
    before = digits.poisson.model.state_dict()
    attack = SpikeSponge(digits.poisson, eps=0.1, max_iter=2, eot=2, votes=3)
    first = attack.generate(x)
    assert np.array_equal(first, attack.generate(x))
    assert all(torch.equal(value, before[name]) for name, value in digits.poisson.model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in digits.poisson.model.modules())
    assert (attack.record.forwards == 3 * 2 * 2 + 2 * 2 * 2 + 9).all()


def test_a_policy_steers_and_what_cannot_be_attacked_is_refused(digits):
    SpikeSponge(digits.snn, eps=0.1, max_iter=2, policy=ASSG(0.45)).generate(digits.x[:3])
    with pytest.raises(TypeError, match="a network that spikes"):
        SpikeSponge(digits.ann)
    for bad in ({"max_iter": 0}, {"penalty": -1.0}, {"norm": 1}, {"eps": -0.1}):
        with pytest.raises(ValueError, match="Fix"):
            SpikeSponge(digits.snn, **bad)


def test_an_attack_on_the_label_is_no_attack_on_energy(digits):
    """The other direction of the comparison: PGD breaks labels and spends less than the sponge."""
    x, y = digits.x[:8], digits.y[:8]
    attack = SpikeSponge(digits.snn, eps=0.1, max_iter=8)
    attack.generate(x)
    broken = ProjectedGradientDescent(digits.snn, eps=0.1, eps_step=0.02, max_iter=8, verbose=False).generate(x, y)
    assert spikes_by_hand(digits.snn, broken).sum() < attack.record.adversarial.sum()
