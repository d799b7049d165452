r"""Exact spike times: the one place where an intensity becomes a time bin.

With :math:`v = x` (bright first) or :math:`v = 1 - x` (dark first), the published conventions are

=========  ====================================================  ==========  =============  ==================
name       spike bin                                             bins        v = 0          window S
=========  ====================================================  ==========  =============  ==================
``floor``  :math:`\lfloor (1-v)T \rfloor`                        0..T-1      silent         T
``linear`` round half to even of :math:`(T-1)(1-v)`              0..T-1      fires at T-1   T - 1
``log``    round of :math:`T-1-\ln(\alpha v+1)`                  0..T-1      fires at T-1   T - 1
``s4nn``   :math:`\lfloor (255-I)\,256/255 \rfloor`, I = 255 v   0..255      silent         T = 256
``antlr``  :math:`\lfloor 24(1-v) \rfloor`                       0..24       silent         24 (of T = 300)
``edl``    :math:`\lfloor m T \rfloor` clipped to T - 1          0..T-1      fires          T / (max - min)
=========  ====================================================  ==========  =============  ==================

with :math:`\alpha = e^{T-1} - 1` and :math:`m = (x - \min)/(\max - \min)` taken over each image (0 for a constant
image); ``edl`` is dark first, all others are bright first. A silent pixel has bin T.

A float32 pixel k/255 carries a rounding error, and :math:`\lfloor (1-x)T \rfloor` then disagrees with exact arithmetic
wherever 255 divides kT (levels 153 and 204 at T = 10, say). In float64 with 1e-5 added before the floor all 256 levels
are exact for
:math:`T \le 100`; the tests compare with rational arithmetic.

Source: spike times as in SpikingJelly (``linear``, ``log``), Kheradpisheh and Masquelier 2020 (``s4nn``), Kim et al.
2020 (``antlr``), Zhu et al. 2022 (``edl``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from art_snn.errors import explain

CONVENTIONS = ("floor", "linear", "log", "s4nn", "antlr", "edl")
POLARITIES = ("bright_first", "dark_first")
ZEROS = ("silent", "fires")
DUST = 1e-5
"""Added before a floor, taken off before a ceiling: far more than float32 dust, far less than the distance of two grey
levels.
"""

_S4NN_STEPS = 256
_ANTLR_BINS = 24


def check_convention(convention: str) -> str:
    """Return ``convention``.

    :raises ValueError: if it is not one of :data:`CONVENTIONS`.
    """
    return _check("convention", convention, CONVENTIONS)


def _check(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(explain(f"{what}={value!r}", f"one of {names}", f"Latency(T, {what}={known[0]!r})"))
    return value


@dataclass(frozen=True)
class Timing:
    """A complete rule from intensity to time bin.

    :param T: number of time steps.
    :param convention: a row of the table in the module's text.
    :param polarity: ``bright_first`` or ``dark_first``; ``None`` is the convention's own.
    :param zero: whether a pixel of v = 0 is ``silent`` or ``fires`` in the last bin; ``None`` is the convention's own.
    :param drop_below: pixels darker than this are silent.
    :raises ValueError: for an unknown name, a ``drop_below`` outside [0, 1], or a ``T`` that the convention does not
        have.

    >>> Timing(4).bins(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [4, 2, 0]
    """

    T: int
    convention: str = "floor"
    polarity: str | None = None
    zero: str | None = None
    drop_below: float = 0.0

    def __post_init__(self) -> None:
        check_convention(self.convention)
        if self.polarity is not None:
            _check("polarity", self.polarity, POLARITIES)
        if self.zero is not None:
            _check("zero", self.zero, ZEROS)
        if not 0 <= self.drop_below <= 1:
            came = f"drop_below={self.drop_below}"
            raise ValueError(explain(came, "an intensity in [0, 1]", "drop_below=0.0 keeps every pixel"))
        if self.drop_below > 0 and self.convention == "edl":
            raise ValueError(
                explain("drop_below with 'edl'", "absolute intensities", "drop dark pixels before scaling the images")
            )
        if self.convention == "s4nn" and self.T != _S4NN_STEPS:
            raise ValueError(
                explain(f"T = {self.T} for 's4nn'", f"T = {_S4NN_STEPS}", "use convention='floor' for any other T")
            )
        if self.convention == "antlr" and self.T <= _ANTLR_BINS:
            raise ValueError(
                explain(f"T = {self.T} for 'antlr'", f"T > {_ANTLR_BINS}", "pass T=300, the published length")
            )

    @property
    def dark_first(self) -> bool:
        """Whether dark pixels fire first."""
        return (self.polarity or ("dark_first" if self.convention == "edl" else "bright_first")) == "dark_first"

    @property
    def zero_is_silent(self) -> bool:
        """Whether a pixel of v = 0 never fires."""
        own = "silent" if self.convention in ("floor", "s4nn", "antlr") else "fires"
        return (self.zero or own) == "silent"

    @property
    def span(self) -> int:
        r"""S, the bins per unit of intensity: :math:`d\tau/dv = -S`."""
        if self.convention == "antlr":
            return _ANTLR_BINS
        return self.T - 1 if self.convention in ("linear", "log") else self.T

    @property
    def last(self) -> int:
        """The last bin that can hold a spike."""
        if self.convention == "antlr":
            return _ANTLR_BINS - 1 if self.zero_is_silent else _ANTLR_BINS
        return self.T - 1

    def bins(self, x: Tensor) -> Tensor:
        """Time bin of each pixel of ``x [N, *]`` in [0, 1]: int64, T where it is silent."""
        x = x.detach().double()
        v = self.salience(x)
        tau = self._raw_bins(v).clamp_(0, self.last if not self.zero_is_silent else self.T)
        silent = x < self.drop_below
        if self.zero_is_silent:
            silent = silent | (v == 0) | (tau > self.last)
        return torch.where(silent, self.T, tau)

    def salience(self, x: Tensor) -> Tensor:
        """v: what fires early when it is large."""
        if self.convention == "edl":
            low, high = image_range(x)
            dark = (x - low) / torch.where(high > low, high - low, 1.0)
            return 1.0 - dark if self.dark_first else torch.where(high > low, dark, 1.0)
        return 1.0 - x if self.dark_first else x

    def _raw_bins(self, v: Tensor) -> Tensor:
        if self.convention == "linear":
            return torch.round((self.T - 1) * (1.0 - v)).long()
        if self.convention == "log":
            return torch.round((self.T - 1) - _log_intensity(v, self.T)).long()
        if self.convention == "s4nn":
            return torch.div((255 - torch.round(255 * v).long()) * _S4NN_STEPS, 255, rounding_mode="floor")
        return torch.floor((1.0 - v) * self.span + DUST).long()

    def levels(self, tau: Tensor) -> Tensor:
        """The intensity that a spike in bin ``tau`` stands for, float64; silence is v = 0."""
        silent = tau >= self.T
        v = self._raw_levels(torch.where(silent, 0, tau).double())
        v = torch.where(silent, 0.0, v)
        return 1.0 - v if self.dark_first else v

    def _raw_levels(self, tau: Tensor) -> Tensor:
        if self.convention == "log":
            return torch.expm1((self.T - 1) - tau) / math.expm1(self.T - 1) if self.T > 1 else torch.ones_like(tau)
        if self.convention == "s4nn":
            return 1.0 - torch.ceil(tau * 255 / _S4NN_STEPS) / 255
        return 1.0 - tau / max(self.span, 1)


def spike_bin(x: Tensor, T: int, convention: str = "floor") -> Tensor:
    """Time bin of the spike of each pixel: int64, ``T`` where the pixel is silent. Short for :meth:`Timing.bins`.

    :param x: intensities in [0, 1].
    :param T: number of time steps.
    :param convention: one of :data:`CONVENTIONS`.
    :raises ValueError: for an unknown convention.

    >>> spike_bin(torch.tensor([0.0, 0.5, 1.0]), 4).tolist()
    [4, 2, 0]
    >>> spike_bin(torch.tensor([0.0, 0.5, 1.0]), 5, "linear").tolist()
    [4, 2, 0]
    """
    return Timing(T, convention).bins(x)


def bin_centre(tau: Tensor, T: int, convention: str = "floor") -> Tensor:
    """The intensity that a spike in bin ``tau`` stands for; silence is 0. Short for :meth:`Timing.levels`."""
    return Timing(T, convention).levels(tau)


def image_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each image ``[N, *]``, shaped to broadcast against it."""
    flat = x.flatten(1) if x.dim() > 1 else x.reshape(-1, 1)
    shape = (x.shape[0], *([1] * (x.dim() - 1)))
    return flat.amin(1).view(shape), flat.amax(1).view(shape)


def _log_intensity(v: Tensor, T: int) -> Tensor:
    """ln(alpha v + 1) as logaddexp(ln v + T - 1, ln(1 - v)), which does not overflow."""
    return torch.logaddexp(torch.log(v) + (T - 1), torch.log1p(-v))


def place(tau: Tensor, T: int, dtype: torch.dtype) -> Tensor:
    """One spike per pixel at bin ``tau [N, *]``; bins outside 0..T-1 stay silent: ``[T, N, *]``."""
    steps = torch.arange(T, device=tau.device).view(T, *([1] * tau.dim()))
    return (steps == tau).to(dtype)
