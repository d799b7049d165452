"""What a policy has to know about a neuron: whether it can follow, and its leak, gain and threshold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.gradients.base import Steered
from art_snn.spiking import spiking_neurons

Number = Tensor | float

WITHOUT_SURROGATE = tuple(
    getattr(neuron, name) for name in ("DSRIFNode", "DSRLIFNode", "FlexSN", "STBIFNode") if hasattr(neuron, name)
)
"""Spiking neurons that do not fire through a ``surrogate_function``."""

SEVERAL_CALLS = tuple(
    getattr(neuron, name)
    for name in ("TernaryIFNode", "TernaryLIFNode", "FewSpikeNode", "PSN", "MaskedPSN", "SlidingPSN", "LIAFNode")
    if hasattr(neuron, name)
)
"""Neurons that do not call their surrogate exactly once in each time step."""


def followers(net: Steered, policy: str) -> dict[str, nn.Module]:
    """The neurons whose surrogate ``policy`` replaces, by name.

    :raises ValueError: if there are none, or one fires without a surrogate or in several levels; the message names it.
    """
    network: nn.Module = net  # type: ignore[assignment]
    for name, module in network.named_modules():
        if isinstance(module, WITHOUT_SURROGATE):
            refuse(name, module, policy, "a neuron that spikes through its surrogate_function", "attack it with BPTR()")
    nodes = spiking_neurons(network)
    for name, node in nodes.items():
        if isinstance(node.surrogate_function, surrogate.MultiLevelSpikeCount):
            refuse(name, node, policy, "a neuron with binary spikes", "attack it with BPTR(), or its own surrogate")
    if not nodes:
        fix = "give the network neurons with a surrogate_function, e.g. SpikingJelly's LIFNode"
        raise ValueError(explain("a network without surrogate neurons", f"neurons that {policy} can follow", fix))
    return nodes


def stepwise_followers(net: Steered, policy: str) -> dict[str, nn.Module]:
    """:func:`followers` that call their surrogate exactly once in each time step.

    :raises ValueError: if one does not; the message names it.
    """
    nodes = followers(net, policy)
    for name, node in nodes.items():
        if isinstance(node, SEVERAL_CALLS):
            refuse(name, node, policy, "a neuron that fires once in each step", "attack it with Surrogate(...)")
    return nodes


def refuse(name: str, node: nn.Module, policy: str, expected: str, fix: str) -> None:
    """Raise the error of a neuron that cannot follow a policy."""
    raise ValueError(explain(f"neuron {name!r}, a {type(node).__name__}, under {policy}", expected, fix))


@dataclass(frozen=True)
class Charge:
    r"""Constants of :math:`u_t = \lambda m_{t-1} + (1-\lambda) v_r + c I_t`.

    :param leak: :math:`\lambda`.
    :param gain: :math:`c`.
    :param threshold: :math:`\theta - v_r`, what the membrane has to climb from its reset.
    """

    leak: Number
    gain: Number
    threshold: Number


def charge(node: nn.Module) -> Charge | None:
    """Leak, gain and threshold of an integrate-and-fire neuron; ``None`` for any other kind.

    >>> charge(neuron.LIFNode(tau=4.0, v_threshold=1.0, v_reset=-1.0))
    Charge(leak=0.75, gain=0.25, threshold=2.0)
    """
    rate = _decay(node)
    if rate is None:
        return None
    reset = node.v_reset or 0.0
    gain = rate if getattr(node, "decay_input", False) else 1.0
    return Charge(1.0 - rate, gain, node.v_threshold - reset)  # type: ignore[operator]


def _decay(node: nn.Module) -> Number | None:
    r""":math:`1/\tau`."""
    if isinstance(node, neuron.ILIFNode | neuron.LIAFNode | neuron.OTTTLIFNode | neuron.SLTTLIFNode):
        return None
    if isinstance(node, neuron.IFNode | neuron.HalfThresholdIFNode | neuron.SimpleIFNode):
        return 0.0
    if isinstance(node, neuron.ParametricLIFNode):
        weight: Tensor = node.w
        return weight.detach().sigmoid()
    if isinstance(node, neuron.LIFNode | neuron.SimpleLIFNode):
        return 1.0 / float(node.tau)
    return None


@contextmanager
def swapped(replacements: dict[nn.Module, nn.Module], detach_reset: bool | None = None) -> Iterator[None]:
    """Put a surrogate into each neuron; put the old ones back at the end, whatever happens.

    :param detach_reset: ``detach_reset`` of the same neurons meanwhile; ``None`` leaves it.
    """
    surrogates: list[tuple[nn.Module, nn.Module]] = []
    flags: list[tuple[nn.Module, bool]] = []
    try:
        for node, new in replacements.items():
            surrogates.append((node, node.surrogate_function))  # type: ignore[arg-type]
            node.surrogate_function = new
            if detach_reset is not None:
                flags.append((node, bool(node.detach_reset)))
                node.detach_reset = detach_reset  # type: ignore[assignment]
        yield
    finally:
        for node, old in surrogates:
            node.surrogate_function = old
        for node, flag in flags:
            node.detach_reset = flag  # type: ignore[assignment]
