r"""Latency (time-to-first-spike) code: one spike per pixel, the more salient the earlier.

The spike of a pixel falls into bin :math:`\tau(x)`; :mod:`art_snn.coding.timing` has every published convention and its
window S. Backward choices, with :math:`g_t = \partial L/\partial s_t`, :math:`g_{-1} = g_T = 0` and the sign of bright
first (dark first reverses it):

``shift`` (default)
    the difference of moving the spike by one bin: :math:`\partial L/\partial x \approx \frac S2 (g_{\tau-1} -
    g_{\tau+1})`; where the spike cannot move on, one-sided: :math:`S (g_0 - g_1)` at :math:`\tau = 0`,
    :math:`S (g_{\tau-1} - g_\tau)` at the last bin if no silence follows it. A silent pixel of v = 0 gets
    :math:`\frac S2 g_{last}`: a brighter pixel would fire there; a dropped one the same at the bin where it would
    appear.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``soft_latency``
    the slope of a soft spike :math:`\hat s_t = \mathrm{softmax}_t(-(t-\mu)^2/2\sigma^2)`, :math:`\sigma = 0.7`, around
    :math:`\mu = S(1-v)` (``linear``, ``log``) or :math:`S(1-v) - \tfrac12` (the floors), with an extra slot for silence
    where v = 0 is silent.
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

``edl`` scales each image by its own range; the gradient treats that range as a constant.

Source: Thorpe et al. 2001; SpikingJelly's LatencyEncoder (``linear``, ``log``); estimators derived in the
documentation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient, is_traced
from art_snn.coding.timing import Timing, image_range, place, spike_bin

_SOFT_WIDTH = 0.7


def latency(x: Tensor, T: int, convention: str = "floor") -> Tensor:
    """One spike per pixel at its bin: ``x [N, *]`` in [0, 1] to ``[T, N, *]``.

    :param x: intensities in [0, 1].
    :param T: number of time steps.
    :param convention: as in :class:`Latency`.

    >>> latency(torch.tensor([[0.0, 0.5, 1.0]]), 2)[:, 0].tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    return place(spike_bin(x, T, convention), T, x.dtype)


def shift_slope(tau: Tensor, timing: Timing, dtype: torch.dtype) -> Tensor:
    r"""The slope :math:`\partial s_t/\partial v` of the ``shift`` estimator, ``[T, N, *]``."""
    span, window = timing.span, timing.last + 1
    here = place(tau, window, dtype)
    slope = torch.empty_like(here)
    slope[:-1] = here[1:]
    torch.ge(tau, window, out=slope[-1])
    slope[1:] -= here[:-1]
    if window > 1:
        slope[0].add_(here[0], alpha=2)
        slope[1] -= here[0]
        if not timing.zero_is_silent:
            slope[-2] += here[-1]
            slope[-1].sub_(here[-1], alpha=2)
    elif timing.zero_is_silent:
        slope.add_(here, alpha=2)
    return _padded(slope.mul_(span / 2), timing.T)


def soft_slope(v: Tensor, timing: Timing, width: float = _SOFT_WIDTH) -> Tensor:
    r"""The slope :math:`\partial \hat s_t/\partial v` of the ``soft_latency`` kernel, ``[T, N, *]``."""
    span, window = timing.span, timing.last + 1
    slots = torch.arange(window + timing.zero_is_silent, device=v.device, dtype=v.dtype).view(-1, *([1] * v.dim()))
    centre = (1 - v) * span - (0.0 if timing.convention in ("linear", "log") else 0.5)
    soft = torch.softmax(-((slots - centre) ** 2) / (2 * width**2), dim=0)
    mean = (slots * soft).sum(0)
    return _padded((-span * soft * (slots - mean) / width**2)[:window], timing.T)


def _padded(slope: Tensor, T: int) -> Tensor:
    rest = T - slope.shape[0]
    return slope if rest == 0 else torch.cat([slope, slope.new_zeros((rest, *slope.shape[1:]))])


class Latency(Encoder):
    r"""One spike per pixel, the more salient the earlier.

    :param T: number of time steps.
    :param convention: ``floor`` (default), ``linear``, ``log``, ``s4nn``, ``antlr`` or ``edl``; it fixes the rounding,
        and the defaults of the next two.
    :param polarity: ``bright_first`` or ``dark_first``.
    :param zero: whether the least salient pixel (v = 0) is ``silent`` or ``fires`` in the last bin.
    :param drop_below: pixels darker than this are silent; 0 drops none.
    :param backward: ``shift`` (default), ``identity``, ``soft_latency``, ``masked`` or ``none``; formulas in the
        module's text.
    :raises ValueError: for an unknown name, or a ``T`` that the convention does not have.

    >>> code = Latency(T=4)
    >>> code(torch.tensor([[1.0, 0.6, 0.0]]))[:, 0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> code.decode(code(torch.tensor([[1.0, 0.6, 0.0]]))).tolist()
    [[1.0, 0.75, 0.0]]
    """

    backwards = ("shift", "identity", "soft_latency", "masked", "none")

    def __init__(
        self,
        T: int,
        convention: str = "floor",
        *,
        polarity: str | None = None,
        zero: str | None = None,
        drop_below: float = 0.0,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        self.timing = Timing(self.T, convention, polarity, zero, float(drop_below))
        self.convention, self.polarity, self.zero = convention, polarity, zero
        self.drop_below = self.timing.drop_below

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`latency`."""
        value = x.detach()
        tau = self.timing.bins(value)
        spikes = place(tau, self.T, x.dtype)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, x, self._slope(value, tau, spikes))

    def _slope(self, value: Tensor, tau: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "shift":
            slope = shift_slope(tau, self.timing, value.dtype)
        elif self.backward == "soft_latency":
            slope = soft_slope(self.timing.salience(value), self.timing)
        else:
            slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
            return slopes[self.backward]
        return self._per_intensity(self._appearing(value, slope), value)

    def _appearing(self, value: Tensor, slope: Tensor) -> Tensor:
        """A dropped pixel would appear where a pixel of ``drop_below`` fires."""
        if self.drop_below == 0:
            return slope
        border = self.timing.bins(torch.full_like(value, self.drop_below))
        sign = -1.0 if self.timing.dark_first else 1.0
        appearing = sign * (self.timing.span / 2) * place(border, self.T, value.dtype)
        return torch.where(value < self.drop_below, appearing, slope)

    def _per_intensity(self, slope: Tensor, value: Tensor) -> Tensor:
        """From the slope in v to the slope in x."""
        if self.timing.dark_first:
            slope = -slope
        if self.convention != "edl":
            return slope
        low, high = image_range(value)
        return slope / torch.where(high > low, high - low, 1.0)

    def decode(self, s: Tensor) -> Tensor:
        """The intensity that the first spike stands for (within its image's range for ``edl``); silence is v = 0."""
        fired = (s != 0).any(0)
        tau = torch.where(fired, (s != 0).int().argmax(0), self.T)
        return self.timing.levels(tau).to(s.dtype)
