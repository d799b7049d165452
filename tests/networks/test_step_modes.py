"""Single-step and multi-step bodies are the same network; where SpikingJelly disagrees with itself, it is said."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Latency, MembraneMean, SpikeCount
from art_snn.errors import StepModeWarning
from art_snn.networks import cnn, mlp, step_mode_mismatches


def images():
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def outcome(net):
    x = images().requires_grad_(True)
    z = net(x)
    names, weights = zip(*net.named_parameters(), strict=True)
    grads = torch.autograd.grad((z**2).sum(), [x, *weights])
    with torch.no_grad():
        spikes = net.simulate(net.encode(images()))
    return spikes, z.detach(), dict(zip(("x", *names), grads, strict=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: mlp((1, 8, 8), 10, hidden=(32, 16), encoder=Latency(T=6)),
        lambda: mlp((1, 8, 8), 10, hidden=(32,), neuron="plif"),
        lambda: mlp((1, 8, 8), 10, hidden=(32,), neuron="if"),
        lambda: cnn((1, 8, 8), 10, channels=(4, 8), hidden=16, encoder=Direct(T=4), batch_norm=False),
    ],
)
def test_both_modes_agree_in_spikes_logits_and_gradients(make, training):
    multi = make().train(training)
    single = copy.deepcopy(multi)
    functional.set_step_mode(single.body, "s")
    (spikes_m, z_m, grads_m), (spikes_s, z_s, grads_s) = outcome(multi), outcome(single)
    assert torch.allclose(spikes_m, spikes_s, atol=1e-5)
    assert torch.allclose(z_m, z_s, atol=1e-5)
    for name, grad in grads_m.items():
        assert torch.allclose(grad, grads_s[name], atol=1e-4 * float(grad.abs().max())), name


def test_spike_trains_of_both_modes_are_equal_bit_for_bit():
    torch.manual_seed(0)
    body = nn.Sequential(layer.Flatten(), layer.Linear(64, 50), neuron.LIFNode())
    single = SpikingNetwork(Direct(T=8), body, SpikeCount())
    multi = copy.deepcopy(single)
    functional.set_step_mode(multi.body, "m")
    assert torch.equal(single(images()), multi(images()))


def test_a_body_without_step_modes_gets_the_whole_train():
    class Recorder(nn.Module):
        def forward(self, s):
            self.seen = s.shape
            return s.flatten(2)

    body = Recorder()
    SpikingNetwork(Direct(T=4), body, MembraneMean())(images())
    assert body.seen == (4, 5, 1, 8, 8)


def test_mixed_step_modes_are_refused_by_name():
    body = nn.Sequential(layer.Flatten(step_mode="m"), layer.Linear(64, 9, step_mode="m"), neuron.LIFNode())
    with pytest.raises(ValueError, match=r"mixes step modes: 's' in 2; 'm' in 0, 1.*set_step_mode"):
        SpikingNetwork(Direct(T=4), body)


def test_modes_mixed_after_construction_are_refused_too():
    net = mlp((1, 8, 8), 10, hidden=(9,))
    net.body[2].step_mode = "s"
    with pytest.raises(ValueError, match="mixes step modes"):
        net(images())


def test_a_neuron_of_one_mode_counts_although_it_never_sets_the_attribute():
    """A parallel spiking neuron that is called once per step would take the batch for time."""
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), neuron.LIFNode(), neuron.PSN(4), nn.Linear(9, 3))
    with pytest.raises(ValueError, match="mixes step modes: 's' in 2; 'm' in 3"):
        SpikingNetwork(Direct(T=4), body)


@pytest.mark.parametrize("inner", ["s", "m"])
def test_a_container_steps_through_its_children_itself(inner):
    torch.manual_seed(0)
    layers = [nn.Linear(64, 20), neuron.LIFNode(), nn.Linear(20, 3)]
    if inner == "s":
        body = nn.Sequential(layer.Flatten(step_mode="m"), layer.MultiStepContainer(*layers))
    else:
        layers[1].step_mode = "m"
        body = nn.Sequential(
            layer.Flatten(step_mode="m"), layer.SeqToANNContainer(layers[0]), layers[1],
            layer.SeqToANNContainer(layers[2]),
        )  # fmt: skip
    plain = nn.Sequential(nn.Flatten(), *copy.deepcopy(layers))
    functional.set_step_mode(plain, "s")
    boxed, unboxed = SpikingNetwork(Direct(T=4), body), SpikingNetwork(Direct(T=4), plain)
    assert torch.allclose(boxed(images()), unboxed(images()), atol=1e-6)


class HalvedLIF(neuron.LIFNode):
    """A user's neuron: half the input current, in single-step mode only."""

    def single_step_functional_forward(self, inputs, states, **kwargs):
        return super().single_step_functional_forward((inputs[0] / 2,), states, **kwargs)


class HalvedBoth(HalvedLIF):
    def multi_step_functional_forward(self, inputs, states, **kwargs):
        return neuron.LIFNode.multi_step_functional_forward(self, (inputs[0] / 2,), states, **kwargs)


def test_a_subclass_that_overrides_only_the_single_step_is_found():
    body = nn.Sequential(layer.Linear(4, 4, step_mode="m"), HalvedLIF(step_mode="m"))
    found = step_mode_mismatches(body)
    assert list(found) == ["1"]
    assert "HalvedLIF" in found["1"]
    with pytest.warns(StepModeWarning, match="HalvedLIF"):
        SpikingNetwork(Direct(T=4), body)
    functional.set_step_mode(body, "s")
    assert step_mode_mismatches(body) == {}


def test_a_subclass_that_overrides_both_is_not_accused():
    assert step_mode_mismatches(HalvedBoth(step_mode="m")) == {}


def test_liaf_in_multi_step_mode_is_found():
    node = neuron.LIAFNode(torch.sigmoid, True, step_mode="m")
    assert list(step_mode_mismatches(nn.Sequential(layer.Linear(4, 4, step_mode="m"), node))) == ["1"]
    node.step_mode = "s"
    assert step_mode_mismatches(node) == {}


HONEST = {
    name: getattr(neuron, name)
    for name in (
        "ActivationAwareIFNode", "ComplementaryLIFNode", "EIFNode", "HalfThresholdIFNode", "IFNode", "ILIFNode",
        "IzhikevichNode", "KLIFNode", "LIFNode", "ParametricLIFNode", "QIFNode", "RAFNode", "SimpleIFNode",
        "TernaryIFNode", "TernaryLIFNode",
    )
} | {
    "CUBALIFNode": neuron.CUBALIFNode,
    "MPBNLIFNode": lambda: neuron.MPBNLIFNode(out_features=8),
    "MaskedPSN": lambda: neuron.MaskedPSN(2, 6, lambda_init=1.0),
    "SimpleLIFNode": lambda: neuron.SimpleLIFNode(2.0, True),
    "SlidingPSN": lambda: neuron.SlidingPSN(2),
    "DSRIFNode": lambda: neuron.DSRIFNode(T=6),
    "LIF, Rect": lambda: neuron.LIFNode(surrogate_function=surrogate.Rect()),
    "LIF, soft reset": lambda: neuron.LIFNode(v_reset=None, decay_input=False, detach_reset=True),
    "Dropout": lambda: layer.Dropout(0.5),
    "SynapseFilter": lambda: layer.SynapseFilter(),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(HONEST))
def test_no_honest_module_is_accused(name):
    node = HONEST[name]()
    node.step_mode = "m"
    assert step_mode_mismatches(node) == {}


def test_the_check_touches_neither_the_body_nor_the_random_state():
    body = nn.Sequential(layer.Linear(4, 4, step_mode="m"), neuron.LIFNode(step_mode="m")).train()
    state = torch.get_rng_state()
    step_mode_mismatches(body)
    assert torch.equal(state, torch.get_rng_state())
    assert body[1].training
    assert body[1].step_mode == "m"
    assert not isinstance(body[1].v, torch.Tensor)
