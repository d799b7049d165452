import pytest
import torch

from art_snn.coding import Latency, Poisson
from art_snn.defenses.trainer import HIRE


@pytest.fixture
def watched():
    """A trainer that notes the inputs of each period."""

    class Watched(HIRE):
        seen: list

        def crafted(self, x, point, gradient):
            moved = super().crafted(x, point, gradient)
            self.seen.append((x, point, moved))
            return moved

    def make(*args, **kwargs):
        trainer = Watched(*args, **kwargs)
        trainer.seen = []
        return trainer

    return make


def test_inputs_move_by_the_step_and_stay_in_the_ball(few, classify, watched):
    trainer = watched(classify(), periods=4, step=0.1, step_limit=0.04, eps=0.06)
    trainer.fit(*few, nb_epochs=1)
    steps = [float((moved - point).abs().max()) for _, point, moved in trainer.seen]
    totals = [float((moved - x).abs().max()) for x, _, moved in trainer.seen]
    assert max(steps) == pytest.approx(0.04, abs=1e-6)
    assert max(totals) == pytest.approx(0.06, abs=1e-6)
    assert all(float(moved.min()) >= 0 and float(moved.max()) <= 1 for _, _, moved in trainer.seen)


def test_the_default_bound_is_one_step_per_change(few, classify, watched):
    trainer = watched(classify(), periods=4, step=0.02)
    assert trainer.eps == pytest.approx(0.06)


def test_one_step_of_the_optimizer_per_period(few, classify, monkeypatch):
    clf, steps = classify(), []
    before = clf.optimizer.step
    monkeypatch.setattr(clf.optimizer, "step", lambda: (steps.append(1), before())[1])
    HIRE(clf, periods=2, validation=0.0).fit(*few, batch_size=40, nb_epochs=1)
    assert len(steps) == 4


def test_membranes_go_on_from_period_to_period(few, classify):
    """Without a step and without learning, the periods together are the whole train."""
    clf = classify(lr=0.0)
    x, outputs = torch.tensor(few[0]), []
    handle = clf.model.body.register_forward_hook(lambda module, args, out: outputs.append(out.detach()))
    clf.model.eval()
    clf.model(x)
    whole = outputs.pop()
    HIRE(clf, periods=2, step=0.0).train_batch(x, torch.tensor(few[1]))
    handle.remove()
    torch.testing.assert_close(torch.cat(outputs), whole)


def test_no_state_survives(few, classify):
    clf = classify()
    HIRE(clf, periods=2, validation=0.0).fit(*few, nb_epochs=1)
    assert all(not isinstance(m.v, torch.Tensor) for m in clf.model.modules() if hasattr(m, "v"))


def test_refusals(classify):
    with pytest.raises(ValueError, match=r"\[1, 2, 4\]"):
        HIRE(classify(), periods=3)
    with pytest.raises(ValueError, match="Direct or Poisson"):
        HIRE(classify(encoder=Latency(T=4)), periods=2)
    with pytest.raises(ValueError, match="at least 0"):
        HIRE(classify(), step=-0.1)
    assert HIRE(classify(encoder=Poisson(T=4)), periods=2).periods == 2
