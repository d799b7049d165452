import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import EventFrames, Latency
from art_snn.defenses.trainer import PlainTrainer, RetimingAdversarialTrainer
from art_snn.networks import mlp


@pytest.fixture(scope="module")
def grids():
    """Three classes told apart by when, not where, events come; some noise events."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (rng.random((120, 6, 2, 3, 3)) < 0.05).astype(np.float32)
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += rng.random((2, 2, 3, 3)) < 0.5
    return x.clip(0, 1), y


def classifier():
    net = mlp((2, 3, 3), 3, hidden=(24,), encoder=EventFrames(6))
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (6, 2, 3, 3), 3, adam, device_type="cpu")


def test_training_samples_stay_inside_the_retiming_budget(grids):
    x, y = torch.tensor(grids[0]), torch.tensor(grids[1])
    trainer = RetimingAdversarialTrainer(classifier(), jitter=1, moves=3, max_iter=2)
    moved = trainer.perturbed(x, y)
    assert not torch.equal(moved, x)
    assert bool(trainer.attack.threat.contains(x, moved).all())
    assert torch.equal(moved.sum(1), x.sum(1))


def test_samples_without_room_stay_clean(grids):
    x = torch.tensor(grids[0][:4]).clone()
    x[1] = 0
    trainer = RetimingAdversarialTrainer(classifier(), jitter=1, max_iter=2)
    moved = trainer.perturbed(x, torch.tensor(grids[1][:4]))
    assert torch.equal(moved[1], x[1])


def test_clean_share_one_is_plain_training(grids, same_weights):
    plain, other = classifier(), classifier()
    PlainTrainer(plain, validation=0.0).fit(*grids, nb_epochs=1)
    RetimingAdversarialTrainer(other, clean_share=1.0, validation=0.0).fit(*grids, nb_epochs=1)
    assert same_weights(plain, other)


def test_trains_without_room_stay_as_they_are(grids):
    trainer = RetimingAdversarialTrainer(classifier(), jitter=1, max_iter=2)
    full = torch.ones(torch.tensor(grids[0][:4]).shape)
    for trains in (full, 0 * full):
        assert torch.equal(trainer.perturbed(trains, torch.tensor(grids[1][:4])), trains)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_loss_is_shared_between_clean_and_retimed_trains(grids, share):
    trainer = RetimingAdversarialTrainer(classifier(), jitter=1, max_iter=2, clean_share=share)
    x, y = torch.tensor(grids[0][:8]), torch.tensor(grids[1][:8])
    trainer.generator = torch.Generator().manual_seed(0)
    moved = trainer.task_loss(trainer.logits(trainer.perturbed(x, y)), y)
    clean = trainer.task_loss(trainer.logits(x), y)
    assert not torch.isclose(moved, clean)
    trainer.generator = torch.Generator().manual_seed(0)
    assert torch.isclose(trainer.loss(x, y), share * clean + (1 - share) * moved)


def test_a_latency_code_is_attacked_at_its_spikes(few, classify):
    clf = classify(encoder=Latency(T=6))
    before = {name: value.clone() for name, value in clf.model.state_dict().items()}
    trainer = RetimingAdversarialTrainer(clf, jitter=1, max_iter=1)
    trainer.fit(*few, nb_epochs=1)
    assert "validation_robust" in trainer.history[0]
    assert any(not torch.equal(value, before[name]) for name, value in clf.model.state_dict().items())
    assert clf.predict(few[0]).shape == (80, 10)


def test_refusals(classify):
    with pytest.raises(ValueError, match="Latency or Poisson"):
        RetimingAdversarialTrainer(classify())
    with pytest.raises(ValueError, match="clean_share"):
        RetimingAdversarialTrainer(classifier(), clean_share=2.0)
    with pytest.raises(ValueError, match="jitter, delay or moves"):
        RetimingAdversarialTrainer(classifier(), jitter=None)
