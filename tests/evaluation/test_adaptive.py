"""The verdict on a defense: what hides gradients is told from what helps."""

import ast
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.attacks import SNNAutoPGD
from art_snn.coding import Latency, Transformed
from art_snn.data import digits
from art_snn.defenses.preprocessor import SpikeJitter, SpikePreprocessor, TemporalSmoothing
from art_snn.errors import GradientWarning
from art_snn.evaluation import Judgement, judge
from art_snn.networks import load

ROOT = Path(__file__).parents[2]
EPS = 0.1


def reference(name, change=None):
    net = load(ROOT / "benchmarks" / "models" / f"digits_snn_{name}.safetensors")
    net = net if change is None else SpikingNetwork(change(net.encoder), net.body, net.decoder).eval()
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))


@pytest.fixture(scope="module")
def samples():
    return digits().select(60, seed=0)[:2]


def strong(classifier):
    return SNNAutoPGD(classifier, eps=EPS, max_iter=15)


def outcomes(*shares, seeds=3, n=100):
    return [np.tile(np.arange(n) < share * n, (seeds, 1)) for share in shares]


@pytest.mark.parametrize(
    ("customary", "adaptive", "verdict"),
    [(0.6, 0.6, "survives"), (0.9, 0.4, "partly"), (0.9, 0.2, "masks gradients"), (0.2, 0.2, "no gain")],
)
def test_the_verdict_compares_what_it_seems_with_what_it_is(customary, adaptive, verdict):
    own = outcomes(0.95, customary, adaptive)
    twin = outcomes(0.95, 0.2, 0.2)
    assert Judgement(*own, *twin).verdict == verdict
    assert verdict in str(Judgement(*own, *twin))


def test_a_model_has_no_gain_over_itself(samples):
    same = reference("direct")
    found = judge((same, same), *samples, EPS, adaptive=[strong])
    assert found.verdict == "no gain"
    assert found.gain.value <= 0  # its twin's examples are tried on it as well
    assert (found.adaptive <= found.customary.max()).all()


def test_a_masked_code_is_exposed(samples):
    with pytest.warns(GradientWarning):
        masked = reference("latency", lambda code: Latency(code.T, backward="masked"))
    found = judge((masked, reference("latency")), *samples, EPS, adaptive=[strong])
    assert found.verdict == "masks gradients"
    assert found.apparent_gain.value > 0.15
    assert masked.model.encoder.backward == "masked"


def test_a_hidden_filter_is_opened(samples):
    with pytest.warns(GradientWarning):
        hidden = reference("direct", lambda code: Transformed(code, TemporalSmoothing(0.3, backward="none")))
    found = judge((hidden, reference("direct")), *samples, EPS, adaptive=[strong])
    assert found.accuracy("customary").value > found.accuracy("adaptive").value + 0.2
    assert found.gain.value < found.apparent_gain.value / 2


def test_a_random_transform_is_averaged_and_judged_on_fresh_draws(samples):
    x, y = (part[:12] for part in samples)
    jittered = reference("latency", lambda code: Transformed(code, SpikeJitter(1)))
    runs = [judge((jittered, reference("latency")), x, y, EPS, adaptive=[strong]) for _ in range(2)]
    assert np.array_equal(runs[0].adaptive, runs[1].adaptive)
    assert (runs[0].adaptive <= runs[0].clean).all()


def test_randomness_that_cannot_be_averaged_is_refused(samples):
    clf = SNNClassifier(
        reference("latency").model.at_spikes(), nn.CrossEntropyLoss(), (8, 1, 8, 8), 10, clip_values=(0.0, 1.0),
        preprocessing_defences=[SpikePreprocessor(SpikeJitter(1))],
    )  # fmt: skip
    with pytest.raises(ValueError, match="Transformed"):
        judge((clf, clf), np.zeros((2, 8, 1, 8, 8), dtype=np.float32), np.zeros(2, dtype=int), EPS)
    with pytest.raises(ValueError, match="defended, undefended"):
        judge([], *samples, EPS)


def test_the_example_is_fifteen_lines():
    text = (ROOT / "examples" / "prototype_defense.py").read_text()
    start = ast.parse(text).body[0].end_lineno
    code = [line for line in text.splitlines()[start:] if line.strip()]
    assert len(code) <= 16  # six of them import, and one names a file
