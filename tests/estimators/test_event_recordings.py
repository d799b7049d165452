"""From images to recordings to frames to an SNNClassifier that ART trains and attacks."""

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import EventFrames
from art_snn.data import load
from art_snn.networks import mlp


def test_event_frames_end_to_end():
    data = load("events")
    net = mlp(data.input_shape[1:], data.nb_classes, hidden=(64,), encoder=EventFrames(T=data.input_shape[0]))
    classifier = SNNClassifier(
        net, nn.CrossEntropyLoss(), data.input_shape, data.nb_classes,
        optimizer=torch.optim.AdamW(net.parameters(), lr=3e-3), clip_values=data.clip_values,
    )  # fmt: skip
    classifier.fit(data.x_train[:400], data.y_train[:400], batch_size=64, nb_epochs=6)
    x, y = data.x_test[:60], data.y_test[:60]
    clean = (classifier.predict(x).argmax(1) == y).mean()
    assert clean > 0.6
    assert classifier.loss_gradient(x[:4], y[:4]).shape == x[:4].shape
    x_adv = FastGradientMethod(classifier, eps=0.1).generate(x, y)
    assert np.abs(x_adv - x).max() <= 0.1 + 1e-6
    assert (classifier.predict(x_adv).argmax(1) == y).mean() < clean - 0.3
    assert np.array_equal(classifier.predict((x * 1).astype(np.int64)), classifier.predict(x))
    with pytest.raises(ValueError, match=r"\[N, 9, 2, 16, 16\]"):
        classifier.predict(x[:, :5])
