r"""How a gradient crosses a step that has none: the forward is the hard value, the slope is given.

:func:`carry_gradient` returns the spikes unchanged, bit for bit, and declares :math:`\partial s_t/\partial x := k_t`,
so that

.. math:: \partial L/\partial x = \sum_t k_t\, g_t, \qquad g_t = \partial L/\partial s_t .

Every backward choice of every encoder is one slope tensor :math:`k\,[T, N, *]` (or the number 1: plain
straight-through).
:func:`clamp_straight_through` keeps the gradient alive outside the box.

Source: Bengio et al. 2013 (straight-through); Athalye et al. 2018 (BPDA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad


class _ValueOf(torch.autograd.Function):
    """``forward(value, path) = value``, with the gradient of ``path``: transparent to torch.func and to double
    backward.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, path: Tensor) -> Tensor:  # noqa: ARG004
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:  # noqa: ARG004
        return None, grad

    @staticmethod
    def jvp(ctx: Any, value: Tensor | None, path: Tensor | None) -> Tensor | None:  # noqa: ARG004
        return path


class _Sloped(torch.autograd.Function):
    """``forward(value, x, slope) = value``, with the gradient of ``slope * x``, which is not computed."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, x: Tensor, slope: Tensor) -> Tensor:  # noqa: ARG004
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        _, x, slope = inputs
        ctx.of_x, ctx.of_value = x.shape, output.shape
        ctx.save_for_backward(slope)
        ctx.save_for_forward(slope)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        (slope,) = ctx.saved_tensors
        return None, (grad * slope).sum_to_size(ctx.of_x), None

    @staticmethod
    def jvp(ctx: Any, value: Tensor | None, x: Tensor, slope: Tensor | None) -> Tensor:  # noqa: ARG004
        (fixed,) = ctx.saved_tensors
        return (fixed * x).expand(ctx.of_value)


def is_traced(x: Tensor) -> bool:
    """Whether a derivative of ``x`` is being taken, backward or forward (``torch.func.jvp``)."""
    return x.requires_grad or forward_ad.unpack_dual(x).tangent is not None


def carry_gradient(spikes: Tensor, x: Tensor, slope: Tensor | float = 1.0) -> Tensor:
    r"""Return ``spikes``, with :math:`\partial s_t/\partial x := k_t`.

    :param spikes: ``[T, N, *]``.
    :param x: ``[N, *]``, what the gradient is for.
    :param slope: :math:`k`, broadcastable to ``[T, N, *]``; a constant, no gradient flows into it.
    :return: ``[T, N, *]``, equal to ``spikes`` bit for bit.

    >>> x = torch.tensor([0.3], requires_grad=True)
    >>> s = carry_gradient(torch.tensor([[0.0], [1.0]]), x, torch.tensor([[2.0], [5.0]]))
    >>> torch.autograd.grad(s.sum(), x)[0].item()
    7.0
    """
    if not is_traced(x):
        return spikes
    if isinstance(slope, Tensor):
        sloped: Tensor = _Sloped.apply(spikes.detach(), x, slope.detach())
        return sloped
    return _ValueOf.apply(spikes.detach(), (slope * x).expand(spikes.shape))


def carry_path(spikes: Tensor, path: Tensor) -> Tensor:
    """Return ``spikes`` with the gradient of ``path``, a differentiable tensor of the same shape.

    For codes whose spikes depend on more than one input value, where one slope per spike does not say it all.

    >>> x = torch.tensor([0.3], requires_grad=True)
    >>> s = carry_path(torch.tensor([1.0]), x**2)
    >>> s.item(), round(torch.autograd.grad(s.sum(), x)[0].item(), 4)
    (1.0, 0.6)
    """
    return _ValueOf.apply(spikes.detach(), path.expand(spikes.shape))


def central_difference(
    code: Callable[[Tensor], Tensor], x: Tensor, step: float, low: float = 0.0, high: float = 1.0
) -> Tensor:
    r"""The slope :math:`(s(x+h) - s(x-h))/2h` of a code without derivative, one-sided at the ends of its domain.

    :param code: ``[N, *] -> [T, N, *]``, every value on its own.
    :param x: ``[N, *]``.
    :param step: :math:`h`, about the change of intensity that moves one spike.
    :return: ``[T, N, *]``.

    >>> central_difference(lambda v: (v > 0.5).float()[None], torch.tensor([0.5, 0.0]), 0.25).tolist()
    [[2.0, 0.0]]
    """
    above, below = (x + step).clamp(max=high), (x - step).clamp(min=low)
    return (code(above) - code(below)) / (above - below)


def clamp_straight_through(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp to ``[low, high]``; the gradient passes as if nothing had been clamped.

    Random starts and finite differences leave the box; a hard clamp would take their gradient away.
    """
    return _ValueOf.apply(x.detach().clamp(low, high), x) if is_traced(x) else x.clamp(low, high)
