"""Probabilities outside, logits inside."""

import numpy as np
from art.utils import is_probability_array

from art_snn.defenses.postprocessor import Softmax
from art_snn.testing import tiny


def test_predictions_are_probabilities_in_the_same_order_and_gradients_are_unchanged():
    x, y = tiny.samples(8)
    plain = tiny.classifier(tiny.direct())
    clf = tiny.classifier(tiny.direct(), postprocessing_defences=Softmax())
    logits, probabilities = plain.predict(x), clf.predict(x)
    assert is_probability_array(probabilities)
    assert probabilities.dtype == np.float32
    assert np.array_equal(logits.argsort(1), probabilities.argsort(1))
    assert np.array_equal(plain.loss_gradient(x, y), clf.loss_gradient(x, y))


def test_large_logits_do_not_overflow():
    assert Softmax()(np.array([[1e4, 0.0]], dtype=np.float32)).tolist() == [[1.0, 0.0]]
