"""Every estimator of the package conforms, and one broken on purpose for each contract does not."""

import copy

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, EventFrames, Latency, Poisson, SpikeJitter, Transformed
from art_snn.networks import ann_twin, mlp
from art_snn.networks.parts import NEURONS
from art_snn.testing import ConformanceError, check_estimator, tiny
from art_snn.testing.conformance import ESTIMATOR
from art_snn.testing.conformance.estimators import sample_inputs

SHAPE = (1, 4, 4)


def made(kind=SNNClassifier, encoder=None, shape=SHAPE, **options):
    net = mlp(shape[-3:], 3, hidden=(12,), encoder=Direct(4) if encoder is None else encoder, **options)
    optimizer = torch.optim.Adam(net.parameters())
    return kind(net, nn.CrossEntropyLoss(), shape, 3, optimizer, clip_values=(0.0, 1.0), device_type="cpu")


@pytest.mark.parametrize("encoder", [Direct(4), Poisson(4), Latency(4)], ids=lambda e: type(e).__name__)
def test_codes(encoder):
    check_estimator(made(encoder=encoder))


@pytest.mark.parametrize("neuron", NEURONS)
def test_neurons(neuron):
    check_estimator(made(encoder=Direct(8), neuron=neuron))


def test_event_frames():
    check_estimator(made(encoder=EventFrames(4), shape=(4, *SHAPE)))


def test_converted_and_spike_edge():
    check_estimator(tiny.classifier(tiny.converted()), *tiny.samples(9))
    check_estimator(made().at_spikes())


def test_a_plain_classifier_lacks_the_checks_at_the_edge_only():
    """What ART's own classifier does not promise: bad input is let in, index labels are not, gradients leave traces."""
    net = ann_twin(mlp(SHAPE, 3, hidden=(12,)))
    clf = PyTorchClassifier(net, nn.CrossEntropyLoss(), SHAPE, 3, torch.optim.Adam(net.parameters()),
                            clip_values=(0.0, 1.0), device_type="cpu")  # fmt: skip
    with pytest.raises(ConformanceError) as raised:
        check_estimator(clf)
    assert "bad input" in raised.value.broken
    assert not {"predict", "true gradient", "rebuilt", "no traces", "batches", "pure"} & set(raised.value.broken)


class Probabilities(SNNClassifier):
    def predict(self, x, batch_size=128, training_mode=False):
        return super().predict(x, batch_size, training_mode).astype(np.float64)


class NoGradient(SNNClassifier):
    def loss_gradient(self, x, y, training_mode=False, **kwargs):
        return 0 * super().loss_gradient(x, y, training_mode)


class OneClass(SNNClassifier):
    def class_gradient(self, x, label=None, training_mode=False, **kwargs):
        return super().class_gradient(x, 0 if label is None else label)


class KeepsReduction(SNNClassifier):
    def compute_loss(self, x, y, reduction="none", **kwargs):
        losses = super().compute_loss(x, y, reduction=reduction)
        self._loss.reduction = "sum"
        return losses


class Scaled(SNNClassifier):
    def loss_gradient(self, x, y, training_mode=False, **kwargs):
        return 2 * super().loss_gradient(x, y, training_mode)


class OutsideTheModule(SNNClassifier):
    """Averages, scales, smooths in the estimator."""

    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        return super().predict(0.5 * self._input(x), batch_size, training_mode)


class Remembers(SNNClassifier):
    calls = 0

    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        self.calls += 1
        return super().predict(x, batch_size, training_mode) + np.float32(self.calls)


class ByBatch(SNNClassifier):
    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        z = super().predict(x, batch_size, training_mode)
        return z - z.mean(0) + np.arange(len(z), dtype=np.float32)[:, None]


class Trains(SNNClassifier):
    def loss_gradient(self, x, y, training_mode=False, **kwargs):
        return super().loss_gradient(x, y, training_mode=True)


class InPlace(SNNClassifier):
    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        z = super().predict(x, batch_size, training_mode)
        x *= 0.5
        return z


class LetsIn(SNNClassifier):
    def _input(self, x):
        return np.nan_to_num(x)


class Closure(SNNClassifier):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.function = lambda x: x


class Shares(SNNClassifier):
    def clone_for_refitting(self):
        return SNNClassifier(self.model, self._loss, self.input_shape, self.nb_classes, self._optimizer)


class LoadsNothing(SNNClassifier):
    def load(self, filename, path=None):
        """Forgotten."""


class Overflows(SNNClassifier):
    def loss_gradient(self, x, y, training_mode=False, **kwargs):
        return super().loss_gradient(x, y, training_mode) * np.float32("inf")


class MeanIsSum(SNNClassifier):
    def compute_loss(self, x, y, reduction="none", **kwargs):
        return super().compute_loss(x, y, reduction="sum" if reduction == "mean" else reduction)


class TrainsOn(SNNClassifier):
    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        z = super().predict(x, batch_size, training_mode)
        self.model.train()
        return z


class Learns(SNNClassifier):
    """A gradient that moves the weights."""

    def loss_gradient(self, x, y, training_mode=False, **kwargs):
        grad = super().loss_gradient(x, y, training_mode)
        with torch.no_grad():
            next(self.model.parameters()).add_(1e-7)
        return grad


class Fading(SNNClassifier):
    """A copy of a copy has lost its answers."""

    copies = 0

    def __deepcopy__(self, memo):
        made = copy.copy(self)
        made._model = copy.deepcopy(self._model, memo)
        made.copies = self.copies + 1
        return made

    def predict(self, x, batch_size=128, training_mode=False, **kwargs):
        z = super().predict(x, batch_size, training_mode)
        return z if self.copies < 2 else 0 * z


OTHERWISE = [
    ("loss gradient", Overflows, "values not finite"), ("compute loss", MeanIsSum, "which do not agree"),
    ("modes", TrainsOn, "training mode after predict"), ("modes", Trains, "training mode after a gradient"),
    ("modes", Learns, "weights or buffers that changed"), ("copies", Fading, "other logits from a deepcopy"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "said"), OTHERWISE)
def test_each_way_to_break_a_contract_has_its_own_words(name, kind, said):
    with pytest.raises(ConformanceError) as raised:
        check_estimator(made(kind))
    assert said in raised.value.broken[name]
    assert f"Fix: {ESTIMATOR.listed[name].fix}" in raised.value.broken[name]


def test_a_code_of_zeros_and_ones_is_examined_on_those():
    code = Transformed(EventFrames(4), SpikeJitter(1))
    assert code.binary_input
    clf = made(encoder=code, shape=(4, *SHAPE))
    assert set(np.unique(sample_inputs(clf))) == {0.0, 1.0}
    check_estimator(clf)


BROKEN = {
    "predict": Probabilities, "loss gradient": NoGradient, "class gradient": OneClass, "compute loss": KeepsReduction,
    "true gradient": Scaled, "rebuilt": OutsideTheModule, "no traces": Remembers, "batches": ByBatch, "modes": Trains,
    "pure": InPlace, "bad input": LetsIn, "copies": Closure, "clone": Shares, "saved": LoadsNothing,
}  # fmt: skip


def test_there_is_a_broken_estimator_for_every_contract():
    assert set(BROKEN) == set(ESTIMATOR.listed)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_estimators_are_found_out(name):
    with pytest.raises(ConformanceError) as raised:
        check_estimator(made(BROKEN[name]))
    assert name in raised.value.broken
    assert f"Fix: {ESTIMATOR.listed[name].fix}" in str(raised.value)
