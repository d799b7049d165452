r"""Exact spike times: the one place where an intensity becomes a time bin.

``floor``: :math:`\tau = \lfloor (1-x)T \rfloor \in \{0..T\}`, where :math:`\tau = T` means silent.
``linear``: :math:`\tau = \mathrm{round}((T-1)(1-x)) \in \{0..T-1\}`, half to even.
``log``: :math:`\tau = \mathrm{round}(T-1-\ln(\alpha x + 1))`, :math:`\alpha = e^{T-1} - 1`.

A float32 pixel k/255 carries a rounding error, and :math:`\lfloor (1-x)T \rfloor` then disagrees with exact arithmetic
wherever 255 divides kT (levels 153 and 204 at T = 10, say). In float64 with 1e-5 added before the floor all 256 levels
are exact for
:math:`T \le 100`; the tests compare with rational arithmetic.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.errors import explain

CONVENTIONS = ("floor", "linear", "log")
_DUST = 1e-5


def check_convention(convention: str) -> str:
    """Return ``convention``.

    :raises ValueError: if it is not one of :data:`CONVENTIONS`.
    """
    if convention not in CONVENTIONS:
        known = ", ".join(map(repr, CONVENTIONS))
        raise ValueError(explain(f"convention={convention!r}", f"one of {known}", "Latency(T, convention='floor')"))
    return convention


def spike_bin(x: Tensor, T: int, convention: str = "floor") -> Tensor:
    """Time bin of the spike of each pixel: int64, ``T`` where the pixel is silent.

    :param x: intensities in [0, 1].
    :param T: number of time steps.
    :param convention: ``floor``, ``linear`` or ``log``.

    >>> spike_bin(torch.tensor([0.0, 0.5, 1.0]), 4).tolist()
    [4, 2, 0]
    >>> spike_bin(torch.tensor([0.0, 0.5, 1.0]), 5, "linear").tolist()
    [4, 2, 0]
    """
    x = x.detach().double()
    if check_convention(convention) == "floor":
        return torch.floor((1.0 - x) * T + _DUST).long().clamp_(max=T)
    if convention == "linear":
        return torch.round((T - 1) * (1.0 - x)).long()
    return torch.round((T - 1) - _log_intensity(x, T)).long().clamp_(0, T - 1)


def bin_centre(tau: Tensor, T: int, convention: str = "floor") -> Tensor:
    """The intensity that a spike in bin ``tau`` stands for; silence is 0."""
    if check_convention(convention) == "floor":
        return 1.0 - tau.double() / T
    if convention == "linear":
        return torch.where(tau >= T, 0.0, 1.0 - tau.double() / max(T - 1, 1))
    level = (
        torch.expm1((T - 1) - tau.double()) / math.expm1(T - 1) if T > 1 else torch.ones_like(tau, dtype=torch.double)
    )
    return torch.where(tau >= T, 0.0, level)


def _log_intensity(x: Tensor, T: int) -> Tensor:
    """ln(alpha x + 1) as logaddexp(ln x + T - 1, ln(1 - x)), which does not overflow."""
    return torch.logaddexp(torch.log(x) + (T - 1), torch.log1p(-x))


def place(tau: Tensor, T: int, dtype: torch.dtype) -> Tensor:
    """One spike per pixel at bin ``tau [N, *]``; bins outside 0..T-1 stay silent: ``[T, N, *]``."""
    steps = torch.arange(T, device=tau.device).view(T, *([1] * tau.dim()))
    return (steps == tau).to(dtype)
