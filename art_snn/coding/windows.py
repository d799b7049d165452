r"""Window codes: brightness is the length of one block of spikes, and the codes differ in where the block stands.

With :math:`\tau = \lfloor (1-x)T \rfloor` (the bin of the latency code) and :math:`n = \lceil xT \rceil = T - \tau`:

========================  ===========================================  =========================  ====================
code                      :math:`s_t`                                  spikes                     first spike
========================  ===========================================  =========================  ====================
``rate_syn``              :math:`1[t \ge \tau]`                        n                          :math:`\tau`
``early_burst`` ("pre")   :math:`1[t < n]`                             n                          0, if x > 0
``late_burst`` ("post")   :math:`1[t > \tau]`                          :math:`\max(0, n - 1)`     :math:`\tau + 1`
========================  ===========================================  =========================  ====================

Early burst and rate-syn have equal counts with the block at the start and at the end: the pair that isolates *position*
in time. All are monotone: a brighter pixel loses no spike. Backward choices, with :math:`g_t = \partial L/\partial s_t`
and :math:`g_{-1} = g_T = 0`:

``shift`` (default)
    the difference of moving the edge by one bin: :math:`\frac T2 (g_n + g_{n-1})`, :math:`\frac T2 (g_{\tau-1} +
    g_\tau)` and
    :math:`\frac T2 (g_\tau + g_{\tau+1})`.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``edge``
    the slope of a soft edge one bin wide, :math:`\sigma(xT - a_t)` with :math:`a_t = t`, :math:`T-1-t` and :math:`T-t`.
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness. Masked, a pixel that would fire one step longer gets no gradient for that step.

Source: early and late burst, rate-syn: the timing study of arXiv 2306.05654 and its public encoders; estimators derived
in the documentation.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient, is_traced
from art_snn.coding.timing import place, spike_bin


def _steps(T: int, like: Tensor) -> Tensor:
    return torch.arange(T, device=like.device).view(T, *([1] * like.dim()))


def rate_syn(x: Tensor, T: int) -> Tensor:
    """Block at the end, ``x [N, *]`` in [0, 1] to ``[T, N, *]``.

    >>> rate_syn(torch.tensor([0.5]), 4)[:, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    tau = spike_bin(x, T)
    return (_steps(T, tau) >= tau).to(x.dtype)


def early_burst(x: Tensor, T: int) -> Tensor:
    """Block at the start ("pre"), ``x [N, *]`` in [0, 1] to ``[T, N, *]``.

    >>> early_burst(torch.tensor([0.5]), 4)[:, 0].tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    count = T - spike_bin(x, T)
    return (_steps(T, count) < count).to(x.dtype)


def late_burst(x: Tensor, T: int) -> Tensor:
    """Block at the end, one step later than rate-syn ("post"), ``x [N, *]`` in [0, 1] to ``[T, N, *]``.

    >>> late_burst(torch.tensor([0.5]), 4)[:, 0].tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    tau = spike_bin(x, T)
    return (_steps(T, tau) > tau).to(x.dtype)


class _Window(Encoder):
    backwards = ("shift", "identity", "edge", "masked", "none")
    _missing: ClassVar[int] = 0
    """Spikes that the block lacks against n."""

    def encode(self, x: Tensor) -> Tensor:
        """The block of spikes; see the function of the same name."""
        value = x.detach()
        spikes = self._block(value)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, x, self._slope(value, spikes))

    def _block(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def _edges(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        """The two steps that change when the edge moves by one bin."""
        raise NotImplementedError

    def _edge_offset(self, steps: Tensor) -> Tensor:
        """a_t of the soft edge."""
        raise NotImplementedError

    def _slope(self, value: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "shift":
            ahead, behind = self._edges(spike_bin(value, self.T))
            return (self.T / 2) * (place(ahead, self.T, value.dtype) + place(behind, self.T, value.dtype))
        if self.backward == "edge":
            soft = torch.sigmoid(value * self.T - self._edge_offset(_steps(self.T, value)).to(value.dtype))
            return self.T * soft * (1 - soft)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return slopes[self.backward]

    def decode(self, s: Tensor) -> Tensor:
        """The block's length over T, at most 1/T above the input; no spike is 0."""
        count = s.sum(0)
        return torch.where(count > 0, count + self._missing, count) / self.T


class RateSyn(_Window):
    r"""Synchronous rate code: :math:`s_t = 1[t \ge \lfloor (1-x)T \rfloor]`, a block at the end.

    :param T: number of time steps.
    :param backward: ``shift`` (default), ``identity``, ``edge``, ``masked`` or ``none``.

    >>> RateSyn(T=4)(torch.tensor([[0.5, 0.0]]))[:, 0].tolist()
    [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    """

    def _block(self, value: Tensor) -> Tensor:
        return rate_syn(value, self.T)

    def _edges(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        return tau - 1, tau

    def _edge_offset(self, steps: Tensor) -> Tensor:
        return self.T - 1 - steps


class EarlyBurst(_Window):
    r"""Early burst ("pre"): :math:`s_t = 1[t/T < x]`, a block at the start.

    :param T: number of time steps.
    :param backward: ``shift`` (default), ``identity``, ``edge``, ``masked`` or ``none``.

    >>> EarlyBurst(T=4)(torch.tensor([[0.5, 0.0]]))[:, 0].tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """

    def _block(self, value: Tensor) -> Tensor:
        return early_burst(value, self.T)

    def _edges(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        return self.T - tau, self.T - tau - 1

    def _edge_offset(self, steps: Tensor) -> Tensor:
        return steps


class LateBurst(_Window):
    r"""Late burst ("post"): :math:`s_t = 1[t > (1-x)T]`, rate-syn one step later, never a spike at t = 0.

    Decoding takes the block for one spike longer; a pixel with :math:`0 < x \le 1/T` is lost.

    :param T: number of time steps.
    :param backward: ``shift`` (default), ``identity``, ``edge``, ``masked`` or ``none``.

    >>> LateBurst(T=4)(torch.tensor([[0.5, 0.0]]))[:, 0].tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    """

    _missing = 1

    def _block(self, value: Tensor) -> Tensor:
        return late_burst(value, self.T)

    def _edges(self, tau: Tensor) -> tuple[Tensor, Tensor]:
        nearest = tau.clamp(max=self.T - 1)
        return nearest, nearest + 1

    def _edge_offset(self, steps: Tensor) -> Tensor:
        return self.T - steps
