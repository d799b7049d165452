r"""Surrogates :math:`h(v)` for the derivative of a spike, :math:`v = u - \theta`, as pure functions.

Sharpness :math:`\alpha` follows SpikingJelly: for the families of area 1, :math:`h_\alpha(v) = \alpha\, h_1(\alpha v)`,
so that a larger :math:`\alpha` is a narrower and higher slope of the same mass. :math:`G(w)` is the mass of :math:`h`
within :math:`\pm|v|`, :math:`w = \alpha|v|`; its inverse turns a wanted vanishing degree into a sharpness.

Every form is symmetric in :math:`v` where the function is, so that no gradient vanishes on one side only:
SpikingJelly's ``Sigmoid(4)`` rounds to exactly 0 above :math:`v = 4.2` and not below, which is a masked gradient.

Sources: the defaults and formulas of SpikingJelly 2; the fast sigmoid of snnTorch (Zenke and Ganguli 2018).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Sharpness = Tensor | float
Slope = Callable[[Tensor, Sharpness], Tensor]

_LEAK = 0.01


def atan(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\frac{\alpha}{2} / (1 + (\pi\alpha v/2)^2)`."""
    return (alpha / 2) / (1 + (alpha * (math.pi / 2) * v) ** 2)


def triangle(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha \max(0, 1 - \alpha|v|)`; half width :math:`\gamma = 1/\alpha`."""
    return alpha * (1 - alpha * v.abs()).clamp_min(0)


def rect(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha\,1[|v| < 1/(2\alpha)]`. The rectangle of the ASSG paper has twice this width at equal alpha."""
    return alpha * (alpha * v.abs() < 0.5).to(v.dtype)


def sigmoid(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha\,\sigma(\alpha v)\,\sigma(-\alpha v)`, written in :math:`e^{-\alpha|v|}`."""
    tail = torch.exp(-(alpha * v.abs()))
    return alpha * tail / (1 + tail) ** 2


def erf(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\frac{\alpha}{\sqrt\pi} e^{-\alpha^2 v^2}`: a Gaussian of deviation :math:`1/(\alpha\sqrt 2)`."""
    return (alpha / math.sqrt(math.pi)) * torch.exp(-((alpha * v) ** 2))


def exponential(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\frac{\alpha}{2} e^{-\alpha|v|}`."""
    return (alpha / 2) * torch.exp(-(alpha * v.abs()))


def soft_sign(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\frac{\alpha}{2} / (1 + \alpha|v|)^2`."""
    return (alpha / 2) / (1 + alpha * v.abs()) ** 2


def q_pseudo_spike(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`(1 + 2|v|/(\alpha-1))^{-\alpha}`, :math:`\alpha > 1`: a tail exponent, not a sharpness; area 1."""
    return (1 + 2 * v.abs() / (alpha - 1)) ** (-alpha)


def super_spike(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha / (1 + |v|)^2`: alpha is a scale, not a sharpness; area :math:`2\alpha`."""
    return alpha / (1 + v.abs()) ** 2


def fast_sigmoid(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`1 / (1 + \alpha|v|)^2`: height 1 at any sharpness; area :math:`2/\alpha`."""
    return 1 / (1 + alpha * v.abs()) ** 2


def log_abs(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`1 / (1/\alpha + |v|)`, of unbounded area (SpikingJelly's NonzeroSignLogAbs)."""
    return 1 / (1 / alpha + v.abs())


def leaky_rect(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha/2` for :math:`|v| < 1/\alpha`, else 0.01 (SpikingJelly's PiecewiseLeakyReLU of half width
    :math:`1/\alpha`).
    """
    inside = (alpha * v.abs() < 1).to(v.dtype)
    return (alpha / 2) * inside + _LEAK * (1 - inside)


def s2nn(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha\sigma(\alpha v)\sigma(-\alpha v)` below threshold, :math:`1/(1+v)` from it on; not symmetric."""
    return torch.where(v < 0, sigmoid(v, alpha), 1 / (1 + v.clamp_min(0)))


def identity(v: Tensor, alpha: Sharpness) -> Tensor:
    r""":math:`\alpha` everywhere; with the default 1 the plain straight-through estimator."""
    return alpha * torch.ones_like(v)


@dataclass(frozen=True)
class Family:
    r"""A family of surrogates.

    :param slope: :math:`h(v, alpha)`.
    :param alpha: default sharpness.
    :param area: integral of :math:`h` at sharpness alpha.
    :param mass: :math:`G(w)`, for the families that are :math:`\alpha h_1(\alpha v)` of area 1.
    :param reach: the inverse of ``mass``: :math:`w` with :math:`G(w) = A`, for A in (0, 1).
    :param lowest: sharpness must be above this.
    """

    slope: Slope
    alpha: float
    area: Callable[[float], float] = lambda alpha: 1.0  # noqa: ARG005
    mass: Callable[[Tensor], Tensor] | None = None
    reach: Callable[[float], float] | None = None
    lowest: float = 0.0


def _unbounded(alpha: float) -> float:  # noqa: ARG001
    return math.inf


def _erf_inverse(a: float) -> float:
    return float(torch.erfinv(torch.tensor(a, dtype=torch.float64)))


FAMILIES: dict[str, Family] = {
    "atan": Family(
        atan, 2.0, mass=lambda w: torch.atan(w * math.pi / 2) * 2 / math.pi,
        reach=lambda a: 2 / math.pi * math.tan(math.pi * a / 2),
    ),
    "triangle": Family(
        triangle, 1.0, mass=lambda w: 1 - (1 - w).clamp_min(0) ** 2, reach=lambda a: 1 - math.sqrt(1 - a)
    ),
    "rect": Family(rect, 1.0, mass=lambda w: (2 * w).clamp_max(1), reach=lambda a: a / 2),
    "sigmoid": Family(
        sigmoid, 4.0, mass=lambda w: torch.tanh(w / 2), reach=lambda a: math.log((1 + a) / (1 - a))
    ),
    "erf": Family(erf, 2.0, mass=torch.erf, reach=_erf_inverse),
    "exponential": Family(exponential, 1.0, mass=lambda w: 1 - torch.exp(-w), reach=lambda a: -math.log(1 - a)),
    "soft_sign": Family(soft_sign, 2.0, mass=lambda w: w / (1 + w), reach=lambda a: a / (1 - a)),
    "q_pseudo_spike": Family(q_pseudo_spike, 2.0, lowest=1.0),
    "super_spike": Family(super_spike, 1.0, area=lambda alpha: 2 * alpha),
    "fast_sigmoid": Family(fast_sigmoid, 25.0, area=lambda alpha: 2 / alpha),
    "log_abs": Family(log_abs, 1.0, area=_unbounded),
    "leaky_rect": Family(leaky_rect, 1.0, area=_unbounded),
    "s2nn": Family(s2nn, 4.0, area=_unbounded),
    "identity": Family(identity, 1.0, area=_unbounded),
}  # fmt: skip
"""Every family by name."""
