"""Every defense by name: builds, trains a little, differs from its twin in one thing, refuses what does not fit."""

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.defenses.catalogue import DEFENSES, defended, train_defense

IMAGE, EVENTS = (1, 8, 8), (5, 2, 6, 6)


def classifier(name):
    shape = EVENTS if DEFENSES[name].events else IMAGE
    net = defended(name, shape, 3, T=4)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, 3, optimizer=optimizer, clip_values=(0.0, 1.0))


def samples(name, n=30):
    rng = np.random.default_rng(0)
    if DEFENSES[name].events:
        return (rng.random((n, *EVENTS)) < 0.3).astype(np.float32), rng.integers(0, 3, n)
    return rng.random((n, *IMAGE), dtype=np.float32), rng.integers(0, 3, n)


@pytest.mark.parametrize("name", DEFENSES)
def test_each_defense_is_built_trained_and_attackable(name):
    clf, (x, y) = classifier(name), samples(name)
    before = {key: value.clone() for key, value in clf.model.state_dict().items()}
    train_defense(name, clf, x, y, eps=0.05, nb_epochs=1, batch_size=10)
    assert any(not torch.equal(before[key], value) for key, value in clf.model.state_dict().items())
    assert np.isfinite(clf.predict(x)).all()
    assert clf.loss_gradient(x[:5], y[:5]).any()
    assert not clf.model.encoder.obfuscates
    assert not clf.model.training


@pytest.mark.parametrize("name", DEFENSES)
def test_the_twin_is_a_defense_less_design_for_the_same_input(name):
    twin = DEFENSES[DEFENSES[name].twin]
    assert twin.twin == DEFENSES[name].twin
    assert twin.events == DEFENSES[name].events
    assert (twin.trainer, twin.neuron, twin.transform) == ("plain", "lif", None)


def test_homeostatic_neurons_adapt_after_their_signature_is_known():
    clf, (x, y) = classifier("homeostatic"), samples("homeostatic")
    train_defense("homeostatic", clf, x, y, nb_epochs=1)
    (neuron,) = [m for m in clf.model.modules() if hasattr(m, "signature")]
    assert neuron.signature.abs().sum() > 0
    assert neuron.rate > 0


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [("at", EVENTS, "images"), ("retiming-at", IMAGE, "event grids"), ("att", IMAGE, "'at'")],
)
def test_wrong_use_names_the_fix(name, shape, message):
    with pytest.raises(ValueError, match=message):
        defended(name, shape, 3)
