"""Where a trainer's idea is off, its weights are those of plain training, bit for bit."""

import pytest
import torch

from art_snn.defenses.trainer import (
    HIRE,
    RAT,
    GaussianNoiseTrainer,
    GradientNorm,
    MembranePerturbation,
    PGDTrainer,
    PlainTrainer,
    RobustFineTuning,
    SparseGradient,
    StochasticGateTrainer,
    TRADESTrainer,
)

OFF = {
    "gaussian": lambda clf, **k: GaussianNoiseTrainer(clf, sigma=0.0, **k),
    "trades": lambda clf, **k: TRADESTrainer(clf, beta=0.0, **k),
    "pgd": lambda clf, **k: PGDTrainer(clf, eps=0.0, max_iter=1, **k),
    "rat": lambda clf, **k: RAT(clf, eps=0.0, max_iter=1, beta=0.0, **k),
    "sr": lambda clf, **k: SparseGradient(clf, beta=0.0, **k),
    "nt": lambda clf, **k: GradientNorm(clf, beta=0.0, **k),
    "mpp": lambda clf, **k: MembranePerturbation(clf, layer="body.2", alpha=0.0, kappa=1.0, **k),
    "hire": lambda clf, **k: HIRE(clf, periods=1, **k),
    "fine-tune": lambda clf, **k: RobustFineTuning(clf, beta=0.0, **k),
}


@pytest.mark.parametrize("name", OFF)
def test_off_is_plain_training(name, few, classify, same_weights):
    plain, other = classify(), classify()
    plain.model.fast = other.model.fast and name != "hire"  # whose periods step through SpikingJelly's own neurons
    PlainTrainer(plain, validation=0.0, seed=3).fit(*few, batch_size=16, nb_epochs=2)
    OFF[name](other, validation=0.0, seed=3).fit(*few, batch_size=16, nb_epochs=2)
    assert same_weights(plain, other)


ON = {
    "gaussian": lambda clf, **k: GaussianNoiseTrainer(clf, sigma=0.1, **k),
    "trades": lambda clf, **k: TRADESTrainer(clf, eps=0.1, max_iter=1, beta=1.0, **k),
    "pgd": lambda clf, **k: PGDTrainer(clf, eps=0.1, max_iter=1, **k),
    "rat": lambda clf, **k: RAT(clf, eps=0.0, max_iter=1, beta=0.01, **k),
    "sr": lambda clf, **k: SparseGradient(clf, beta=1.0, **k),
    "nt": lambda clf, **k: GradientNorm(clf, beta=0.1, **k),
    "mpp": lambda clf, **k: MembranePerturbation(clf, layer="body.2", alpha=1.0, kappa=1.0, **k),
    "hire": lambda clf, **k: HIRE(clf, periods=2, **k),
    "fine-tune": lambda clf, **k: RobustFineTuning(clf, eps=0.1, **k),
}


@pytest.mark.parametrize("name", ON)
def test_on_is_another_training_and_repeats_itself(name, few, classify, same_weights):
    plain, one, two = classify(), classify(), classify()
    PlainTrainer(plain, validation=0.0, seed=3).fit(*few, batch_size=16, nb_epochs=1)
    ON[name](one, validation=0.0, seed=3).fit(*few, batch_size=16, nb_epochs=1)
    torch.rand(5)
    ON[name](two, validation=0.0, seed=3).fit(*few, batch_size=16, nb_epochs=1)
    assert same_weights(one, two)
    assert not same_weights(plain, one)


def test_gates_without_budget_and_penalty_are_plain_training(few, classify, same_weights):
    plain, other = classify("gated"), classify("gated")
    PlainTrainer(plain, validation=0.0).fit(*few, nb_epochs=1)
    StochasticGateTrainer(other, eps=0.0, gamma=0.0, validation=0.0).fit(*few, nb_epochs=1)
    assert same_weights(plain, other)


def test_rates_of_gates_stop_learning_at_half_time(few, classify):
    clf = classify("gated")
    gates, seen = [m for m in clf.model.modules() if hasattr(m, "P")], []

    class Watched(StochasticGateTrainer):
        def after_step(self):
            seen.append(gates[0].P.detach().clone())

    Watched(clf, eps=0.0, gamma=1e-2, validation=0.0).fit(*few, batch_size=80, nb_epochs=4)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3])
    assert gates[0].P.requires_grad


def test_plain_training_of_one_batch_is_arts(few, classify):
    """Only the order of samples differs between the two, and one batch has none but in its sums."""
    ours, arts = classify(), classify()
    PlainTrainer(ours, validation=0.0).fit(*few, batch_size=80, nb_epochs=3)
    arts.fit(*few, batch_size=80, nb_epochs=3)
    for name, value in arts.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, atol=1e-4, rtol=1e-3)
