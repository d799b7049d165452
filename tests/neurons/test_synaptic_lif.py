"""The synaptic neuron against SpikingJelly, by recursion, and inside a network."""

import copy

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, psp
from art_snn.networks import step_mode_mismatches
from art_snn.neurons import SynapticLIF


def current(seed=0, T=9):
    return torch.randn(T, 3, 5, generator=torch.Generator().manual_seed(seed)).double() + 0.3


@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("tau_m", [1.5, 5.0])
def test_with_tau_s_one_it_is_spikingjellys_lif(v_reset, tau_m):
    x = current()
    lif = neuron.LIFNode(tau_m, decay_input=False, v_reset=v_reset, step_mode="m", surrogate_function=surrogate.ATan())
    node = SynapticLIF(tau_m, 1.0, v_reset=v_reset)
    a, b = x.clone().requires_grad_(True), x.clone().requires_grad_(True)
    out, expected = node(a), lif(b)
    assert torch.equal(out, expected)
    weight = torch.randn_like(x)
    grads = [torch.autograd.grad((s * weight).sum(), leaf)[0] for s, leaf in ((out, a), (expected, b))]
    assert torch.allclose(*grads)


def test_the_synapse_is_the_filter():
    x = current(1)
    spikes = SynapticLIF(5.0, 1.0)(x)
    assert torch.allclose(SynapticLIF(5.0, 3.0)(x), psp(spikes, 3.0))


def test_both_step_modes_agree():
    assert step_mode_mismatches(SynapticLIF()) == {}
    node = SynapticLIF(step_mode="s")
    x = current(2)
    assert torch.equal(torch.stack([node(step) for step in x]), SynapticLIF()(x))


def test_state_is_forgotten_by_the_network():
    body = nn.Sequential(layer.Linear(4, 6, step_mode="m"), SynapticLIF(), layer.Linear(6, 2, step_mode="m"))
    net = SpikingNetwork(Direct(5), body)
    x = torch.rand(3, 4)
    assert torch.equal(net(x), net(x))
    assert torch.equal(copy.deepcopy(net)(x), net(x))


@pytest.mark.parametrize("bad", [{"tau_m": 0.5}, {"tau_s": 0.0}, {"v_threshold": 0.0}, {"v_reset": 0.5}])
def test_arguments(bad):
    with pytest.raises(ValueError, match="Fix:"):
        SynapticLIF(**bad)
