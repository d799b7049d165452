r"""TSSL-BP: learn by moving spikes in time, instead of by smoothing the threshold.

For a :class:`~art_snn.neurons.SynapticLIF` layer with output current a, :math:`g_t = \partial L/\partial a_t`, kernel
:math:`k_j = (1-1/\tau_s)^j/\tau_s` and :math:`S_t = \sum_{j \ge t} k_{j-t}\, g_j`, the error of the input current is
found from t = T - 1 down to 0, with :math:`\Theta = 0` at first:

.. math::
   p_t &= \mathrm{clamp}(-1/\Delta U_t, -8, 0)\; o_t, \qquad \Delta U_t = I_t - u^+_{t-1}/\tau_m \\
   e_t &= -p_t S_t + [t < T-1]\left(-\Theta\, u_t\, p_t/\tau_m + \Theta\,(1 - 1/\tau_m)(1 - o_t)\right) \\
   \Theta &\leftarrow e_t\, o_t + \Theta\,(1 - o_t)(1 - 1/\tau_m)

and :math:`\partial L/\partial I_t = e_t`, except where the neuron was nearly silent, :math:`a_t < 1/4\tau_s`: there it
is :math:`S_t\,\varphi(u_t - \theta)` with the logistic slope :math:`\varphi(v) = f/(0.2\,(1+f)^2)`, :math:`f =
e^{\mathrm{clamp}(-v/0.2, -8, 8)}`. The first term moves a spike earlier or later (p is the derivative of its time by
the membrane), the others follow the membrane from spike to spike.

Source: Zhang and Li, "Temporal spike sequence learning via backpropagation", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy, Steered
from art_snn.gradients.neurons import followers, refuse
from art_snn.neurons.synaptic_lif import SynapticLIF, SynapticTrace

_STEEPEST = 8.0
_LOGISTIC_WIDTH = 0.2


def logistic_slope(v: Tensor) -> Tensor:
    """The slope that stands in where a neuron is nearly silent.

    >>> logistic_slope(torch.tensor([0.0])).item()
    1.25
    """
    f = torch.exp((-v / _LOGISTIC_WIDTH).clamp(-8.0, 8.0))
    return f / ((1 + f) ** 2 * _LOGISTIC_WIDTH)


def tssl_error(
    grad: Tensor, current: Tensor, trace: SynapticTrace, tau_m: float, tau_s: float, threshold: float, kernel: float
) -> Tensor:
    r"""Error of the input current, ``[T, *]``, see the module's text.

    :param grad: :math:`g_t`.
    :param current: :math:`I_t`.
    :param trace: what happened in the neuron.
    :param kernel: :math:`\tau_s` of the kernel k; ``tau_s`` is that of the silence test.

    >>> one = torch.ones(1, 1)
    >>> trace = SynapticTrace(membrane=2 * one, before=0 * one, spikes=one, current=one)
    >>> tssl_error(one, 2 * one, trace, 5.0, 1.0, 1.0, 1.0).item()
    0.5
    """
    leak = 1 - 1 / tau_m
    errors: list[Tensor] = []
    arriving = torch.zeros_like(grad[0])
    theta = torch.zeros_like(grad[0])
    for t in range(grad.shape[0] - 1, -1, -1):
        o, u = trace.spikes[t], trace.membrane[t]
        arriving = grad[t] / kernel + (1 - 1 / kernel) * arriving
        rise = current[t] - trace.before[t] / tau_m
        pu = torch.where(rise == 0, -_STEEPEST, (-1 / rise).clamp(-_STEEPEST, 0.0)) * o
        e = -pu * arriving - theta * u * pu / tau_m + theta * leak * (1 - o)
        theta = e * o + theta * (1 - o) * leak
        silent = trace.current[t] < 1 / (4 * tau_s)
        errors.append(torch.where(silent, arriving * logistic_slope(u - threshold), e))
    return torch.stack(errors[::-1])


class _TSSL(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, neuron: SynapticLIF, kernel: float | None) -> Tensor:
        trace = neuron.trace(x)
        ctx.save_for_backward(x, trace.membrane, trace.before, trace.spikes, trace.current)
        ctx.constants = (neuron.tau_m, neuron.tau_s, neuron.v_threshold, neuron.tau_s if kernel is None else kernel)
        return trace.current

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        x, *parts = ctx.saved_tensors
        return tssl_error(grad, x, SynapticTrace(*parts), *ctx.constants), None, None


class TSSLBP(GradientPolicy):
    r"""Timing-based learning rule for networks of :class:`~art_snn.neurons.SynapticLIF`, for training and for attacks.

    :param kernel_tau_s: :math:`\tau_s` of the kernel k where it differs from the neuron's own (a spiking output layer
        with ``tau_s=1`` that is trained with the kernel of the other layers); ``None`` is the neuron's own.
    :raises ValueError: if ``kernel_tau_s`` is below 1, or (on use) a neuron is of another kind.

    >>> from spikingjelly.activation_based import layer
    >>> from torch import nn
    >>> from art_snn import SpikingNetwork
    >>> from art_snn.coding import Direct
    >>> from art_snn.neurons import SynapticLIF
    >>> body = nn.Sequential(layer.Linear(4, 8, step_mode="m"), SynapticLIF(), layer.Linear(8, 2, step_mode="m"))
    >>> net = SpikingNetwork(Direct(T=5), body)
    >>> with net.gradient(TSSLBP()):
    ...     net(torch.rand(3, 4)).sum().backward()
    """

    def __init__(self, kernel_tau_s: float | None = None) -> None:
        if kernel_tau_s is not None and not kernel_tau_s >= 1:
            raise ValueError(explain(f"kernel_tau_s={kernel_tau_s}", "at least one step", "TSSLBP()"))
        self.kernel_tau_s = kernel_tau_s

    def __call__(self, neuron: SynapticLIF, x: Tensor) -> Tensor:
        """The neuron's output with this rule's backward."""
        output: Tensor = _TSSL.apply(x, neuron, self.kernel_tau_s)
        return output

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        self._neurons(net)

    @contextmanager
    def steer(self, net: Steered, draw: int = 0) -> Iterator[None]:  # noqa: ARG002
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        nodes = self._neurons(net)
        before = [node.rule for node in nodes]
        try:
            for node in nodes:
                node.rule = self
            yield
        finally:
            for node, rule in zip(nodes, before, strict=True):
                node.rule = rule

    def _neurons(self, net: Steered) -> list[SynapticLIF]:
        found: list[SynapticLIF] = []
        for name, node in followers(net, repr(self)).items():
            if not isinstance(node, SynapticLIF) or node.step_mode != "m":
                refuse(name, node, repr(self), "a multi-step SynapticLIF", "build the body with art_snn.neurons")
            found.append(node)  # type: ignore[arg-type]
        return found

    def __repr__(self) -> str:
        return "TSSLBP()" if self.kernel_tau_s is None else f"TSSLBP(kernel_tau_s={self.kernel_tau_s})"
