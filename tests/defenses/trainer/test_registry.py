import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import EventFrames, Poisson
from art_snn.defenses.trainer import RECIPES, TRAINERS, trained_by
from art_snn.networks import mlp


@pytest.mark.parametrize("name", TRAINERS)
def test_every_name_trains_what_it_asks_for(name, few, classify):
    entry = TRAINERS[name]
    x, y = few
    if entry.events:
        x = (np.random.default_rng(0).random((80, 5, 1, 4, 4)) < 0.3).astype(np.float32)
        net = mlp((1, 4, 4), 10, hidden=(16,), encoder=EventFrames(5), neuron=entry.neuron)
        clf = SNNClassifier(
            net, nn.CrossEntropyLoss(), (5, 1, 4, 4), 10, torch.optim.Adam(net.parameters()), device_type="cpu"
        )
    else:
        clf = classify(entry.neuron)
    before = {key: value.clone() for key, value in clf.model.state_dict().items()}
    assert trained_by(name, clf, x, y, eps=0.1, nb_epochs=1, batch_size=40) is clf
    assert any(not torch.equal(value, before[key]) for key, value in clf.model.state_dict().items())
    assert not clf.model.training


def test_entries_name_their_attack():
    assert all(entry.recipe in RECIPES for entry in TRAINERS.values())
    assert TRAINERS["sr"].masks
    assert TRAINERS["stog"].recipe == "stochastic"


@pytest.mark.parametrize("name", ["at", "fbf", "awp"])
def test_a_seed_decides(name, few, classify, same_weights):
    code = Poisson(T=4, seed=0)
    one, two, other = (classify(encoder=code) for _ in range(3))
    for clf, seed in ((one, 0), (two, 0), (other, 1)):
        trained_by(name, clf, *few, eps=0.1, nb_epochs=1, seed=seed)
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_an_unknown_name_is_told_the_nearest(few, classify):
    with pytest.raises(ValueError, match="'trades'"):
        trained_by("trade", classify(), *few)
