"""A diagnosis as a whole: what it returns, what it leaves alone, what it refuses."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from art_snn.evaluation import diagnose
from art_snn.evaluation.flags import CHECKS, Evidence, Plan
from art_snn.evaluation.layers import inspect_layers, policy_cosines
from art_snn.evaluation.reliability import STEPS, ReliabilityReport


@pytest.fixture(scope="module")
def report(snn, samples, small_plan):
    return diagnose(snn, *samples, eps=0.1, plan=small_plan)


def without_clock(record):
    return {name: value for name, value in record.items() if not name.endswith("seconds")}


def test_every_flag_is_there_and_everything_is_json(report):
    assert list(report.flags) == list(CHECKS)
    assert report.valid
    stored = json.loads(json.dumps(report.record(), allow_nan=False))
    assert [flag["id"] for flag in stored["flags"]] == list(CHECKS)
    assert all(flag["verdict"] and flag["rule"] for flag in stored["flags"])
    assert len(report.next_steps) == STEPS
    assert len(report.table().rows) == 24
    assert "E1" in str(report)


def test_same_seed_same_diagnosis_and_the_model_is_left_as_it_was(report, snn, samples, small_plan):
    weights = {name: value.clone() for name, value in snn.model.state_dict().items()}
    modes = [module.training for module in snn.model.modules()]
    surrogates = [id(getattr(module, "surrogate_function", None)) for module in snn.model.modules()]
    again = diagnose(snn, *samples, eps=0.1, plan=small_plan)
    assert without_clock(again.record()) == without_clock(report.record())
    assert all(torch.equal(value, weights[name]) for name, value in snn.model.state_dict().items())
    assert modes == [module.training for module in snn.model.modules()]
    assert surrogates == [id(getattr(module, "surrogate_function", None)) for module in snn.model.modules()]
    assert not snn.model.policies


def test_random_streams_are_left_where_they_were(poisson, samples, small_plan):
    x, _ = samples
    poisson.model.reseed(3)
    first = poisson.predict(x)
    poisson.model.reseed(3)
    diagnose(poisson, *samples, eps=0.1, plan=small_plan)
    np.testing.assert_array_equal(poisson.predict(x), first)


def test_causes_come_before_symptoms(report):
    from dataclasses import replace

    flags = dict(report.flags)
    for name in ("W3", "E1", "E7", "W2"):
        flags[name] = replace(flags[name], raised=True)
    first, *others = ReliabilityReport(flags).next_steps
    assert first.startswith("E7: ")
    assert "explains E1, " in first
    assert {"W2", "W3"} <= set(re.findall(r"W\d+", first))
    assert others[0].startswith("then run the doctor again")


def test_one_hot_labels(snn, samples, small_plan, report):
    again = diagnose(snn, samples[0], np.eye(10)[samples[1]], eps=0.1, plan=small_plan)
    assert without_clock(again.record()) == without_clock(report.record())


@pytest.mark.parametrize("eps", [0.0, -0.1, float("nan"), float("inf")])
def test_bad_budgets(eps, snn, samples):
    with pytest.raises(ValueError, match="a positive budget"):
        diagnose(snn, *samples, eps=eps)


def test_bad_models_and_samples(snn, samples):
    with pytest.raises(TypeError, match="wrap the network in SNNClassifier"):
        diagnose(nn.Linear(1, 1), *samples)
    with pytest.raises(ValueError, match=r"finite samples \[N, 1, 8, 8\]"):
        diagnose(snn, samples[0][:, :, :4], samples[1])
    with pytest.raises(ValueError, match="labels"):
        diagnose(snn, samples[0], samples[1] + 1)


class TestLayers:
    """Rates, dead neurons and gradients by hand."""

    def make(self, samples, body):
        from art_snn.coding import Direct, MembraneMean
        from art_snn.estimators import SNNClassifier
        from art_snn.networks import SpikingNetwork

        net = SpikingNetwork(Direct(T=3), body, MembraneMean())
        classifier = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
        return Evidence(classifier, *samples, 0.1, 0, Plan(probes=16, samples=16))

    def body(self, bias):
        from spikingjelly.activation_based import layer, neuron

        body = nn.Sequential(
            layer.Flatten(step_mode="m"), layer.Linear(64, 4, step_mode="m"),
            neuron.IFNode(v_reset=0.0, step_mode="m"), layer.Linear(4, 10, step_mode="m"),
        )  # fmt: skip
        with torch.no_grad():
            body[1].weight.mul_(1e-3)
            body[1].bias.copy_(torch.tensor(bias))
        return body

    def test_dead_saturated_and_rates(self, samples):
        facts = self.make(samples, self.body([-1.0, 2.0, 0.45, 0.45]))
        (state,) = inspect_layers(facts, *facts.few)
        assert state.kind == "IFNode"
        assert (state.dead, state.saturated) == (0.25, 0.25)
        np.testing.assert_allclose(state.rate, [0.25, 0.25, 0.75])  # 0.45 a step reaches 1 at the third
        assert len(state.overlap) == len(state.zero_gradient) == 3
        assert state.norm > 0

    def test_support_of_a_narrow_surrogate(self, samples):
        from art_snn.gradients import surrogate

        body = self.body([-5.0, 5.0, 1.05, 1.05])
        body[2].surrogate_function = surrogate("triangle", 10.0)
        facts = self.make(samples, body)
        (state,) = inspect_layers(facts, *facts.few)
        np.testing.assert_allclose(state.overlap, [0.5, 0.5, 0.5])
        assert min(state.zero_gradient) >= 0.5
        assert CHECKS["W9"].judge(facts).value == 0.5

    def test_cosine_of_a_policy_with_itself(self, snn, samples, small_plan):
        facts = Evidence(snn, *samples, 0.1, 0, small_plan)
        table = policy_cosines(facts, *facts.few)
        for name, row in table.items():
            assert row[name] == pytest.approx(1.0)
            assert all(abs(value) <= 1 + 1e-9 for value in row.values())
        assert table["own"]["atan 2"] == pytest.approx(1.0, abs=1e-5)  # the surrogate it was trained with


def test_relu_layers_of_an_ordinary_network(ann, samples, small_plan):
    facts = Evidence(ann, *samples, 0.1, 0, small_plan)
    (state,) = inspect_layers(facts, *facts.few)
    hidden = ann.model.body[:3](torch.tensor(facts.few[0])).detach()
    assert state.kind == "ReLU"
    assert state.rate == [pytest.approx(float((hidden > 0).double().mean()))]
    assert state.overlap == []


def test_saturated_means_every_sample_at_every_step():
    from art_snn.evaluation.layers import _Seen, _state

    seen = _Seen()
    for spikes in ([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]):
        seen.add(torch.tensor(spikes) - 0.5, torch.tensor(spikes))
    state = _state("n", "k", seen, nn.Identity())
    assert (state.saturated, state.dead) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert state.rate == [0.5, pytest.approx(4 / 6)]
    assert state.zero_gradient == [1.0, 1.0]
