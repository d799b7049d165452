r"""A leaky integrate-and-fire neuron whose leak, input gain and threshold may change from step to step.

.. math:: u_t = \lambda_t u^+_{t-1} + g_t I_t, \qquad s_t = 1[u_t \ge \theta_t], \qquad
   u^+_t = u_t (1 - s_t) \;\text{(hard)} \quad\text{or}\quad u_t - \theta_t s_t \;\text{(soft)}.

With :math:`\lambda_t = 1 - 1/\tau`, :math:`g_t = 1` and :math:`\theta_t = \theta` it is SpikingJelly's
``LIFNode(tau, decay_input=False)``, spike for spike. Subclasses say what varies.
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import base, surrogate
from torch import Tensor, nn

from art_snn.errors import explain

Value = Tensor | float


class VaryingLIF(base.MemoryModule):
    """Base class: constant leak, unit gain, constant threshold.

    :param tau: membrane time constant in steps, at least 1; the leak is 1 - 1/tau.
    :param v_threshold: threshold, positive.
    :param v_reset: 0.0 for a hard reset, ``None`` for a soft one.
    :param surrogate_function: surrogate of the gradient; SpikingJelly's ATan by default.
    :param detach_reset: whether the reset is left out of the gradient.
    :param step_mode: ``m`` (default) or ``s``.
    :raises ValueError: if an argument is out of range.

    >>> VaryingLIF(tau=2.0)(torch.tensor([0.75, 0.75]).view(2, 1)).flatten().tolist()
    [0.0, 1.0]
    """

    def __init__(
        self, tau: float = 2.0, v_threshold: float = 1.0, v_reset: float | None = 0.0,
        surrogate_function: nn.Module | None = None, detach_reset: bool = False, step_mode: str = "m",
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        if not tau >= 1:
            raise ValueError(explain(f"tau={tau}", "a time constant of at least one step", f"{name}(tau=2.0)"))
        if not v_threshold > 0 or v_reset not in (0, None):
            came = f"v_threshold={v_threshold}, v_reset={v_reset}"
            fix = f"{name}(v_threshold=1.0, v_reset=0.0)"
            raise ValueError(explain(came, "a positive threshold, and v_reset 0 or None", fix))
        self.tau, self.v_threshold, self.v_reset = float(tau), float(v_threshold), v_reset
        self.surrogate_function = surrogate.ATan() if surrogate_function is None else surrogate_function
        self.detach_reset = detach_reset
        self.step_mode = step_mode
        self.v: Tensor | float
        self.register_memory("v", 0.0)
        self.register_memory("step", 0)

    def leak(self, t: int, x: Tensor) -> Value:  # noqa: ARG002 - subclasses use them
        r""":math:`\lambda_t`, for a current like ``x [N, *]``."""
        return 1 - 1 / self.tau

    def gain(self, t: int, x: Tensor) -> Value | None:  # noqa: ARG002
        r""":math:`g_t`; ``None`` is 1."""
        return None

    def threshold(self, t: int, u: Tensor) -> Value:  # noqa: ARG002
        r""":math:`\theta_t`, once the membrane is charged to ``u [N, *]``."""
        return self.v_threshold

    def single_step_forward(self, x: Tensor) -> Tensor:
        """One step: current ``[N, *]`` to spikes."""
        before = self.v if isinstance(self.v, Tensor) else torch.zeros_like(x)
        gain = self.gain(self.step, x)
        u = self.leak(self.step, x) * before + (x if gain is None else gain * x)
        theta = self.threshold(self.step, u)
        spikes: Tensor = self.surrogate_function(u - theta)
        reset = spikes.detach() if self.detach_reset else spikes
        self.v = u - theta * reset if self.v_reset is None else u * (1 - reset)
        self.step += 1
        self.charged(u)
        return spikes

    def charged(self, u: Tensor) -> None:
        """Told of each membrane before its reset."""

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """All steps: current ``[T, N, *]`` to spikes."""
        return torch.stack([self.single_step_forward(x) for x in x_seq])

    def own_arguments(self) -> dict[str, Any]:
        """What a subclass adds to the printed arguments."""
        return {}

    def extra_repr(self) -> str:
        """Arguments."""
        shown = {
            "tau": self.tau, **self.own_arguments(), "v_threshold": self.v_threshold, "v_reset": self.v_reset,
            "detach_reset": self.detach_reset, "step_mode": self.step_mode,
        }  # fmt: skip
        return ", ".join(f"{name}={value}" for name, value in shown.items())


def check_varies(name: str, given: tuple[int, ...], x: Tensor, axis: str) -> None:
    """Refuse a current that a parameter of one value per step or per neuron does not fit.

    :raises ValueError: if the shapes differ.
    """
    if tuple(given) != tuple(x.shape[1:]):
        came = f"a current of shape {list(x.shape[1:])} per sample in a {name} made for {list(given)}"
        raise ValueError(explain(came, f"one {axis} per neuron of the layer", f"{name}(shape={tuple(x.shape[1:])})"))


def check_step(name: str, t: int, T: int) -> int:
    """The index of a step.

    :raises ValueError: if the neuron was made for fewer steps.
    """
    if t >= T:
        raise ValueError(explain(f"step {t + 1} in a {name} made for {T}", "at most T steps", f"{name}(T={t + 1})"))
    return t
