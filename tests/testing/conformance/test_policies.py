"""Every gradient policy of the package conforms, and one broken on purpose for each contract does not."""

from contextlib import contextmanager

import pytest
import torch
from torch import nn

from art_snn import gradients
from art_snn.coding import Direct, MembraneMean, Poisson
from art_snn.gradients import (
    ASSG,
    BPTR,
    HART,
    PDSG,
    RGA,
    SCG,
    TSSLBP,
    ANNTwin,
    Ensemble,
    GradientPolicy,
    StraightThrough,
    Surrogate,
    surrogate,
)  # fmt: skip
from art_snn.networks import SpikingNetwork, ann_twin, mlp
from art_snn.neurons import SynapticLIF
from art_snn.spiking import spiking_neurons
from art_snn.testing import ConformanceError, check_policy
from art_snn.testing.conformance import POLICY

POLICIES = [
    Surrogate("atan", 8.0), Surrogate("triangle", detach_reset=True), Surrogate("sigmoid", temporal_chain="none"),
    StraightThrough(), StraightThrough(clip=0.5), BPTR(), RGA(), HART(0.5), PDSG(), ASSG(0.45), ANNTwin(),
    Ensemble([Surrogate("atan", 8.0), BPTR()]), SCG(2.0),
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_policies(policy):
    check_policy(policy)


@pytest.mark.parametrize("policy", [Surrogate("atan", 8.0), BPTR()], ids=repr)
def test_policies_on_a_stochastic_network(policy):
    net = mlp((1, 4, 4), 3, hidden=(32,), encoder=Poisson(T=4))
    check_policy(policy, net, torch.rand(4, 1, 4, 4))


def test_the_policy_of_synaptic_neurons():
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Flatten(2), nn.Linear(16, 24), SynapticLIF(), nn.Linear(24, 3)]
    with torch.no_grad():
        for part in layers:
            for p in part.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))
    net = SpikingNetwork(Direct(T=6), nn.Sequential(*layers), MembraneMean()).double()
    check_policy(TSSLBP(), net, torch.rand(4, 1, 4, 4))


def test_the_twin_as_a_network_of_its_own():
    net = mlp((1, 4, 4), 3, hidden=(32,), encoder=Direct(T=4)).double()
    check_policy(ANNTwin(ann_twin(net)), net, torch.rand(4, 1, 4, 4))


def test_every_public_policy_is_here():
    kinds = {kind for name in gradients.__all__ if isinstance(kind := getattr(gradients, name), type)}
    public = {kind for kind in kinds if issubclass(kind, GradientPolicy) and kind is not GradientPolicy}
    assert public == {type(policy) for policy in POLICIES} | {TSSLBP}


class Sharp(GradientPolicy):
    """A conforming policy, to be broken in one place each."""

    def __init__(self, alpha=8.0):
        self.new = surrogate("atan", alpha)

    @contextmanager
    def steer(self, net, draw=0):
        nodes = spiking_neurons(net).values()
        before = [node.surrogate_function for node in nodes]
        try:
            for node in nodes:
                node.surrogate_function = self.new
            yield
        finally:
            for node, old in zip(nodes, before, strict=True):
                node.surrogate_function = old


class Later(nn.Module):
    """Fires a little above the threshold."""

    spiking = True

    def forward(self, v):
        return surrogate("atan")(v - 0.3)


class OtherSpikes(Sharp):
    def __init__(self):
        self.new = Later()


class AlsoPredicts(OtherSpikes):
    @contextmanager
    def applied(self, net):
        with super().applied(net), self.steer(net):
            yield


class Vanishing(Sharp):
    def __init__(self):
        self.new = surrogate("triangle", 1e9)


class Forgets(Sharp):
    @contextmanager
    def steer(self, net, draw=0):
        for node in spiking_neurons(net).values():
            node.surrogate_function = self.new
        yield


class ForgetsAfterErrors(Sharp):
    @contextmanager
    def steer(self, net, draw=0):
        nodes = spiking_neurons(net).values()
        before = [node.surrogate_function for node in nodes]
        for node in nodes:
            node.surrogate_function = self.new
        yield
        for node, old in zip(nodes, before, strict=True):
            node.surrogate_function = old


class _ByBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.arange(1, len(grad) + 1).to(grad)[:, None]


class Weighted(Sharp):
    def conduct(self, net, x):
        return _ByBatch.apply(super().conduct(net, x))


class Drifting(Sharp):
    def __init__(self):
        super().__init__()
        self.alpha = 4.0

    def steer(self, net, draw=0):
        self.alpha *= 1.5
        self.new = surrogate("atan", self.alpha)
        return super().steer(net, draw)


class Chained(Sharp):
    """Steered by the policy around it as well."""

    def conduct(self, net, x):
        outer = net.policies[-2:-1]
        return outer[0].conduct(net, x) if outer else super().conduct(net, x)


class Inside(Sharp):
    """Decides in the backward pass."""

    active = False

    @contextmanager
    def applied(self, net):
        with super().applied(net):
            self.active = True
            yield
        self.active = False

    def conduct(self, net, x):
        z = super().conduct(net, x)
        if z.requires_grad:
            z.register_hook(lambda grad: grad if self.active else 2 * grad)
        return z


class NoScope(Sharp):
    def attack_scope(self, ids):
        from contextlib import nullcontext

        return nullcontext()


class Anything(Sharp):
    @contextmanager
    def applied(self, net):
        if isinstance(net, SpikingNetwork):
            with super().applied(net):
                yield
        else:
            yield


class Singular(Sharp):
    def __deepcopy__(self, memo):
        return type(self)(2.0)


BROKEN = {
    "spikes stay": OtherSpikes, "predictions stay": AlsoPredicts, "gradient": Vanishing, "left as found": Forgets,
    "left as found after an error": ForgetsAfterErrors, "each alone": Weighted, "repeats": Drifting,
    "innermost": Chained, "backward later": Inside, "scope": NoScope, "only networks": Anything, "copies": Singular,
}  # fmt: skip


def test_the_policy_that_is_broken_conforms_before():
    check_policy(Sharp())


def test_there_is_a_broken_policy_for_every_contract():
    assert set(BROKEN) == set(POLICY.listed)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_policies_are_found_out(name):
    with pytest.raises(ConformanceError) as raised:
        check_policy(lambda: BROKEN[name]())
    assert name in raised.value.broken
    assert f"Fix: {POLICY.listed[name].fix}" in str(raised.value)
