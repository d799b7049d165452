r"""Latency (time-to-first-spike) code: one spike per pixel, bright pixels early.

The spike of a pixel falls into bin :math:`\tau(x)` (see :mod:`art_snn.coding.timing`). Backward choices, with
:math:`g_t = \partial L/\partial s_t` and :math:`S = T` for ``floor``, :math:`S = T-1` otherwise:

``shift`` (default)
    the difference of moving the spike by one bin: :math:`\partial L/\partial x \approx \frac S2 (g_{\tau-1} -
    g_{\tau+1})`, with
    :math:`g_{-1} = g_T = 0`; where the spike cannot move on, one-sided: :math:`S (g_0 - g_1)` at :math:`\tau = 0`,
    :math:`S (g_{T-2} - g_{T-1})` at the last bin of ``linear`` and ``log``. A silent pixel (``floor``, :math:`\tau =
    T`) gets
    :math:`\frac S2 g_{T-1}`: a brighter pixel would fire there.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``soft_latency``
    the slope of a soft spike :math:`\hat s_t = \mathrm{softmax}_t(-(t-\mu)^2/2\sigma^2)`, :math:`\sigma = 0.7`, around
    :math:`\mu = (T-1)(1-x)`, or :math:`(1-x)T - \tfrac12` with an extra slot for silence (``floor``).
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

Source: Thorpe et al. 2001; SpikingJelly's LatencyEncoder (``linear``, ``log``); estimators derived in the
documentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient, is_traced
from art_snn.coding.timing import bin_centre, check_convention, place, spike_bin

_SOFT_WIDTH = 0.7


def latency(x: Tensor, T: int, convention: str = "floor") -> Tensor:
    """One spike per pixel at its bin: ``x [N, *]`` in [0, 1] to ``[T, N, *]``.

    >>> latency(torch.tensor([[0.0, 0.5, 1.0]]), 2)[:, 0].tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    return place(spike_bin(x, T, convention), T, x.dtype)


def shift_slope(tau: Tensor, T: int, convention: str, dtype: torch.dtype) -> Tensor:
    """The slope of the ``shift`` estimator, ``[T, N, *]``."""
    span = T if convention == "floor" else T - 1
    slope = (span / 2) * (place(tau - 1, T, dtype) - place(tau + 1, T, dtype))
    first = span * (place(tau, T, dtype) - place(tau + 1, T, dtype))
    slope = torch.where(tau == 0, first, slope)
    if convention != "floor" and T > 1:
        last = span * (place(tau - 1, T, dtype) - place(tau, T, dtype))
        slope = torch.where(tau == T - 1, last, slope)
    return slope


def soft_slope(x: Tensor, T: int, convention: str, width: float = _SOFT_WIDTH) -> Tensor:
    """The slope of the ``soft_latency`` kernel, ``[T, N, *]``; for ``log`` the kernel of ``linear`` is used."""
    floor = convention == "floor"
    slots = torch.arange(T + 1 if floor else T, device=x.device, dtype=x.dtype).view(-1, *([1] * x.dim()))
    centre, rate = ((1 - x) * T - 0.5, -float(T)) if floor else ((1 - x) * (T - 1), -float(T - 1))
    soft = torch.softmax(-((slots - centre) ** 2) / (2 * width**2), dim=0)
    mean = (slots * soft).sum(0)
    return (rate * soft * (slots - mean) / width**2)[:T]


class Latency(Encoder):
    r"""One spike per pixel, the brighter the earlier.

    :param T: number of time steps.
    :param convention: ``floor`` (default; a black pixel is silent), ``linear`` or ``log`` (a black pixel fires last).
    :param backward: ``shift`` (default), ``identity``, ``soft_latency``, ``masked`` or ``none``; formulas in the
        module's text.

    >>> code = Latency(T=4)
    >>> code(torch.tensor([[1.0, 0.6, 0.0]]))[:, 0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> code.decode(code(torch.tensor([[1.0, 0.6, 0.0]]))).tolist()
    [[1.0, 0.75, 0.0]]
    """

    backwards = ("shift", "identity", "soft_latency", "masked", "none")

    def __init__(
        self, T: int, convention: str = "floor", *, backward: str | None = None, seed: int | None = None
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        self.convention = check_convention(convention)

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`latency`."""
        value = x.detach()
        tau = spike_bin(value, self.T, self.convention)
        spikes = place(tau, self.T, x.dtype)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, x, self._slope(value, tau, spikes))

    def _slope(self, value: Tensor, tau: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "shift":
            return shift_slope(tau, self.T, self.convention, value.dtype)
        if self.backward == "soft_latency":
            return soft_slope(value, self.T, self.convention)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return slopes[self.backward]

    def decode(self, s: Tensor) -> Tensor:
        """The intensity that the first spike stands for; a silent pixel is 0."""
        fired = s.any(0)
        tau = torch.where(fired, s.argmax(0), self.T)
        return bin_centre(tau, self.T, self.convention).to(s.dtype)
