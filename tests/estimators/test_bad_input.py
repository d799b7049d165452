"""The bad-input table: one check at the edge, and a message that says what to do."""

import numpy as np
import pytest
import torch
from art.defences.preprocessor import ThermometerEncoding
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, EventFrames, Latency
from art_snn.errors import RangeWarning
from art_snn.networks import ann_twin, cnn, mlp


@pytest.fixture(scope="module")
def clf():
    net = cnn((3, 8, 8), 10, channels=(4,), hidden=8, encoder=Latency(T=3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (3, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0))


def good(count=4):
    return np.random.default_rng(0).random((count, 3, 8, 8), dtype=np.float32)


def with_one(value):
    x = good()
    x[2, 1, 3, 3] = value
    return x


BAD_X = {
    "NaN": (lambda: with_one(np.nan), ValueError, r"NaN or inf in 1 of 4 samples \(first: 2\).*nan_to_num"),
    "inf": (lambda: with_one(np.inf), ValueError, r"NaN or inf in 1 of 4 samples"),
    "wrong channels": (lambda: good()[:, :1], ValueError, r"\(4, 1, 8, 8\).*\[N, 3, 8, 8\]"),
    "channels last": (lambda: good().transpose(0, 2, 3, 1), ValueError, r"np.transpose\(x, \(0, 3, 1, 2\)\)"),
    "no batch axis": (lambda: good()[0], ValueError, r"add the batch axis: x\[None\]"),
    "a number": (lambda: np.ones(()), ValueError, r"\[N, 3, 8, 8\]"),
    "empty batch": (lambda: good()[:0], ValueError, "an empty batch.*check the selection"),
    "range 0..255": (lambda: good() * 255, ValueError, r"range \[0\.\d+, 25\d.*clip_values \[0, 1\].*rescale x"),
    "uint8": (lambda: (good() * 255).astype(np.uint8), TypeError, r"uint8.*\(x / 255\).astype\(np.float32\)"),
    "bool": (lambda: good() > 0.5, TypeError, "bool.*floating-point images"),
    "object": (lambda: good().astype(object), TypeError, "object.*np.asarray"),
    "text": (lambda: good().astype(str), TypeError, "numeric numpy array"),
    "complex": (lambda: good().astype(np.complex64), TypeError, "complex64.*numeric numpy array"),
    "ragged": (lambda: [[1.0], [1.0, 2.0]], (TypeError, ValueError), "."),
    "integer tensor": (lambda: torch.zeros(4, 3, 8, 8, dtype=torch.int64), TypeError, "int64.*floating-point images"),
}  # fmt: skip

CALLS = {
    "predict": lambda clf, x: clf.predict(x),
    "fit": lambda clf, x: clf.fit(x, np.zeros(4, dtype=int)),
    "loss_gradient": lambda clf, x: clf.loss_gradient(x, np.zeros(4, dtype=int)),
    "class_gradient": lambda clf, x: clf.class_gradient(x),
    "compute_loss": lambda clf, x: clf.compute_loss(x, np.zeros(4, dtype=int)),
    "get_activations": lambda clf, x: clf.get_activations(x, 1),
}


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("case", sorted(BAD_X))
def test_bad_samples(case, call, clf):
    make, error, message = BAD_X[case]
    with pytest.raises(error, match=message):
        CALLS[call](clf, make())


BAD_Y = {
    "too large": (lambda: np.array([0, 1, 2, 10]), ValueError, r"range \[0, 10\].*0\.\.9"),
    "negative": (lambda: np.array([0, 1, 2, -1]), ValueError, r"0\.\.9"),
    "fractional": (lambda: np.array([0, 1, 2, 0.5]), ValueError, "whole labels"),
    "too many": (lambda: np.zeros(5, dtype=int), ValueError, r"\[4\] indices or \[4, 10\] one-hot rows"),
    "too few": (lambda: np.zeros(3, dtype=int), ValueError, "one label per sample"),
    "other classes": (lambda: np.eye(4), ValueError, r"\[4, 10\] one-hot rows"),
    "NaN": (lambda: np.full((4, 10), np.nan), ValueError, "NaN or inf among the labels"),
    "object": (lambda: np.array([0, 1, 2, None], dtype=object), TypeError, "numeric array of labels"),
    "text": (lambda: np.array(list("abcd")), TypeError, "numeric array of labels"),
    "nothing": (lambda: None, TypeError, "numeric array of labels"),
}


@pytest.mark.parametrize("call", ["fit", "loss_gradient", "compute_loss"])
@pytest.mark.parametrize("case", sorted(BAD_Y))
def test_bad_labels(case, call, clf):
    make, error, message = BAD_Y[case]
    with pytest.raises(error, match=message):
        getattr(clf, call)(good(), make())


def test_a_refused_call_changes_nothing(clf):
    before = clf.predict(good())
    for make, error, _ in BAD_X.values():
        with pytest.raises(error):
            clf.fit(make(), np.zeros(4, dtype=int))
    assert np.array_equal(clf.predict(good()), before)


def test_a_step_out_of_the_box_is_allowed(clf):
    """Random starts and finite differences leave it."""
    clf.predict(good() + 0.3)
    clf.predict(good() - 0.3)


def test_without_clip_values_any_range_is_accepted():
    net = mlp((1, 8, 8), 10, hidden=(8,), encoder=Direct(T=2))
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10)
    clf.predict(np.full((2, 1, 8, 8), 99.0, dtype=np.float32))


def test_integer_event_frames_are_meant():
    from art_snn import SpikingNetwork

    net = SpikingNetwork(EventFrames(T=2), nn.Sequential(nn.Flatten(2), nn.Linear(64, 10)))
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (2, 1, 8, 8), 10)
    counts = np.random.default_rng(0).integers(0, 4, (3, 2, 1, 8, 8))
    assert np.array_equal(clf.predict(counts), clf.predict(counts.astype(np.float32)))


@pytest.mark.parametrize(
    "model", [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), ann_twin(mlp((1, 8, 8), 10)), mlp((1, 8, 8), 10).body]
)
def test_a_model_that_is_no_spiking_network(model):
    with pytest.raises(TypeError, match=r"as model; expected a SpikingNetwork. Fix: SNNClassifier\(SpikingNetwork"):
        SNNClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 10)


def test_mixed_precision_of_apex():
    with pytest.raises(ValueError, match="use_amp=True"):
        SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, use_amp=True)


@pytest.mark.parametrize("preprocessing", [(0.5, 1.0), (0.0, 0.5), (np.zeros((1, 1, 1)), np.full((1, 1, 1), 0.3))])
def test_standardization_in_front_of_a_spike_code(preprocessing):
    net = mlp((1, 8, 8), 10, encoder=Latency(T=3))
    with pytest.raises(ValueError, match=r"in front of a Latency code.*normalize inside"):
        SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, preprocessing=preprocessing)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    x = np.random.default_rng(0).random((2, 1, 8, 8), dtype=np.float32)
    before = clf.predict(x)
    with pytest.raises(ValueError, match="in front of a Latency code"):
        clf.set_params(preprocessing=preprocessing)
    assert np.array_equal(clf.predict(x), before)


def test_an_input_shape_that_does_not_fit_the_network():
    with pytest.raises(ValueError, match="on which the body failed"):
        SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 9, 9), 10)


def test_numbers_in_an_array_of_objects_are_labels(clf):
    x, labels = good(), np.arange(4)
    plain = clf.class_gradient(x, label=labels)
    assert np.array_equal(clf.class_gradient(x, label=labels.astype(object)), plain)
    assert np.array_equal(clf.loss_gradient(x, labels.astype(object)), clf.loss_gradient(x, labels))


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"fit"}))
def test_a_range_that_attacks_may_ask_about_is_a_warning(call, clf):
    with pytest.warns(RangeWarning, match=r"values in clip_values \[0, 1\]"):
        CALLS[call](clf, good() * 2 - 1)


def test_that_warning_has_few_texts_so_that_python_shows_each_once(clf):
    texts = set()
    for factor in np.linspace(1.6, 2.9, 9):
        with pytest.warns(RangeWarning) as heard:
            clf.predict(np.full((1, *clf.input_shape), factor, dtype=np.float32))
        texts |= {str(warning.message) for warning in heard}
    assert len(texts) == 2


def test_training_in_another_range_is_an_error(clf):
    with pytest.raises(ValueError, match=r"values in clip_values \[0, 1\]"):
        clf.fit(good() * 2 - 1, np.zeros(4, dtype=int))


def test_a_preprocessor_may_change_the_shape():
    net = mlp((4, 8, 8), 10, hidden=(8,), encoder=Direct(T=2))
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, torch.optim.Adam(net.parameters()), clip_values=(0.0, 1.0),
        preprocessing_defences=ThermometerEncoding((0.0, 1.0), num_space=4, channels_first=True),
    )  # fmt: skip
    x = good()[:, :1]
    assert clf.predict(x).shape == (4, 10)
    clf.fit(x, np.arange(4), nb_epochs=1)
