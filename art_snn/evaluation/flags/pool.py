"""Other gradients of the same model: surrogates that an attacker may put in place of the one it was trained with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn

from art_snn.gradients import ASSG, BPTR, GradientPolicy, StraightThrough, Surrogate
from art_snn.gradients.neurons import swapped
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import spiking_neurons, surrogates_kept

POOL: dict[str, GradientPolicy] = {
    "atan 2": Surrogate("atan", 2.0),
    "atan 10": Surrogate("atan", 10.0),
    "triangle 0.25": Surrogate("triangle", 4.0),
    "triangle 1": Surrogate("triangle", 1.0),
    "rect 1": Surrogate("rect", 1.0),
    "straight-through": StraightThrough(),
    "bptr": BPTR(),
    "assg 0.45": ASSG(0.45),
}
"""Policies by name; triangles by their half width."""


def pool_of(model: nn.Module) -> dict[str, GradientPolicy]:
    """The members of :data:`POOL` that ``model`` can follow; empty for a network that does not spike."""
    return {name: policy for name, policy in POOL.items() if _can_follow(model, policy)}


def _can_follow(model: nn.Module, policy: GradientPolicy) -> bool:
    if not isinstance(model, SpikingNetwork):
        return type(policy) is Surrogate and bool(spiking_neurons(model))
    try:
        policy.check(model)
    except ValueError:
        return False
    return True


@contextmanager
def steered(model: nn.Module, policy: GradientPolicy | None) -> Iterator[None]:
    """Gradients of ``model`` under ``policy``, also where the model is not a ``SpikingNetwork``."""
    if policy is None:
        yield
    elif isinstance(model, SpikingNetwork):
        with policy.applied(model):
            yield
    else:
        nodes = spiking_neurons(model).values()
        surrogate = policy.surrogate_function  # type: ignore[attr-defined]
        with forced(model), swapped(dict.fromkeys(nodes, surrogate)):
            yield


@contextmanager
def forced(model: nn.Module) -> Iterator[None]:
    """Spiking neurons in training mode, so that none drops its surrogate; everything else stays as it is.

    They stay there when the model is put into eval mode inside the context, as attacks do.
    """
    nodes = list(spiking_neurons(model).values())
    modes = [node.training for node in nodes]
    with surrogates_kept(model):
        for node in nodes:
            node.training = True
            vars(node)["train"] = partial(_kept, node)
        try:
            yield
        finally:
            for node, mode in zip(nodes, modes, strict=True):
                del vars(node)["train"]
                node.training = mode


def _kept(node: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001 - the signature of Module.train
    return node
