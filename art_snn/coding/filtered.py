r"""Post-synaptic filter behind any code: :math:`y_t = (1 - 1/\tau_s) y_{t-1} + s_t`, output :math:`y_t/\tau_s`.

The kernel is :math:`k_j = (1 - 1/\tau_s)^j/\tau_s`, which sums to 1. Linear, so its gradient is exact.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.errors import explain


def psp(s: Tensor, tau_s: float) -> Tensor:
    """Filter a train over its first axis: ``[T, *] -> [T, *]``.

    :param s: a train, time first.
    :param tau_s: time constant, at least 1.

    >>> psp(torch.tensor([1.0, 0.0, 0.0]), 2.0).tolist()
    [0.5, 0.25, 0.125]
    """
    trace = torch.zeros_like(s[0])
    steps = []
    for step in s:
        trace = (1 - 1 / tau_s) * trace + step / tau_s
        steps.append(trace)
    return torch.stack(steps)


def check_tau(tau_s: float) -> float:
    """Return ``tau_s`` as a float.

    :raises ValueError: if it is below one step or not finite.
    """
    if not (math.isfinite(tau_s) and tau_s >= 1):
        raise ValueError(explain(f"tau = {tau_s}", "a time constant of at least one step", "pass tau=2.0, say"))
    return float(tau_s)


class Filtered(Encoder):
    """Any code, smoothed by a post-synaptic potential before the first layer sees it.

    :param encoder: the code.
    :param tau_s: time constant in steps, at least 1; 1 changes nothing.
    :raises TypeError: if ``encoder`` is not an encoder.
    :raises ValueError: if ``tau_s`` is below 1.

    >>> from art_snn.coding import Latency
    >>> Filtered(Latency(T=3), tau_s=2.0)(torch.tensor([[1.0]])).flatten().tolist()
    [0.5, 0.25, 0.125]
    """

    backwards = ("inner",)
    is_binary = False

    def __init__(self, encoder: Encoder, tau_s: float = 3.0) -> None:
        if not isinstance(encoder, Encoder):
            raise TypeError(explain(f"encoder={encoder!r}", "an encoder", "Filtered(Latency(T=8), tau_s=3.0)"))
        super().__init__(encoder.T)
        self.encoder = encoder
        self.tau_s = check_tau(tau_s)
        self.is_stochastic, self.domain = encoder.is_stochastic, encoder.domain
        self.integer_input = encoder.integer_input

    @property
    def obfuscates(self) -> bool:
        """Whether the code inside hides its gradient."""
        return self.encoder.obfuscates

    def encode(self, x: Tensor) -> Tensor:
        """The code, then :func:`psp`."""
        return psp(self.encoder(x), self.tau_s)

    def decode(self, s: Tensor) -> Tensor:
        """Undo the filter, then decode."""
        before = torch.cat([torch.zeros_like(s[:1]), s[:-1]])
        return self.encoder.decode(self.tau_s * (s - (1 - 1 / self.tau_s) * before))

    def reseed(self, seed: int | None = None) -> None:
        """Rewind the stream of the code inside."""
        self.encoder.reseed(seed)
