"""Every code and decoder inside an ART classifier: predictions, gradients, and the warning of hiding choices."""

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.coding import (
    Burst,
    Direct,
    EarlyBurst,
    EarlyExit,
    Filtered,
    FirstSpike,
    Frequency,
    Fusion,
    LateBurst,
    Latency,
    MeanCurrent,
    MembraneLast,
    MembraneMax,
    Poisson,
    Population,
    Quantized,
    RankOrder,
    RateSyn,
    SpikeCamera,
    SpikeCount,
    TimeWeighted,
    WeightedPhase,
)  # fmt: skip
from art_snn.errors import GradientWarning
from art_snn.gradients import TSSLBP
from art_snn.neurons import SynapticLIF

CODES = [
    Direct(4), Quantized(4), Poisson(4), RateSyn(4), EarlyBurst(4), LateBurst(4), Latency(4), Latency(4, "edl"),
    WeightedPhase(4), Burst(8, max_spikes=3), RankOrder(4), Population(4, m=3), Frequency(4), SpikeCamera(8),
    Filtered(Latency(4)), Fusion([Direct(4), Latency(4)]),
]  # fmt: skip
X = np.random.default_rng(0).random((3, 1, 6, 6)).astype(np.float32)
Y = np.array([0, 1, 2])


def classifier(code, decoder, node=None):
    inputs = code(torch.zeros(1, 1, 6, 6)).shape[2] * 36
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(inputs, 20, step_mode="m"),
        node or neuron.LIFNode(decay_input=False, step_mode="m"), layer.Linear(20, 3, step_mode="m"),
    )  # fmt: skip
    net = SpikingNetwork(code, body, decoder)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 6, 6), 3, clip_values=(0.0, 1.0))


@pytest.mark.parametrize("code", CODES, ids=repr)
def test_codes(code):
    clf = classifier(code, MeanCurrent())
    x = X.copy()
    x[0, 0, :2] = 0.0
    x[1, 0, :2] = 1.0
    assert np.isfinite(clf.predict(x)).all()
    grad = clf.loss_gradient(x, Y)
    assert np.isfinite(grad).all()
    assert grad.any()
    assert clf.class_gradient(x).shape == (3, 3, 1, 6, 6)


@pytest.mark.parametrize(
    "decoder",
    [
        MembraneLast(), MembraneMax(), SpikeCount(neuron.IFNode(step_mode="m")),
        FirstSpike(neuron.IFNode(step_mode="m")), TimeWeighted("event", neuron.IFNode(step_mode="m")),
        EarlyExit("confidence", 0.9),
    ],
    ids=repr,
)  # fmt: skip
def test_decoders(decoder):
    clf = classifier(EarlyBurst(6), decoder)
    z = clf.predict(X)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert not np.allclose(z.sum(1), 1)
    assert clf.loss_gradient(X, Y).any()


@pytest.mark.parametrize("backward", ["masked", "none"])
def test_hiding_choices_say_so(backward):
    with pytest.warns(GradientWarning, match="not robustness"):
        classifier(Fusion([Direct(4), Latency(4, backward=backward)], accept_hiding=True), MeanCurrent())


def test_timing_gradients_inside_art():
    clf = classifier(EarlyBurst(6), SpikeCount(SynapticLIF(tau_s=1.0)), SynapticLIF())
    plain, z = clf.loss_gradient(X, Y), clf.predict(X)
    with clf.gradient(TSSLBP()):
        timed = clf.loss_gradient(X, Y)
        assert np.array_equal(clf.predict(X), z)
        assert clf.class_gradient(X).shape == (3, 3, 1, 6, 6)
    assert np.isfinite(timed).all()
    assert not np.allclose(plain, timed)
