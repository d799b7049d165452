"""A gradient policy: how a gradient crosses a spike, without changing one.

A policy changes the backward pass only. It is active inside ``with net.gradient(policy):`` and the *forward* must run
there: what a spike passes back is decided when it is fired. The network keeps a stack of policies; the innermost one
steers, alone. For every single run of the body with gradients enabled the network enters :meth:`GradientPolicy.steer`,
which swaps objects, never mutates them (SpikingJelly shares default surrogates between neurons), and puts them back
when the run ends, also after an exception. Between two runs nothing is swapped, and without gradients nothing ever is:
predictions inside the context are the plain ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar, Protocol

from torch import Tensor

from art_snn.errors import GuardedInit, explain


class Steered(Protocol):
    """What a policy asks of a network; :class:`~art_snn.networks.SpikingNetwork` provides it."""

    policies: list[GradientPolicy]

    def run(self, x: Tensor, policy: GradientPolicy | None = None) -> Tensor:
        """Logits of a batch, averaged over the network's draws, with ``policy`` steering each of them."""

    def replay(self) -> AbstractContextManager[None]:
        """Inside, runs draw the same random numbers again and leave streams and buffers as they were."""


class AttackScope:
    """What an attack tells a policy that keeps state per sample. This one, of a policy without state, ignores it.

    >>> with GradientPolicy().attack_scope([7, 8, 9]) as scope:
    ...     scope.batch([7, 9])  # sample 8 is solved: the next forwards hold samples 7 and 9, in this order
    ...     scope.restart()  # a new start: forget what was learned about the samples
    ...     with scope.frozen():  # a further draw of the same iteration: use the state, do not move it
    ...         pass
    """

    def batch(self, ids: Sequence[int]) -> None:
        """Name the samples of the forwards to come, row by row."""

    def restart(self, ids: Sequence[int] | None = None) -> None:
        """Forget the state of ``ids``, or of every sample."""

    def frozen(self) -> AbstractContextManager[None]:
        """Inside, forwards use the state and do not move it: draws after the first one, extra line-search gradients."""
        return nullcontext()


class GradientPolicy(GuardedInit):
    """Base class. Subclasses implement :meth:`steer`, and :meth:`check` if they cannot follow every neuron.

    >>> from art_snn.networks import mlp
    >>> class Own(GradientPolicy):
    ...     def steer(self, net, draw=0):
    ...         return nullcontext()
    >>> net = mlp((1, 8, 8), 10)
    >>> with Own().applied(net):
    ...     len(net.policies)  # calls and gradients in here are those of the policy
    1
    """

    modifies_forward: ClassVar[bool] = False
    """Whether gradients are taken at another forward than the network's own; success is then judged outside."""

    is_stateful: ClassVar[bool] = False
    """Whether the policy learns from one attack iteration to the next, inside :meth:`attack_scope`."""

    @contextmanager
    def applied(self, net: Steered) -> Iterator[None]:
        """Make the policy steer ``net`` until the context is left; the innermost of several policies wins.

        :raises ValueError: if ``net`` has a neuron that the policy cannot follow; the message names it.
        """
        if not isinstance(getattr(net, "policies", None), list):
            fix = "wrap the body: SpikingNetwork(encoder, body, decoder)"
            raise TypeError(explain(f"a {type(net).__name__}", "a SpikingNetwork, whose runs can be steered", fix))
        self.check(net)
        net.policies.append(self)
        try:
            yield
        finally:
            net.policies.pop()

    def check(self, net: Steered) -> None:
        """Refuse a network that the policy cannot follow.

        :raises ValueError: naming the neuron.
        """

    def conduct(self, net: Steered, x: Tensor) -> Tensor:
        """One forward of the network under the policy: logits ``[N, K]``."""
        return net.run(x, self)

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:
        """Steer one run of the body.

        :param net: the network.
        :param draw: index of the run among the draws of one forward.
        """
        raise NotImplementedError

    def attack_scope(self, ids: Sequence[int]) -> AbstractContextManager[AttackScope]:  # noqa: ARG002
        """Bind per-sample state to sample ids while an attack runs; stateless policies need nothing.

        :param ids: one distinct number for each sample of the attack; the first batch is all of them, in this order.
        :return: a context whose value, an :class:`AttackScope`, is told about survivors, restarts and extra draws.
        """
        return nullcontext(AttackScope())
