"""Contract, clause 2: surrogates stay in eval; batch norm and dropout follow the mode."""

import inspect

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct
from art_snn.gradients import Surrogate

T, WIDTH, CLASSES = 6, 8, 3


def dense(node, mode):
    torch.manual_seed(0)
    wide = nn.Linear(16, WIDTH)
    wide.weight.data *= 4
    flat = nn.Flatten(2) if mode == "m" else nn.Flatten(1)
    return nn.Sequential(flat, wide, node, nn.Linear(WIDTH, CLASSES))


def gated(node, mode):
    torch.manual_seed(0)
    conv = layer.Conv2d(1, 4, 3, padding=1, step_mode=mode)
    conv.weight.data *= 4
    return nn.Sequential(conv, node, layer.Flatten(step_mode=mode), layer.Linear(64, CLASSES, step_mode=mode))


def online(node, mode):
    torch.manual_seed(0)
    body = layer.OTTTSequential(nn.Flatten(), nn.Linear(16, WIDTH), node, nn.Linear(WIDTH, CLASSES))
    body[1].weight.data *= 4
    return body


def plain(name, *args, **kwargs):
    return lambda: getattr(neuron, name)(*args, **kwargs)


FEW = neuron.FewSpikeTable(*(3 * [[0.5, 0.25, 0.1, 0.05, 0.05, 0.05]]))


MAKE = {
    name: plain(name)
    for name in (
        "ActivationAwareIFNode", "CUBALIFNode", "ComplementaryLIFNode", "EIFNode", "HalfThresholdIFNode", "IFNode",
        "ILIFNode", "IzhikevichNode", "KLIFNode", "LIFNode", "OTTTLIFNode", "ParametricLIFNode", "QIFNode", "RAFNode",
        "SLTTLIFNode", "SimpleIFNode", "TernaryIFNode", "TernaryLIFNode",
    )
} | {
    "FewSpikeNode": plain("FewSpikeNode", FEW),
    "GatedLIFNode": plain("GatedLIFNode", T, inplane=4),
    "HGNode": plain("HGNode", [FEW, FEW], [0.5]),
    "ILCCUBALIFNode": plain("ILCCUBALIFNode", WIDTH // 2, 2),
    "ILCIFNode": plain("ILCIFNode", WIDTH // 2, 2),
    "ILCLIFNode": plain("ILCLIFNode", WIDTH // 2, 2),
    "LIAFNode": plain("LIAFNode", torch.sigmoid, True),
    "MPBNLIFNode": plain("MPBNLIFNode", out_features=WIDTH),
    "MaskedPSN": plain("MaskedPSN", 2, T, lambda_init=1.0),
    "NoisyCUBALIFNode": plain("NoisyCUBALIFNode", WIDTH, is_training=False, T=T),
    "NoisyILCCUBALIFNode": plain("NoisyILCCUBALIFNode", WIDTH // 2, 2, is_training=False, T=T),
    "OutlierAwareThresholdNode": plain("OutlierAwareThresholdNode", FEW, FEW, 0.5),
    "PSN": plain("PSN", T),
    "SimpleLIFNode": plain("SimpleLIFNode", 2.0, True),
    "SlidingPSN": plain("SlidingPSN", 2),
}  # fmt: skip

ABSTRACT = {
    "AdaptBaseNode", "BaseNode", "ILCBaseNode", "MPBNBaseNode", "NoisyBaseNode", "NoisyILCBaseNode", "SimpleBaseNode",
}  # fmt: skip
MULTI_ONLY = {
    "GatedLIFNode",
    "ILCCUBALIFNode",
    "ILCIFNode",
    "ILCLIFNode",
    "NoisyCUBALIFNode",
    "NoisyILCCUBALIFNode",
    "PSN",
}
SINGLE_ONLY = {"OTTTLIFNode", "SLTTLIFNode"}
BODY = {"GatedLIFNode": gated, "OTTTLIFNode": online}
MODES = [
    (name, mode)
    for name in sorted(MAKE)
    for mode in "sm"
    if not (mode == "s" and name in MULTI_ONLY) and not (mode == "m" and name in SINGLE_ONLY)
]


def build(name, mode):
    torch.manual_seed(1)
    node = MAKE[name]()
    if "step_mode" in dir(node) and name not in MULTI_ONLY:
        node.step_mode = mode
    return SpikingNetwork(Direct(T), BODY.get(name, dense)(node, mode))


def images():
    return torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(2))


def gradient(net, x):
    x = x.clone().requires_grad_(True)
    z = net(x)
    return z.detach(), torch.autograd.grad((z * torch.arange(1.0, CLASSES + 1)).sum(), x)[0]


def test_no_neuron_class_with_a_surrogate_is_forgotten():
    with_surrogate = {
        name
        for name, cls in vars(neuron).items()
        if inspect.isclass(cls)
        and issubclass(cls, nn.Module)
        and any("surrogate_function" in inspect.signature(base.__init__).parameters for base in cls.__mro__)
    }
    assert with_surrogate == set(MAKE) | ABSTRACT


@pytest.mark.parametrize(("name", "mode"), MODES)
@pytest.mark.filterwarnings("ignore::art_snn.errors.StepModeWarning")
def test_input_gradient_in_eval(name, mode):
    net = build(name, mode).eval()
    _, grad = gradient(net, images())
    assert torch.isfinite(grad).all()
    assert (grad != 0).flatten(1).any(1).all()
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize("name", ["ComplementaryLIFNode", "OTTTLIFNode", "SLTTLIFNode"])
def test_forced_neurons_spike_as_in_plain_eval(name):
    """The flag that keeps the surrogate must not change the forward."""
    net = build(name, "s").eval()
    for module in net.body.modules():
        assert not module.training
    bare = torch.stack([net.body(step) for step in net.encode(images())])
    for module in net.modules():
        if hasattr(module, "reset") and callable(module.reset):
            module.reset()
    assert torch.equal(net.simulate(net.encode(images())), bare)


def test_the_flag_is_put_back_after_an_exception():
    net = build("ComplementaryLIFNode", "m").eval()
    with pytest.raises(ValueError, match="spike train"):
        net(torch.rand(2, 1, 5, 5))
    assert not net.body[2].training


@pytest.mark.parametrize(("name", "mode"), [pair for pair in MODES if pair[0] != "ILIFNode"])
@pytest.mark.filterwarnings("ignore::art_snn.errors.StepModeWarning")
def test_a_surrogate_swap_changes_no_logit(name, mode):
    net = build(name, mode).eval()
    x = images()
    z, grad = gradient(net, x)
    with net.gradient(Surrogate(surrogate.ATan(alpha=9.0))):
        swapped_z, swapped_grad = gradient(net, x)
    restored_z, restored_grad = gradient(net, x)
    assert torch.equal(z, swapped_z)
    assert torch.equal(z, restored_z)
    assert not torch.equal(grad, swapped_grad)
    assert torch.equal(grad, restored_grad)


def normalized():
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(16, 32, step_mode="m"), layer.BatchNorm1d(32, step_mode="m"),
        neuron.ComplementaryLIFNode(step_mode="m"), layer.Dropout(0.5, step_mode="m"),
        layer.Linear(32, CLASSES, step_mode="m"),
    )  # fmt: skip
    return SpikingNetwork(Direct(T), body)


def test_batch_norm_and_dropout_are_frozen_in_eval_while_neurons_stay_differentiable():
    net = normalized()
    net.train()
    for _ in range(3):
        net(torch.rand(8, 1, 4, 4))
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    z, grad = gradient(net, images())
    again, _ = gradient(net, images())
    assert torch.equal(z, again)
    assert (grad != 0).any()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    alone = torch.cat([gradient(net, row[None])[0] for row in images()])
    assert torch.allclose(z, alone, atol=1e-6)


def test_batch_norm_and_dropout_work_in_train():
    net = normalized().train()
    before = net.body[2].running_mean.clone()
    z, _ = gradient(net, images())
    again, _ = gradient(net, images())
    assert not torch.equal(before, net.body[2].running_mean)
    assert not torch.equal(z, again)
