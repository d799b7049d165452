r"""Slopes of SpikingJelly's surrogates, as its own backward pass computes them.

Its neurons differentiate seven surrogates by formula; these are the same formulas, one differentiable and one that
overwrites its argument. Of the others, those that fire where :math:`v \ge 0` and whose gradient is a factor per value
are differentiated through themselves. A surrogate of this package brings its slope along
(:class:`~art_snn.gradients.spike.Slope`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

from art_snn.gradients.rational import rational
from art_snn.gradients.spike import Slope

Formula = Callable[[Tensor, float], Tensor]


def _sigmoid(v: Tensor, alpha: float) -> Tensor:
    s = torch.sigmoid(alpha * v)
    return (1 - s) * s * alpha


def _sigmoid_into(v: Tensor, alpha: float) -> Tensor:
    s = v.mul_(alpha).sigmoid_()
    return (1 - s).mul_(s).mul_(alpha)


def _atan(v: Tensor, alpha: float) -> Tensor:
    return (alpha / 2) / (1 + (v * (math.pi / 2 * alpha)) ** 2)


def _atan_into(v: Tensor, alpha: float) -> Tensor:
    return torch.div(v.new_full((), alpha / 2), v.mul_(math.pi / 2 * alpha).square_().add_(1), out=v)


def _triangle(v: Tensor, alpha: float) -> Tensor:
    return (alpha - alpha * alpha * v.abs()).clamp_min(0)


def _triangle_into(v: Tensor, alpha: float) -> Tensor:
    return v.abs_().mul_(-alpha * alpha).add_(alpha).clamp_min_(0)


def _exponential(v: Tensor, alpha: float) -> Tensor:
    return (alpha / 2) * torch.exp(-alpha * v.abs())


def _exponential_into(v: Tensor, alpha: float) -> Tensor:
    return v.abs_().mul_(-alpha).exp_().mul_(alpha / 2)


def _soft_sign(v: Tensor, alpha: float) -> Tensor:
    return 1 / (2 * alpha * (1 / alpha + v.abs()) ** 2)


def _soft_sign_into(v: Tensor, alpha: float) -> Tensor:
    return v.abs_().add_(1 / alpha).square_().mul_(2 * alpha).reciprocal_()


def _super_spike(v: Tensor, alpha: float) -> Tensor:
    return alpha / (1 + v.abs()) ** 2


def _super_spike_into(v: Tensor, alpha: float) -> Tensor:
    return v.abs_().add_(1).square_().reciprocal_().mul_(alpha)


def _erf(v: Tensor, alpha: float) -> Tensor:
    return (alpha / math.sqrt(math.pi)) * torch.exp(-((alpha * v) ** 2))


def _erf_into(v: Tensor, alpha: float) -> Tensor:
    return v.mul_(alpha).square_().neg_().exp_().mul_(alpha / math.sqrt(math.pi))


FORMULAS: dict[type[nn.Module], tuple[Formula, Formula]] = {
    surrogate.Sigmoid: (_sigmoid, _sigmoid_into),
    surrogate.ATan: (_atan, _atan_into),
    surrogate.PiecewiseQuadratic: (_triangle, _triangle_into),
    surrogate.PiecewiseExp: (_exponential, _exponential_into),
    surrogate.SoftSign: (_soft_sign, _soft_sign_into),
    surrogate.SuperSpike: (_super_spike, _super_spike_into),
    surrogate.Erf: (_erf, _erf_into),
}
"""Slope by class: differentiable, and overwriting."""

_FAMILY: dict[type[nn.Module], str] = {
    surrogate.ATan: "atan", surrogate.PiecewiseQuadratic: "triangle", surrogate.SoftSign: "soft_sign",
    surrogate.SuperSpike: "super_spike",
}  # fmt: skip
"""Those that are a family of this package as well, and have a rational form."""

DIFFERENTIATED = (
    surrogate.Rect, surrogate.PiecewiseLeakyReLU, surrogate.QPseudoSpike, surrogate.S2NN, surrogate.NonzeroSignLogAbs,
    surrogate.LeakyKReLU, surrogate.LogTailedReLU,
)  # fmt: skip
"""Surrogates whose slope is found by differentiating them."""


def known_slope(surrogate_function: nn.Module) -> Slope | None:
    """The slope of a surrogate; ``None`` where its forward may be more than a step, or its backward more than a factor.

    >>> known_slope(surrogate.ATan(alpha=4.0)).of(torch.tensor(0.0)).item()
    2.0
    >>> known_slope(surrogate.ATan(spiking=False)) is None
    True
    """
    own = getattr(surrogate_function, "fusible", None)
    if callable(own):
        slope: Slope = own()
        return slope
    kind = type(surrogate_function)
    if not getattr(surrogate_function, "spiking", True) or surrogate_function._forward_hooks:
        return None
    alpha = getattr(surrogate_function, "alpha", None)
    if kind in FORMULAS and isinstance(alpha, int | float):
        of, into = FORMULAS[kind]
        formula = rational(_FAMILY[kind], float(alpha)) if kind in _FAMILY else None
        return Slope(lambda v: of(v, float(alpha)), lambda v: into(v, float(alpha)), formula=formula)
    if kind in DIFFERENTIATED:
        return Slope(lambda v: _differentiated(surrogate_function, v))
    return None


def _differentiated(surrogate_function: nn.Module, v: Tensor) -> Tensor:
    """:math:`h(v)`, with a graph where one is being built."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        leaf = v if v.requires_grad else v.detach().requires_grad_(True)
        slope: Tensor = torch.autograd.grad(surrogate_function(leaf).sum(), leaf, create_graph=graph)[0]
        return slope
