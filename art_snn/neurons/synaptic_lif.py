r"""Leaky integrate-and-fire neuron that sends a post-synaptic current: the neuron of timing-based learning.

With input current :math:`I_t`, membrane before reset :math:`u_t` and after reset :math:`u^+_t`,

.. math:: u_t = (1 - 1/\tau_m)\,u^+_{t-1} + I_t, \qquad o_t = 1[u_t \ge \theta], \qquad
   a_t = a_{t-1} + (o_t - a_{t-1})/\tau_s,

hard reset :math:`u^+_t = u_t (1 - o_t)` or soft reset :math:`u^+_t = u_t - \theta o_t`. The output is the current
:math:`a_t`, which feeds the next layer; with :math:`\tau_s = 1` it is the spike itself.

By default gradients are those of backpropagation through time with ``surrogate_function``. A learning rule
(:class:`~art_snn.gradients.TSSLBP`) can take their place, for the same neuron and the same spikes.

Source: Zhang and Li, NeurIPS 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from spikingjelly.activation_based import base, surrogate
from torch import Tensor, nn

from art_snn.errors import explain


@dataclass(frozen=True)
class SynapticTrace:
    """Everything that happened in a :class:`SynapticLIF`, each ``[T, *]``.

    :param membrane: :math:`u_t`, before reset.
    :param before: :math:`u^+_{t-1}`.
    :param spikes: :math:`o_t`.
    :param current: :math:`a_t`.
    """

    membrane: Tensor
    before: Tensor
    spikes: Tensor
    current: Tensor


class LearningRule(Protocol):
    """A multi-step forward with a backward of its own."""

    def __call__(self, neuron: SynapticLIF, x: Tensor) -> Tensor:
        """The neuron's output ``[T, N, *]`` for the input current ``x [T, N, *]``."""


class SynapticLIF(base.MemoryModule):
    r"""LIF neuron with a first-order synapse behind it.

    :param tau_m: membrane time constant :math:`\tau_m` in steps, at least 1.
    :param tau_s: synaptic time constant :math:`\tau_s` in steps, at least 1; 1 sends the spikes themselves.
    :param v_threshold: :math:`\theta`, positive.
    :param v_reset: 0.0 for a hard reset, ``None`` for a soft one.
    :param surrogate_function: surrogate of the default gradient; SpikingJelly's ATan by default.
    :param detach_reset: whether the reset is left out of the default gradient.
    :param step_mode: ``m`` (default) or ``s``.
    :raises ValueError: if an argument is out of range.

    >>> neuron = SynapticLIF(tau_m=5.0, tau_s=2.0)
    >>> neuron(torch.tensor([1.0, 0.0]).view(2, 1)).flatten().tolist()
    [0.5, 0.25]
    """

    def __init__(
        self,
        tau_m: float = 5.0,
        tau_s: float = 3.0,
        v_threshold: float = 1.0,
        v_reset: float | None = 0.0,
        surrogate_function: nn.Module | None = None,
        detach_reset: bool = False,
        step_mode: str = "m",
    ) -> None:
        super().__init__()
        for name, value in (("tau_m", tau_m), ("tau_s", tau_s)):
            if not (math.isfinite(value) and value >= 1):
                raise ValueError(explain(f"{name} = {value}", "at least one step", f"SynapticLIF({name}=3.0)"))
        if not v_threshold > 0 or v_reset not in (0, None):
            came = f"v_threshold={v_threshold}, v_reset={v_reset}"
            fix = "SynapticLIF(v_threshold=1.0, v_reset=0.0)"
            raise ValueError(explain(came, "a positive threshold, and v_reset 0 or None", fix))
        self.tau_m, self.tau_s, self.v_threshold = float(tau_m), float(tau_s), float(v_threshold)
        self.v_reset = v_reset
        self.surrogate_function = surrogate.ATan() if surrogate_function is None else surrogate_function
        self.detach_reset = detach_reset
        self.step_mode = step_mode
        self.rule: LearningRule | None = None
        self.v: Tensor | float
        self.a: Tensor | float
        self.register_memory("v", 0.0)
        self.register_memory("a", 0.0)

    def single_step_forward(self, x: Tensor) -> Tensor:
        """One step: current ``x [N, *]`` to :math:`a_t`."""
        return self._step(x).current

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """All steps: current ``[T, N, *]`` to :math:`a`, through the learning rule where there is one."""
        if self.rule is not None and torch.is_grad_enabled():
            return self.rule(self, x_seq)
        return torch.stack([self._step(x).current for x in x_seq])

    def trace(self, x_seq: Tensor) -> SynapticTrace:
        """Run all steps and keep what happened inside."""
        steps = [self._step(x) for x in x_seq]
        parts = [torch.stack([getattr(step, name) for step in steps]) for name in SynapticTrace.__dataclass_fields__]
        return SynapticTrace(*parts)

    def _step(self, x: Tensor) -> SynapticTrace:
        before = self.v if isinstance(self.v, Tensor) else torch.zeros_like(x)
        current = self.a if isinstance(self.a, Tensor) else torch.zeros_like(x)
        u = (1 - 1 / self.tau_m) * before + x
        spikes = self.surrogate_function(u - self.v_threshold)
        reset = spikes.detach() if self.detach_reset else spikes
        self.v = u - self.v_threshold * reset if self.v_reset is None else u * (1 - reset)
        current = current + (spikes - current) / self.tau_s
        self.a = current
        return SynapticTrace(u, before, spikes, current)

    def extra_repr(self) -> str:
        """Arguments."""
        return (
            f"tau_m={self.tau_m}, tau_s={self.tau_s}, v_threshold={self.v_threshold}, v_reset={self.v_reset}, "
            f"detach_reset={self.detach_reset}, step_mode={self.step_mode}"
        )
