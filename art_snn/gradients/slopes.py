r"""Slope substitution: the neuron runs as it is, and its spikes get a slope of the policy's choice.

.. math:: g_t = B(\kappa \odot \delta)_t, \qquad B = \text{identity, or the time average}

where :math:`\delta_t = \partial L/\partial s_t` comes from above and :math:`g_t = \partial L/\partial I_t` goes down.
The forward is the neuron's own, so every class of neuron keeps its spikes. The membrane carries no gradient from step
to step, and nothing but the input current receives one. A neuron that is stepped collects what it sees; the backward
pass runs after the last step, when the whole train is known. A second derivative takes the slope for a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy, Steered
from art_snn.gradients.neurons import WITHOUT_SURROGATE, Charge, charge, refuse, swapped
from art_snn.gradients.spike import Slope
from art_snn.spiking import spiking_neurons, step_modes

_ANY_NEURON = Charge(leak=1.0, gain=1.0, threshold=1.0)


class _Sloped(torch.autograd.Function):
    @staticmethod
    def forward(current: Tensor, spikes: Tensor, kappa: Callable[[], Tensor], average: bool) -> Tensor:  # noqa: ARG004
        return spikes.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        _, _, ctx.kappa, ctx.average = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        passed = ctx.kappa() * grad
        if ctx.average:
            passed = passed.mean(0, keepdim=True).expand_as(grad)
        return passed, None, None, None


class Train:
    """What one neuron layer saw and fired in one run: sums over the steps so far, each ``[N, *]``."""

    def __init__(self, constants: Charge) -> None:
        self.charge = constants
        self.steps = 0
        self.current = torch.zeros(())
        self.fired = torch.zeros(())

    def add(self, current: Tensor, spikes: Tensor) -> None:
        """Count a train ``[T, N, *]``."""
        self.steps += current.shape[0]
        total, fired = current.detach().sum(0), spikes.detach().abs().sum(0)
        first = self.steps == current.shape[0]
        self.current = total if first else self.current + total
        self.fired = fired if first else self.fired + fired

    def mean_charge(self) -> Tensor:
        r""":math:`c \bar I`, the mean charge of one step."""
        return self.charge.gain * self.current / self.steps


class _Steering:
    """Hooks of one neuron during one run: cut the graph in front of it, give its output the policy's slope."""

    def __init__(self, policy: SlopePolicy, node: nn.Module) -> None:
        self.policy = policy
        self.constants = charge(node) or _ANY_NEURON
        self.train = Train(self.constants)
        self.whole = step_modes(node).get("", "m") == "m"
        self.input = torch.zeros(())

    def before(self, node: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG002
        self.input = args[0]
        return (args[0].detach(), *args[1:])

    def after(self, node: nn.Module, args: tuple[Any, ...], spikes: Tensor) -> Tensor:  # noqa: ARG002
        current, self.input = self.input, torch.zeros(())
        if self.whole:
            train = Train(self.constants)
            train.add(current, spikes)
        else:
            train = self.train
            train.add(current[None], spikes[None])
        return self._sloped(node, current, spikes.detach(), train)

    def _sloped(self, node: nn.Module, current: Tensor, spikes: Tensor, train: Train) -> Tensor:  # noqa: ARG002
        sloped: Tensor = _Sloped.apply(current, spikes, lambda: self.policy.slope(train), False)
        return sloped


class SlopePolicy(GradientPolicy):
    """Policies with one slope per neuron and train; subclasses implement :meth:`slope`."""

    any_neuron = False
    """Whether neurons other than IF, LIF and PLIF, whose leak and gain are unknown, can follow."""

    def slope(self, train: Train) -> Tensor:
        r""":math:`\kappa\,[N, *]` of a neuron layer, with the gain :math:`c` in it."""
        raise NotImplementedError

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        for name, node in self._nodes(net).items():
            if isinstance(node, neuron.LIAFNode):
                refuse(name, node, repr(self), "a neuron whose output is its spikes", "attack it with Surrogate(...)")
            if getattr(node, "steps_only", False):
                expected = "a neuron with its membrane inside: here only the spike itself can be replaced"
                refuse(name, node, repr(self), expected, "attack it with Surrogate(...), PDSG() or ASSG()")
            if not self.any_neuron and charge(node) is None:
                refuse(name, node, repr(self), "an IF, LIF or PLIF neuron", "attack it with Surrogate(...) or BPTR()")

    @contextmanager
    def steer(self, net: Steered, draw: int = 0) -> Iterator[None]:  # noqa: ARG002
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        with ExitStack() as hooks:
            for node in self._nodes(net).values():
                steering = self._steering(node)
                hooks.callback(node.register_forward_pre_hook(steering.before).remove)
                hooks.callback(node.register_forward_hook(steering.after, prepend=True).remove)
            yield

    def _steering(self, node: nn.Module) -> _Steering:
        return _Steering(self, node)

    def _nodes(self, net: Steered) -> dict[str, nn.Module]:
        named: Iterator[tuple[str, nn.Module]] = net.named_modules()  # type: ignore[attr-defined]
        nodes = {name: m for name, m in named if isinstance(m, WITHOUT_SURROGATE)}
        nodes.update(spiking_neurons(net))  # type: ignore[arg-type]
        if not nodes:
            fix = "give the network neurons that spike, e.g. SpikingJelly's LIFNode"
            raise ValueError(explain("a network without spiking neurons", f"neurons that {self} can follow", fix))
        return nodes

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Recorder(nn.Module):
    """Fires without gradient and keeps what it was given: the membrane above threshold, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, v: Tensor) -> Tensor:
        self._keep(v.detach())
        return (v >= 0).to(v.dtype)

    def fusible(self) -> Slope:
        return Slope(torch.zeros_like, watch=self._keep)

    def _keep(self, v: Tensor) -> tuple[()]:
        self.seen.append(v)
        return ()


class _MembraneSteering(_Steering):
    def __init__(self, policy: MembraneSlope, node: nn.Module, recorder: _Recorder) -> None:
        super().__init__(policy, node)
        self.recorder = recorder

    def _sloped(self, node: nn.Module, current: Tensor, spikes: Tensor, train: Train) -> Tensor:  # noqa: ARG002
        seen, self.recorder.seen = self.recorder.seen, []
        v = torch.stack(seen).reshape(current.shape)
        policy: MembraneSlope = self.policy  # type: ignore[assignment]
        gain = self.constants.gain
        sloped: Tensor = _Sloped.apply(
            current, spikes, lambda: gain * slope_of(policy.surrogate_function, v), policy.averages
        )
        return sloped


class MembraneSlope(SlopePolicy):
    r""":math:`\kappa_t = c\,h(v_t)`: the surrogate at every step, and no gradient from step to step.

    :param surrogate_function: :math:`h`, a surrogate module.
    """

    averages = False
    """Whether the gradient of each step is replaced by the mean over the steps."""

    def __init__(self, surrogate_function: nn.Module) -> None:
        self.surrogate_function = surrogate_function

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        super().check(net)
        for name, node in self._nodes(net).items():
            if self.averages and step_modes(node).get("", "m") != "m":
                expected = "a neuron that sees the whole train at once: its gradient is a mean over time"
                refuse(name, node, f"{self}, in single-step mode", expected, "functional.set_step_mode(net.body, 'm')")

    @contextmanager
    def steer(self, net: Steered, draw: int = 0) -> Iterator[None]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        with swapped({node: _Recorder() for node in self._nodes(net).values()}), super().steer(net, draw):
            yield

    def _steering(self, node: nn.Module) -> _Steering:
        return _MembraneSteering(self, node, node.surrogate_function)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.surrogate_function})"


def slope_of(surrogate_function: nn.Module, v: Tensor) -> Tensor:
    """:math:`h(v)` of any surrogate module.

    >>> from spikingjelly.activation_based.surrogate import ATan
    >>> slope_of(ATan(alpha=4.0), torch.tensor([0.0])).item()
    2.0
    """
    with torch.enable_grad():
        leaf = v.detach().requires_grad_(True)
        slope: Tensor = torch.autograd.grad(surrogate_function(leaf).sum(), leaf)[0]
        return slope
