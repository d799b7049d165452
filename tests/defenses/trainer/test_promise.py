"""The promise of the base class: validation from training data, best checkpoint, restoration, modes, seeds."""

import numpy as np
import pytest
import torch

from art_snn.coding import Poisson
from art_snn.defenses.trainer import GaussianNoiseTrainer, PGDTrainer, PlainTrainer, SparseGradient
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.defenses.trainer.passes import frozen_statistics, repeatable
from art_snn.defenses.trainer.samples import split_rows


def test_the_split_comes_from_the_training_data_and_is_not_trained_on(few, classify, monkeypatch):
    x, y = few
    trained, validated = [], []
    step, check = ValidatedTrainer.train_batch, ValidatedTrainer.validate

    def train_batch(self, xb, yb):
        trained.append(xb.clone())
        return step(self, xb, yb)

    def validate(self, xv, yv, batch_size=256):
        validated.append(xv.clone())
        return check(self, xv, yv, batch_size)

    monkeypatch.setattr(ValidatedTrainer, "train_batch", train_batch)
    monkeypatch.setattr(ValidatedTrainer, "validate", validate)
    PlainTrainer(classify(), validation=0.25).fit(x, y, batch_size=20, nb_epochs=2)
    rows = {row.tobytes() for row in x}
    used = {row.numpy().tobytes() for batch in trained for row in batch}
    held = {row.numpy().tobytes() for row in validated[0]}
    assert len(held) == 20
    assert not used & held
    assert used | held == rows
    assert torch.equal(validated[0], validated[1])


def test_the_best_checkpoint_is_kept_by_robust_accuracy(few, classify, monkeypatch):
    scores = iter([(0.9, 0.2), (0.5, 0.4), (0.8, 0.3)])
    weights = []

    def validate(self, x, y, batch_size=256):
        weights.append({name: value.clone() for name, value in self.model.state_dict().items()})
        clean, robust = next(scores)
        return {"validation_clean": clean, "validation_robust": robust}

    monkeypatch.setattr(ValidatedTrainer, "validate", validate)
    clf = classify()
    trainer = PlainTrainer(clf)
    trainer.fit(*few, nb_epochs=3)
    assert trainer.best_epoch == 1
    assert all(torch.equal(value, weights[1][name]) for name, value in clf.model.state_dict().items())
    assert not all(torch.equal(value, weights[2][name]) for name, value in clf.model.state_dict().items())


def test_validation_attacks_in_eval_mode_and_training_in_train_mode(few, classify):
    modes = []

    class Watched(PGDTrainer):
        def perturb(self, x, y, generator):
            modes.append(self.model.training)
            return super().perturb(x, y, generator)

        def after_step(self):
            modes.append(self.model.training)

    clf = classify(norm=True)
    trainer = Watched(clf, eps=0.1, max_iter=1)
    trainer.fit(*few, batch_size=72, nb_epochs=1)
    assert modes == [False, True, False]
    assert not clf.model.training
    assert set(trainer.history[0]) == {"epoch", "loss", "validation_clean", "validation_robust"}


def test_attacks_leave_batch_norm_alone(few, classify):
    clf = classify(norm=True)
    trainer = PGDTrainer(clf, eps=0.1, max_iter=3)
    before = {name: value.clone() for name, value in clf.model.state_dict().items()}
    clf.model.train()
    trainer.perturbed(torch.tensor(few[0]), torch.tensor(few[1]))
    assert clf.model.training
    assert all(torch.equal(value, before[name]) for name, value in clf.model.state_dict().items())


def test_a_penalty_pass_leaves_batch_norm_alone(few, classify):
    x, y = torch.tensor(few[0]), torch.tensor(few[1])
    plain, other = classify(norm=True), classify(norm=True)
    for clf, kind in ((plain, PlainTrainer), (other, SparseGradient)):
        clf.model.train()
        kind(clf).loss(x, y)
    for (name, value), (_, seen) in zip(plain.model.named_buffers(), other.model.named_buffers(), strict=True):
        assert torch.equal(value, seen), name


def test_frozen_statistics_change_no_output(few, classify):
    x, net = torch.tensor(few[0]), classify(norm=True).model.train()
    with frozen_statistics(net):
        frozen = net(x)
    norm = next(m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.track_running_stats
    assert int(norm.num_batches_tracked) == 0
    assert torch.equal(frozen, net(x))
    assert int(norm.num_batches_tracked) == 1


def test_repeatable_passes_draw_the_same(few, classify):
    x, net = torch.tensor(few[0]), classify(encoder=Poisson(T=4, seed=0)).model
    with repeatable(net, len(x), 5):
        one = net(x)
    with repeatable(net, len(x), 5):
        two = net(x)
    with repeatable(net, len(x), 6):
        three = net(x)
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_an_exception_restores_weights_and_optimizer(few, classify, same_weights):
    class Broken(PlainTrainer):
        def begin_epoch(self, epoch, nb_epochs):
            if epoch == 2:
                raise KeyboardInterrupt

    clf, fresh = classify(), classify()
    with pytest.raises(KeyboardInterrupt):
        Broken(clf).fit(*few, nb_epochs=3)
    assert same_weights(clf, fresh)
    assert not clf.model.training
    assert clf.optimizer.state_dict()["state"] == {}


def test_a_loss_that_is_no_number_is_an_error(few, classify, same_weights):
    class Broken(PlainTrainer):
        def loss(self, x, y):
            return super().loss(x, y) * torch.nan

    clf = classify()
    with pytest.raises(ValueError, match="learning rate"):
        Broken(clf).fit(*few, nb_epochs=1)
    assert same_weights(clf, classify())


def test_global_generators_are_left_alone(few, classify):
    trainer = GaussianNoiseTrainer(classify(encoder=Poisson(T=4, seed=0)), sigma=0.1)
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    trainer.fit(*few, nb_epochs=1)
    assert torch.equal(state, torch.get_rng_state())
    assert (legacy == np.random.get_state()[1]).all()


def test_budgets_are_in_input_units(few):
    """Standardization does not shrink the ball: the perturbation is taken in front of it."""
    from art.estimators.classification import PyTorchClassifier

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    clf = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, torch.optim.SGD(net.parameters(), lr=0.1),
        clip_values=(0.0, 1.0), preprocessing=(0.5, 0.25), device_type="cpu",
    )  # fmt: skip
    trainer = PGDTrainer(clf, eps=0.1, max_iter=5)
    x, y = torch.tensor(few[0]), torch.tensor(few[1])
    moved = trainer.perturbed(x, y)
    assert 0.099 < float((moved - x).abs().max()) <= 0.1 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    trainer.fit(*few, nb_epochs=1)


def test_split_rows():
    rows, held = split_rows(100, 0.1, torch.Generator().manual_seed(0))
    assert len(held) == 10
    assert sorted(torch.cat([rows, held]).tolist()) == list(range(100))
    assert len(split_rows(100, 0.0, torch.Generator())[1]) == 0
