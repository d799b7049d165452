import pytest
import torch

from art_snn.attacks import SNNAutoPGD
from art_snn.defenses.trainer import MARTTrainer, PGDTrainer, PlainTrainer, RobustFineTuning, TRADESTrainer, linf_ascent


def test_points_stay_in_the_ball_and_the_box_at_every_step():
    x = torch.rand(20, 7)
    seen = []

    def objective(p):
        seen.append(p.detach().clone())
        return (p**2).sum()

    last = linf_ascent(objective, x, 0.1, 0.07, 4, (0.0, 1.0), torch.Generator().manual_seed(0))
    for point in [*seen, last]:
        assert float((point - x).abs().max()) <= 0.1 + 1e-6
        assert float(point.min()) >= 0
        assert float(point.max()) <= 1


def test_a_flat_place_is_left_in_a_random_direction():
    x = torch.full((4, 6), 0.5)
    moved = linf_ascent(lambda p: (0 * p).sum(), x, 0.1, 0.2, 1, (0.0, 1.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close((moved - x).abs(), torch.full((4, 6), 0.1))


def test_the_objective_grows():
    w = torch.randn(6)
    x = torch.rand(5, 6)
    moved = linf_ascent(lambda p: (p @ w).sum(), x, 0.1, 0.1, 4, (-10.0, 10.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close((moved - x) @ w, 0.1 * w.abs().sum().expand(5))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PGDTrainer, TRADESTrainer, MARTTrainer, RobustFineTuning])
def test_robust_accuracy_is_gained(kind, digits, classify):
    x, y, x_test, y_test = digits
    plain, robust = classify(hidden=64), classify(hidden=64)
    PlainTrainer(plain).fit(x, y, nb_epochs=10)
    kind(robust, eps=0.1).fit(x, y, nb_epochs=10)

    def under_attack(clf):
        x_adv = SNNAutoPGD(clf, eps=0.1, max_iter=30).generate(x_test, y_test)
        return float((clf.predict(x_adv).argmax(1) == y_test).mean())

    assert under_attack(robust) > under_attack(plain) + 0.1


def test_a_short_training_gains_robust_accuracy(digits, classify):
    x, y, x_test, y_test = (part[:600] for part in digits)
    scores = {}
    for kind in (PlainTrainer, PGDTrainer):
        clf = classify(hidden=32, lr=1e-2)
        (kind(clf) if kind is PlainTrainer else kind(clf, eps=0.1, max_iter=3)).fit(x, y, nb_epochs=8)
        judge = PGDTrainer(clf, eps=0.1, eps_step=0.02, max_iter=15)
        scores[kind] = judge.validate(torch.tensor(x_test), torch.tensor(y_test))["validation_robust"]
    assert scores[PGDTrainer] > scores[PlainTrainer] + 0.1
