"""A gradient policy: how a gradient crosses a spike, without changing one.

A policy changes the backward pass only. It is active inside ``with net.gradient(policy):`` and the *forward* must run
there: a surrogate swapped between forward and backward has no effect. Policies swap objects, never mutate them
(SpikingJelly shares default surrogates between neurons), hold no parameters, nest, and leave everything as found, also
after an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn

from art_snn.errors import explain
from art_snn.spiking import spiking_neurons


class GradientPolicy:
    """Base class. Subclasses implement :meth:`applied`."""

    def applied(self, net: nn.Module) -> AbstractContextManager[None]:
        """Make the policy active on every spiking neuron of ``net`` until the context is left."""
        raise NotImplementedError

    def attack_scope(self, ids: Sequence[int]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Bind per-sample state to sample ids while an attack runs; stateless policies need nothing."""
        return nullcontext()


def neurons_to_steer(net: nn.Module, policy: str) -> dict[str, nn.Module]:
    """The neurons of ``net`` that have a surrogate.

    :raises ValueError: if there are none.
    """
    nodes = spiking_neurons(net)
    if not nodes:
        fix = "give the network neurons with a surrogate_function, e.g. SpikingJelly's LIFNode"
        raise ValueError(explain("a network without surrogate neurons", f"neurons that {policy} can follow", fix))
    return nodes


@contextmanager
def swapped(replacements: Iterator[tuple[nn.Module, nn.Module]]) -> Iterator[None]:
    """Put each new surrogate in its neuron's place; put the old ones back at the end, whatever happens."""
    saved: list[tuple[nn.Module, nn.Module]] = []
    try:
        for node, new in replacements:
            saved.append((node, node.surrogate_function))  # type: ignore[arg-type]
            node.surrogate_function = new
        yield
    finally:
        for node, old in reversed(saved):
            node.surrogate_function = old
