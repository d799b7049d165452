r"""Several policies at once: the network runs once per member, their input gradients are combined.

.. math:: \hat g = \sum_j w_j \frac{g^{(j)}}{\overline{|g^{(j)}|} + 10^{-12}} \quad (\text{rule } \texttt{sum}), \qquad
    \hat g = \sum_j w_j\, \mathrm{sign}\, g^{(j)} \quad (\text{rule } \texttt{sign\_vote})

per sample, the mean over its values. All members see the same random draws, so their logits are equal, bit for bit, and
equal to the plain forward; the combination happens where the gradient leaves the network, so any attack can use it.
The result is a direction: its length carries no information, and it is not linear in the loss. Choosing the best member
per step, or keeping the success of any, belongs to an attack.

Source: Xu et al., "Attacking the Spike", arXiv 2209.03358.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from art_snn.coding.straight_through import is_traced
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope, GradientPolicy, Steered

RULES = ("sum", "sign_vote")

_TINY = 1e-12


class Ensemble(GradientPolicy):
    """Combined gradient of several policies, at the cost of all of them.

    Only inputs receive a gradient; without one to take the network runs plain. Double backward raises.

    :param members: the policies.
    :param weights: one per member, not negative; equal by default.
    :param rule: ``sum`` of normalized gradients, or ``sign_vote``.
    :raises TypeError: if a member is not a policy.
    :raises ValueError: without members, for weights that do not fit, or for an unknown rule.

    >>> from art_snn.gradients import BPTR, RGA
    >>> Ensemble([BPTR(), RGA()])
    Ensemble([BPTR(), RGA(gamma=0.2, beta=2.0)], rule='sum')
    """

    def __init__(
        self, members: Sequence[GradientPolicy], weights: Sequence[float] | None = None, *, rule: str = "sum"
    ) -> None:
        self.members = list(members)
        for member in self.members:
            if not isinstance(member, GradientPolicy):
                fix = "Ensemble([Surrogate('atan', 8.0), BPTR()])"
                raise TypeError(explain(f"member {member!r}", "a GradientPolicy instance", fix))
        if not self.members:
            raise ValueError(explain("an ensemble without members", "at least one policy", "Ensemble([BPTR()])"))
        self.weights = _weights(weights, len(self.members))
        if rule not in RULES:
            raise ValueError(explain(f"rule={rule!r}", f"one of {RULES}", "rule='sum'"))
        self.rule = rule
        self.modifies_forward = all(member.modifies_forward for member in self.members)  # type: ignore[misc]
        self.is_stateful = any(member.is_stateful for member in self.members)  # type: ignore[misc]

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        for member in self.members:
            member.check(net)

    def conduct(self, net: Steered, x: Tensor) -> Tensor:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        if not is_traced(x):
            return net.run(x)
        runs = []
        for position, member in enumerate(self.members, start=1):
            leaf = x.detach().requires_grad_(True)
            with net.replay() if position < len(self.members) else nullcontext():
                runs.append((leaf, member.conduct(net, leaf)))
        honest = [z for m, (_, z) in zip(self.members, runs, strict=True) if not m.modifies_forward]
        logits: Tensor = _Combined.apply(x, (honest or [runs[-1][1]])[0].detach(), runs, self)
        return logits

    def combined(self, gradients: Sequence[Tensor]) -> Tensor:
        """The rule, on gradients ``[N, *]`` of the members."""
        parts = []
        for weight, g in zip(self.weights, gradients, strict=True):
            if self.rule == "sign_vote":
                parts.append(weight * g.sign())
            else:
                scale = g.abs().mean(tuple(range(1, g.dim())), keepdim=True)
                parts.append(weight * g / (scale + _TINY))
        return torch.stack(parts).sum(0)

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:  # noqa: ARG002
        """An ensemble acts on a whole forward.

        :raises ValueError: always.
        """
        fix = "take the gradient of the whole network; spike trains enter through net.at_spikes()"
        raise ValueError(explain("a single run of the body under an Ensemble", "a forward of the network", fix))

    @contextmanager
    def attack_scope(self, ids: Sequence[int]) -> Iterator[AttackScope]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`; opens the scope of every member."""
        with ExitStack() as stack:
            yield _Scopes([stack.enter_context(member.attack_scope(ids)) for member in self.members])

    def __repr__(self) -> str:
        return f"Ensemble({self.members}, rule={self.rule!r})"


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, logits: Tensor, runs: list[tuple[Tensor, Tensor]], policy: Ensemble) -> Tensor:  # noqa: ARG004
        return logits.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        _, _, ctx.runs, ctx.policy = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():
            fix = "take second derivatives, and torch.func transforms, under one policy at a time"
            raise RuntimeError(explain("create_graph=True under an Ensemble", "a first derivative", fix))
        gradients = [
            torch.autograd.grad(z, leaf, grad, retain_graph=True, materialize_grads=True)[0] for leaf, z in ctx.runs
        ]
        return ctx.policy.combined(gradients), None, None, None


class _Scopes(AttackScope):
    """The scopes of all members."""

    def __init__(self, scopes: list[AttackScope]) -> None:
        self.scopes = scopes

    def batch(self, ids: Sequence[int]) -> None:
        for scope in self.scopes:
            scope.batch(ids)

    def restart(self, ids: Sequence[int] | None = None) -> None:
        for scope in self.scopes:
            scope.restart(ids)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        with ExitStack() as stack:
            for scope in self.scopes:
                stack.enter_context(scope.frozen())
            yield


def _weights(weights: Sequence[float] | None, members: int) -> tuple[float, ...]:
    if weights is None:
        return (1 / members,) * members
    if len(weights) != members or min(weights) < 0 or not sum(weights) > 0:
        came = f"weights {list(weights)} for {members} members"
        raise ValueError(explain(came, "one weight per member, not negative, not all zero", "leave weights out"))
    return tuple(map(float, weights))
