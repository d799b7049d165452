"""The forward is sacred: every policy, neuron, reset, detachment and step mode, with membranes on the threshold."""

from __future__ import annotations

import pytest
import torch
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn.coding import Direct, MembraneMean, Poisson
from art_snn.gradients import HART, SCG, ANNTwin, Ensemble
from art_snn.networks import SpikingNetwork, ann_twin, mlp

pytestmark = pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")


def trains(net, x, policy=None):
    """Logits, and what every module of the body sent on."""
    seen = []
    hooks = [m.register_forward_hook(lambda m, a, out: seen.append(out.detach().clone())) for m in net.body]
    try:
        if policy is None:
            logits = net(x)
        else:
            with net.gradient(policy):
                logits = net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return logits.detach(), seen


@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, None, -0.5])
@pytest.mark.parametrize("kind", ["if", "lif", "plif"])
def test_logits_and_spikes_are_equal(kind, v_reset, detach, mode, node, net, policies, grid) -> None:
    model = net(lambda: node(kind, v_reset, detach, mode))
    x = grid().requires_grad_(True)
    logits, spikes = trains(model, x)
    assert 0.05 < torch.stack(spikes[1 :: len(model.body)]).mean() < 0.95
    for policy in policies():
        if mode == "s" and isinstance(policy, HART):
            continue
        again, steered = trains(model, x, policy)
        assert torch.equal(again, logits), policy
        rounds = len(steered) // len(spikes)
        assert rounds >= 1
        for k, train in enumerate(steered):
            assert torch.equal(train, spikes[k % len(spikes)]), policy


def test_inputs_do_sit_on_the_threshold(node, net, grid) -> None:
    model = net(lambda: node("if"))
    first = model.body[0](grid())
    assert bool((first == 1.0).any())


@pytest.mark.parametrize(
    "make",
    [
        lambda: neuron.KLIFNode(step_mode="m"),
        lambda: neuron.ComplementaryLIFNode(step_mode="m"),
        lambda: neuron.QIFNode(step_mode="m"),
        lambda: neuron.EIFNode(step_mode="m"),
        lambda: neuron.IzhikevichNode(step_mode="m"),
        lambda: neuron.HalfThresholdIFNode(step_mode="m"),
        lambda: neuron.SimpleLIFNode(2.0, False, step_mode="m"),
        lambda: neuron.TernaryIFNode(step_mode="m"),
        lambda: neuron.PSN(T=5),
        lambda: neuron.DSRIFNode(T=5, step_mode="m"),
    ],
)
def test_other_neurons_follow_or_are_named(make, net, policies, grid) -> None:
    model = net(make)
    x = grid().requires_grad_(True)
    logits = model(x).detach()
    followed = 0
    for policy in policies():
        try:
            with model.gradient(policy):
                again = model(x)
        except ValueError as error:
            assert "neuron 'body.1'" in str(error)  # noqa: PT017
            continue
        followed += 1
        assert torch.equal(again, logits), policy
        if not isinstance(model.body[1], neuron.PSN):
            assert bool(torch.isfinite(torch.autograd.grad(again.sum(), x)[0]).all())
    assert followed >= 1


def test_a_stepped_neuron_in_a_multi_step_body(node, net, policies, grid) -> None:
    model = net(lambda: layer.MultiStepContainer(node("lif", mode="s")))
    x = grid().requires_grad_(True)
    logits = model(x).detach()
    for policy in policies():
        if not isinstance(policy, HART):
            with model.gradient(policy):
                assert torch.equal(model(x), logits), policy


@pytest.mark.parametrize("draws", [1, 3])
def test_stochastic_codes_draw_the_same_numbers(draws, policies) -> None:
    model = mlp((1, 4, 4), 3, hidden=(8,), encoder=Poisson(T=6)).eval()
    model.eot = draws
    x = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    model.reseed()
    first, second = model(x).detach(), model(x).detach()
    assert not torch.equal(first, second)
    for policy in [*policies(), ANNTwin(ann_twin(model)), Ensemble([ANNTwin(), Ensemble([HART(), ANNTwin()])])]:
        model.reseed()
        with model.gradient(policy):
            assert torch.equal(model(x), first), policy
            assert torch.equal(model(x), second), policy


def test_in_training_mode_with_batch_norm_and_dropout(policies) -> None:
    torch.manual_seed(0)

    def build() -> SpikingNetwork:
        parts = [
            layer.Conv2d(1, 4, 3, step_mode="m"),
            layer.BatchNorm2d(4, step_mode="m"),
            neuron.LIFNode(step_mode="m"),
        ]
        parts += [layer.Dropout(0.3, step_mode="m"), layer.Flatten(step_mode="m"), layer.Linear(64, 3, step_mode="m")]
        return SpikingNetwork(Direct(T=4), nn.Sequential(*parts), MembraneMean()).train()

    model = build()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(5, 1, 6, 6).requires_grad_(True)
    torch.manual_seed(1)
    logits = model(x).detach()
    after, stream = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    for policy in policies():
        model.load_state_dict(start)
        torch.manual_seed(1)
        with model.gradient(policy):
            z = model(x)
        assert torch.equal(z, logits), policy
        assert torch.equal(torch.get_rng_state(), stream), policy
        for name, value in model.state_dict().items():
            assert torch.equal(value, after[name]), (policy, name)
        torch.autograd.grad(z.sum(), x)


def test_modified_forward_is_declared_and_predictions_keep_the_threshold(node, net, grid) -> None:
    model, policy = net(lambda: node("lif")), SCG(theta_pen=2.0)
    x = grid()
    plain = model(x).detach()
    with model.gradient(policy):
        modified = model(x.clone().requires_grad_(True))
        with torch.no_grad():
            predicted = model(x)
        without_input_gradient = model(x)
    assert policy.modifies_forward
    assert not torch.equal(modified, plain)
    assert torch.equal(predicted, plain)
    assert torch.equal(without_input_gradient, plain)
    assert torch.equal(model(x), plain)
