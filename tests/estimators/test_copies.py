"""Clones, files, pickles: everything survives, nothing is left lying about."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from art import config
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Latency, Poisson
from art_snn.networks import mlp


def make(optimizer=torch.optim.Adam, neuron="plif", encoder=None, **settings):
    net = mlp((1, 8, 8), 10, hidden=(32,), neuron=neuron, encoder=encoder or Latency(T=5))
    chosen = optimizer(net.parameters(), **{"lr": 0.01, **settings})
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=chosen, clip_values=(0.0, 1.0))


def train(clf, digits, epochs=2):
    clf.fit(digits[0][:200], digits[1][:200], batch_size=50, nb_epochs=epochs)
    return clf


OPTIMIZERS = [
    (torch.optim.Adam, {"betas": (0.8, 0.95)}),
    (torch.optim.AdamW, {"weight_decay": 0.02}),
    (torch.optim.SGD, {"momentum": 0.9, "lr": 0.1}),
]


@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
def test_clone_for_refitting(optimizer, settings, digits):
    clf = train(make(optimizer, **settings), digits)
    before = {name: value.clone() for name, value in clf.model.state_dict().items()}
    clone = clf.clone_for_refitting()
    assert type(clone) is SNNClassifier
    assert type(clone.optimizer) is optimizer
    for key, value in settings.items():
        assert clone.optimizer.defaults[key] == value
    assert clone.optimizer.state == {}
    owned = {id(p) for group in clone.optimizer.param_groups for p in group["params"]}
    assert owned == {id(p) for p in clone.model.parameters()}
    for name, value in clone.model.state_dict().items():
        assert not torch.equal(value, before[name]), name
    loss = clone.compute_loss(digits[0][:200], digits[1][:200], reduction="mean")
    train(clone, digits)
    assert clone.compute_loss(digits[0][:200], digits[1][:200], reduction="mean") < loss
    assert all(torch.equal(before[name], value) for name, value in clf.model.state_dict().items())


def test_a_clone_has_the_time_constants_that_the_network_was_built_with(digits):
    clf = train(make(), digits)
    built = make().model.body[2].w
    assert not torch.equal(clf.model.body[2].w, built)
    assert torch.equal(clf.clone_for_refitting().model.body[2].w, built)
    assert torch.equal(clf.at_spikes().model._initial["body.2.w"], built)


def test_a_clone_keeps_the_settings(digits):
    clf = make()
    clf.set_params(clip_values=(0.0, 2.0))
    clone = clf.clone_for_refitting()
    assert np.array_equal(clone.clip_values, (0.0, 2.0))
    assert clone.model.encoder.config() == clf.model.encoder.config()


def test_get_and_set_params():
    clf = make()
    params = clf.get_params()
    assert params["model"] is clf.model
    assert params["nb_classes"] == 10
    clf.set_params(**{key: value for key, value in params.items() if key not in ("model", "optimizer")})
    with pytest.raises(ValueError, match="Unexpected parameter"):
        clf.set_params(voltage=3)


def test_save_and_load(tmp_path, digits):
    clf = train(make(), digits)
    clf.save("net", str(tmp_path))
    other = make()
    other.load("net", str(tmp_path))
    assert np.array_equal(other.predict(digits[2]), clf.predict(digits[2]))
    for a, b in zip(other.optimizer.state.values(), clf.optimizer.state.values(), strict=True):
        assert torch.equal(a["exp_avg"], b["exp_avg"])
    with pytest.raises(FileNotFoundError, match=r"save\(filename, path\)"):
        other.load("elsewhere", str(tmp_path))


COPIES = {"pickle": lambda clf: pickle.loads(pickle.dumps(clf)), "deepcopy": copy.deepcopy}  # noqa: S301


def listing():
    return sorted(str(path) for path in Path(config.ART_DATA_PATH).rglob("*"))


@pytest.mark.parametrize("how", sorted(COPIES))
@pytest.mark.parametrize("encoder", [Latency(T=5), Poisson(T=5, seed=3)])
def test_copies_predict_alike_and_write_no_files(how, encoder, digits):
    clf = train(make(encoder=encoder), digits)
    clf.loss_gradient(digits[2][:5], digits[3][:5])
    clf.get_activations(digits[2][:5], "body.2")
    before = listing()
    clone = COPIES[how](clf)
    assert listing() == before
    assert np.array_equal(clone.predict(digits[2]), clf.predict(digits[2]))
    assert np.array_equal(clone.clip_values, clf.clip_values)
    assert clone.layer_names == clf.layer_names
    assert clone.device == clf.device


@pytest.mark.parametrize("how", sorted(COPIES))
@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
def test_training_goes_on_after_a_copy(how, optimizer, settings, digits):
    """The optimizer of the copy is bound to the copy's parameters, with its momenta."""
    clf = train(make(optimizer, **settings), digits)
    clone = COPIES[how](clf)
    frozen = {name: value.clone() for name, value in clf.model.state_dict().items()}
    torch.manual_seed(0)
    train(clone, digits)
    assert all(torch.equal(frozen[name], value) for name, value in clf.model.state_dict().items())
    torch.manual_seed(0)
    train(clf, digits)
    for name, value in clone.model.state_dict().items():
        assert torch.equal(value, clf.model.state_dict()[name]), name
        assert not torch.equal(value, frozen[name])
