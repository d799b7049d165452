"""ART's summary writer on native attacks: what is written is what happened, and writing changes nothing."""

import importlib.util

import numpy as np
import pytest
import torch
from art.summary_writer import SummaryWriterDefault
from torch import nn

from art_snn import SNNClassifier, data
from art_snn.attacks.evasion import FAB, LatencyPGD, SNNAutoAttack, SNNAutoPGD, SNNSquare, SpikeRetiming
from art_snn.coding import Latency, Poisson
from art_snn.networks import mlp


class Kept(SummaryWriterDefault):
    """A writer that remembers instead of writing."""

    def _init_summary_writer(self, summary_writer, init_counter):
        self.calls, self.scalars, self.resets = [], {}, init_counter
        self._summary_writer = self

    def add_scalar(self, name, value, global_step=None):
        self.scalars.setdefault(name, []).append((global_step, float(value)))

    def add_scalars(self, name, values, global_step=None):
        self.scalars.setdefault(name, []).append((global_step, dict(values)))

    def flush(self):
        pass

    def reset(self):
        self.resets += 1


@pytest.fixture(scope="module")
def digits():
    x, y, _ = data.load("digits").select(24, seed=0)
    return x, y


def classifier(encoder=None, **kwargs):
    torch.manual_seed(0)
    net = mlp((1, 8, 8), 10, hidden=(24,), **({} if encoder is None else {"encoder": encoder}))
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), **kwargs)


def guessed(clf, x):
    """Labels that the untrained network gives, so that there is something to attack."""
    return clf.predict(x).argmax(1)


def test_norms_losses_and_success_are_those_of_the_attack(digits):
    clf = classifier()
    y = guessed(clf, digits[0])
    writer = Kept(True, ind_1=True, ind_2=True, ind_4=False)
    attack = SNNAutoPGD(clf, eps=0.05, max_iter=6, batch_size=16, summary_writer=writer)
    x_adv = attack.generate(digits[0], y)
    assert writer.resets == 1
    scalars = writer.scalars
    assert {"gradients/norm-L1/batch-0", "loss/total/batch-1", "attack/success/batch-0"} <= set(scalars)
    assert any(name.startswith("Attack Failure Indicator 1") for name in scalars)
    shares = [value for _, value in scalars["attack/success/batch-0"]]
    assert shares == sorted(shares)
    final = {b: scalars[f"attack/success/batch-{b}"][-1][1] for b in (0, 1)}
    success = attack.record.success
    assert final == {0: pytest.approx(success[:16].mean()), 1: pytest.approx(success[16:].mean())}
    _, first = scalars["loss/total/batch-0"][0]
    assert set(first) == {str(i) for i in range(16)}
    assert [step for step, _ in scalars["loss/total/batch-0"]] == list(range(len(scalars["loss/total/batch-0"])))
    assert first["0"] != pytest.approx(scalars["loss/total/batch-0"][1][1]["0"])
    assert (clf.predict(x_adv).argmax(1) != y).sum() == success.sum()


@pytest.mark.parametrize("make", [SNNAutoPGD, SNNSquare, FAB, LatencyPGD])
@pytest.mark.parametrize("code", [Latency, Poisson])
def test_writing_changes_nothing(digits, make, code):
    if make in (LatencyPGD, FAB) and code is Poisson:
        pytest.skip("a rate code has no timing, and no boundary that stands still")
    found = []
    for writer in (False, Kept(True)):
        clf = classifier(code(T=4))
        clf.model.reseed(0)
        y = guessed(clf, digits[0])
        attack = make(clf, eps=0.1, max_iter=2, seed=3, summary_writer=writer)
        found.append((attack.generate(digits[0][:6], y[:6]), clf.predict(digits[0])))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_spike_trains_and_suites_take_a_writer_too(digits):
    clf = classifier(Latency(T=6))
    y = guessed(clf, digits[0])
    edge = clf.at_spikes()
    with torch.no_grad():
        trains = clf.model.encode(torch.tensor(digits[0][:8])).transpose(0, 1).numpy()
    writer = Kept(True)
    SpikeRetiming(edge, jitter=1, max_iter=3, summary_writer=writer).generate(trains, y[:8])
    assert "attack/objective/batch-0" in writer.scalars
    writer = Kept(True)
    SNNAutoAttack(clf, eps=0.05, preset="fast", verbose=False, summary_writer=writer).generate(digits[0][:4], y[:4])
    assert writer.resets >= 1
    assert writer.scalars["attack/success/batch-0"][-1][1] > 0


def test_files_are_written_where_asked(digits, tmp_path):
    pytest.importorskip("tensorboardX")
    clf = classifier()
    attack = SNNAutoPGD(clf, eps=0.1, max_iter=2, summary_writer=str(tmp_path / "run"))
    for _ in range(2):
        attack.generate(digits[0][:4], guessed(clf, digits[0])[:4])
    assert {"generate-0", "generate-1"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert list((tmp_path / "run" / "generate-0").rglob("events.out.tfevents*"))


def test_a_missing_writer_is_named(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "art_snn.attacks.evasion.summary.find_spec", lambda name: None if name == "tensorboardX" else real(name)
    )
    with pytest.raises(ImportError, match=r"pip install 'art-snn\[tensorboard\]'"):
        SNNAutoPGD(classifier(), summary_writer="runs")
    SNNAutoPGD(classifier(), summary_writer=False)
    with pytest.raises(ValueError, match="summary_writer"):
        SNNAutoPGD(classifier(), summary_writer=3)
