r"""Weighted phase code: the binary digits of the intensity, the most significant first.

With weights :math:`w_t = 2^{-(t+1)}`, greedy from :math:`r_0 = x`: :math:`s_t = 1[r_t \ge w_t]`, :math:`r_{t+1} = r_t -
w_t s_t`. The first spike carries half of the value. Decoding :math:`\hat x = \sum_t w_t s_t` errs by :math:`0 \le x -
\hat x < 2^{-P}`, P being the period. Every operation is exact in binary floating point. Backward choices:

``shift`` (default)
    the central difference of the code at one step of 1/16, one-sided at the ends of the domain: the digits of a pixel
    change together and in opposite directions, which no single slope per digit knows.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``weighted``
    :math:`\partial s_t/\partial x := w_t / \sum_j w_j^2`, so that the decoded value has slope 1.
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

Source: Kim et al. 2018, "Deep neural networks with weighted spikes".
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder, check_steps
from art_snn.coding.straight_through import carry_gradient, central_difference, is_traced
from art_snn.errors import explain

_REACH = 1 / 16


def phase(x: Tensor, period: int) -> Tensor:
    r"""Binary digits of ``x [N, *]`` in :math:`[0, 1 - 2^{-P}]`: ``[P, N, *]``.

    :param x: intensities.
    :param period: number of binary digits P.

    >>> phase(torch.tensor([192 / 256]), 4)[:, 0].tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    rest = x.detach().double()
    digits = []
    for t in range(period):
        weight = 2.0 ** -(t + 1)
        digit = (rest >= weight).double()
        rest = rest - weight * digit
        digits.append(digit)
    return torch.stack(digits).to(x.dtype)


def phase_weights(period: int, like: Tensor) -> Tensor:
    """The weights 1/2, 1/4, ... as ``[P, 1, ..., 1]`` for spikes of ``like``'s shape."""
    weights = torch.tensor([2.0 ** -(t + 1) for t in range(period)], device=like.device, dtype=like.dtype)
    return weights.view(period, *([1] * (like.dim() - 1)))


class WeightedPhase(Encoder):
    r"""The binary digits of the intensity, most significant first, repeated after each period.

    :param T: number of time steps, a multiple of the period.
    :param period: P, digits per repetition; T by default.
    :param clip: whether intensities in :math:`(1 - 2^{-P}, 1]` become :math:`1 - 2^{-P}` instead of an error.
        Inside a network they always do.
    :param backward: ``shift`` (default), ``identity``, ``weighted``, ``masked`` or ``none``.
    :raises ValueError: if T is no multiple of the period.

    >>> WeightedPhase(T=8)(torch.tensor([128 / 256]))[:, 0].tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """

    backwards = ("shift", "identity", "weighted", "masked", "none")

    def __init__(
        self,
        T: int,
        period: int | None = None,
        *,
        clip: bool = False,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        self.period = self.T if period is None else check_steps(period)
        if self.T % self.period:
            came = f"T = {self.T} with period = {self.period}"
            raise ValueError(explain(came, "whole periods", f"pass T={self.period * (self.T // self.period + 1)}"))
        self.clip = clip
        self._largest = 1.0 - 2.0**-self.period
        self.domain = (0.0, 1.0) if clip else (0.0, self._largest)

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`phase`."""
        value = x.detach()
        spikes = self._code(value)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, x, self._slope(value, spikes))

    def _code(self, value: Tensor) -> Tensor:
        digits = phase(value.double().clamp(max=self._largest), self.period).to(value.dtype)
        return digits.repeat(self.T // self.period, *([1] * value.dim()))

    def _slope(self, value: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "weighted":
            weights = phase_weights(self.period, spikes)
            return (weights / (weights**2).sum()).repeat(self.T // self.period, *([1] * value.dim()))
        if self.backward == "shift":
            return central_difference(self._code, value, _REACH)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return slopes[self.backward]

    def decode(self, s: Tensor) -> Tensor:
        """The weighted sum of the first period."""
        first = s[: self.period]
        return (phase_weights(self.period, first) * first).sum(0)
