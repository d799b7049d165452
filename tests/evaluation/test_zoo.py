"""Every model by name: builds, predicts, differentiates, spikes or does not."""

import numpy as np
import pytest
import torch

from art_snn import data
from art_snn.coding import Latency, MeanOverTime, Poisson
from art_snn.conversion import QCFS
from art_snn.data import load
from art_snn.evaluation.cards import card
from art_snn.evaluation.cost import work
from art_snn.evaluation.store import ResultStore
from art_snn.evaluation.zoo import DEFAULT_MODELS, Recipe, build, default_models, models_for, trained

RECIPE = Recipe(T=4, epochs=2, train_samples=300)


@pytest.mark.parametrize("name", models_for("digits"))
def test_every_model_predicts_and_differentiates(name, digits):
    classifier = build(name, digits, RECIPE, seed=0)
    x, y = digits.x_test[:6], digits.y_test[:6]
    assert classifier.predict(x).shape == (6, 10)
    gradient = classifier.loss_gradient(x, np.eye(10, dtype=np.float32)[y])
    assert (gradient != 0).reshape(6, -1).any(1).all()
    described, done = card(classifier), work(classifier.model, x)
    assert described["parameters"] == done.parameters > 0
    spikes = name.startswith("snn") and name != "snn-converted"
    assert (done.updates > 0) == spikes
    random = any(word in name for word in ("poisson", "rate-code", "jitter", "dropout", "warp", "random"))
    assert bool(described.get("random")) == random  # a gate lets all pass before it is trained


@pytest.mark.parametrize("name", ["snn-stog", "snn-at", "snn-homeostatic", "snn-jitter"])
def test_defenses_are_trained_as_their_catalogue_says(name, digits):
    short = Recipe(T=4, epochs=1, train_samples=128)
    classifier, record = trained(name, digits, short, 0, ResultStore(None), verbose=False)
    assert record["model"] == name
    assert not classifier.model.training
    if name == "snn-stog":
        assert "StochasticGate" in card(classifier)["activation"]
        assert classifier.model.is_stochastic


@pytest.mark.parametrize("name", ["snn-background-filter", "snn-event-dropout", "snn-retiming-at"])
def test_defenses_of_event_frames_are_models_of_event_data(name):
    events = load("events")
    assert name in models_for("events")
    assert name not in models_for("digits")
    short = Recipe(T=9, epochs=1, train_samples=64)
    classifier, record = trained(name, events, short, 0, ResultStore(None), verbose=False)
    assert record["model"] == name
    assert classifier.predict(events.x_test[:3]).shape == (3, 10)


def test_defaults_are_few_and_fit():
    assert set(DEFAULT_MODELS) < set(models_for("digits"))
    assert default_models("events") == ["ann", "snn-events"]


def test_the_converted_model_is_the_quantized_one_in_time(digits):
    store = ResultStore(None)
    quantized, first = trained("qnn", digits, RECIPE, 0, store, verbose=False)
    converted, record = trained("snn-converted", digits, RECIPE, 0, store, verbose=False)
    assert any(isinstance(module, QCFS) for module in quantized.model.modules())
    assert record["source"] == first["key"]
    assert record["model"] == "snn-converted"
    x = digits.x_test[:100]
    agree = (converted.predict(x).argmax(1) == quantized.predict(x).argmax(1)).mean()
    assert agree > 0.97  # exact but for rounding at a level's edge
    done = work(converted.model, x)
    assert done.acs > 0
    assert done.macs == pytest.approx(4 * done.macs_cached)


def test_the_mean_over_time_is_that_of_the_code():
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(MeanOverTime(Latency(T=4))(x), Latency(T=4)(x).mean(0, keepdim=True))
    one, other = MeanOverTime(Poisson(T=4, seed=1)), Poisson(T=4, seed=1)
    assert one.is_stochastic
    assert torch.equal(one(x)[0], other(x).mean(0))
    first = one(x)
    one.reseed()
    assert not torch.equal(one(x), first)
    with pytest.raises(TypeError, match="expected an encoder"):
        MeanOverTime("poisson")
    assert data.load("digits").name == "digits"
