"""Planted faults must be caught, and honest models left in peace."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import compare
from art_snn.coding import Latency
from art_snn.errors import GradientWarning
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.flags import budget_flag, clean_flag, order_flags, unbounded_flag
from art_snn.networks import AnalogNetwork

EPS = [0.1]


class CutGradient(nn.Module):
    """The same predictions, without a way back."""

    def __init__(self, inner, leak=0.0):
        super().__init__()
        self.inner = inner
        self.leak = leak

    def forward(self, x):
        return self.inner(x.detach()) + self.leak * x.flatten(1).sum(1, keepdim=True)


def plain(net):
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))


def raised(result, model):
    return {flag.id for flag in result.raised(model)}


@pytest.mark.parametrize("model", ["ann", "snn", "poisson", "latency"])
def test_honest_models_raise_no_invalidating_flag(model, request, samples):
    result = compare({"m": request.getfixturevalue(model)}, *samples, EPS, verbose=False)
    assert result.valid("m"), result.raised("m")


def test_gradient_that_is_constant_in_the_logits_is_called_missing(ann, samples):
    result = compare({"cut": plain(CutGradient(ann.model, leak=1.0))}, *samples, EPS, verbose=False)
    assert "E1" in raised(result, "cut")
    assert not result.valid("cut")
    row = result.table().rows[0]
    assert row[-2] == "invalid"
    assert "invalid (E1" in result.verdict()[0]


def test_masked_and_cut_encoders_are_named(latency, samples):
    from art_snn.networks import SpikingNetwork

    for backward, expected in (("masked", {"E7"}), ("none", {"E1", "E7"})):
        net = SpikingNetwork(Latency(8, backward=backward), latency.model.body, latency.model.decoder)
        with pytest.warns(GradientWarning):
            classifier = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
        result = compare({"m": classifier}, *samples, EPS, verbose=False)
        assert expected <= raised(result, "m")


def test_constant_classifier_is_no_baseline(samples):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.arange(10.0))

        def forward(self, x):
            return self.bias + 1e-3 * x.flatten(1).sum(1, keepdim=True)

    result = compare({"c": plain(Constant())}, *samples, EPS, verbose=False)
    assert "E8" in raised(result, "c")


def test_saturated_logits_hide_the_cross_entropy_gradient(ann, samples):
    class Loud(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return 1e4 * self.inner(x)

    result = compare({"loud": plain(Loud(ann.model))}, *samples, EPS, verbose=False)
    assert "E1" in raised(result, "loud")


def test_input_that_is_normalized_in_front_of_the_budget(ann, samples):
    """An attack in other units than its budget: everything it returns lies outside."""
    assert budget_flag(255.0, 1.0).raised
    assert budget_flag(0.1, 1.0).raised
    assert not budget_flag(1.0 + 1e-7, 1.0).raised
    assert not budget_flag(0.95, 1.0).raised


def test_thresholds_of_the_scalar_flags():
    assert unbounded_flag(0.3, 0.1).raised
    assert not unbounded_flag(0.0, 0.1).raised
    assert clean_flag(0.1, 0.1).raised
    assert not clean_flag(0.9, 0.1).raised


def test_order_flags_compare_per_budget():
    knowledge = {"fgsm": "white-box", "pgd": "white-box", "square": "black-box", "noise": "none"}
    good = {("noise", 0.1): 0.9, ("fgsm", 0.1): 0.5, ("pgd", 0.1): 0.3, ("square", 0.1): 0.4}
    assert not any(flag.raised for flag in order_flags(good, knowledge, 1000))
    for name, value, flag in (("fgsm", 0.2, "W1"), ("square", 0.1, "W2"), ("noise", 0.2, "W3")):
        found = {f.id for f in order_flags({**good, (name, 0.1): value}, knowledge, 1000) if f.raised}
        assert flag in found
    one_sample = {**good, ("square", 0.1): 0.3 - 1 / 100}
    assert not any(flag.raised for flag in order_flags(one_sample, knowledge, 100))
    assert any(flag.raised for flag in order_flags(one_sample, knowledge, 1000))
    only_noise = {("noise", 0.1): 0.9}
    assert not any(flag.raised for flag in order_flags(only_noise, knowledge, 1000))


def test_pages_exist_in_the_documentation(snn, samples):
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "flags.md").read_text().lower()
    result = compare({"m": snn}, *samples, EPS, attacks=["noise", "fgsm"], verbose=False)
    for flag in result.flags["m"]:
        anchor = flag.page.partition("#")[2]
        assert f"## {anchor}\n" in page


def test_analog_network_reports_no_encoder_flag(ann):
    from art_snn.evaluation.flags import encoder_flag

    assert isinstance(ann.model, AnalogNetwork)
    assert not encoder_flag(ann).raised
    assert np.isclose(encoder_flag(ann).value, 0.0)
