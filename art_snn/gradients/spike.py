r"""A spike with a slope of one's choice: :math:`s = H(v)` forward, :math:`g = h(v)\,\delta` backward.

:math:`H(0) = 1`: equality fires, as in SpikingJelly 2. The function is transparent to ``torch.func`` (grad, vjp, jvp,
vmap, jacrev) and to double backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.gradients.families import FAMILIES
from art_snn.gradients.rational import Rational, rational


class _Spike(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, slope: Callable[..., Tensor], *constants: Tensor) -> Tensor:  # noqa: ARG004
        return (v >= 0).to(v.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        v, ctx.slope, *constants = inputs
        ctx.save_for_backward(v, *constants)
        ctx.save_for_forward(v, *constants)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, *constants = ctx.saved_tensors
        return grad * ctx.slope(v, *constants), None, *(None for _ in constants)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        v, *constants = ctx.saved_tensors
        return tangent * ctx.slope(v, *constants)


def spike(v: Tensor, slope: Callable[..., Tensor], *constants: Tensor) -> Tensor:
    """Fire where ``v >= 0``; backward multiplies by ``slope(v, *constants)``.

    :param v: membrane above threshold, any shape.
    :param slope: differentiable in ``v`` for double backward; no gradient flows into the constants.
    :param constants: tensors that the slope needs, broadcastable to ``v``.

    >>> v = torch.tensor([-1.0, 0.0], requires_grad=True)
    >>> s = spike(v, lambda v: 1 / (1 + v.abs()))
    >>> s.tolist(), torch.autograd.grad(s.sum(), v)[0].tolist()
    ([0.0, 1.0], [0.5, 1.0])
    """
    fired: Tensor = _Spike.apply(v, slope, *constants)
    return fired


@dataclass(frozen=True)
class Slope:
    r"""The derivative of a spike, for whoever takes all steps of a layer at once.

    A surrogate of this package says through a method ``fusible`` that it fires exactly where :math:`v \ge 0`, once in
    each step, and passes the gradient through this slope.

    :param of: :math:`h(v, *constants)`, value by value and differentiable in v.
    :param into: the same, free to overwrite ``v``.
    :param watch: called with v at each step, in order, without gradient; the constants of that step.
    :param formula: the same as a form and two numbers, where there is one.

    >>> slope = Slope(lambda v: 1 / (1 + v.abs()))
    >>> [f(torch.tensor(-1.0)).item() for f in slope.at_steps(2, [], overwrite=True)]
    [0.5, 0.5]
    """

    of: Callable[..., Tensor]
    into: Callable[..., Tensor] | None = None
    watch: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    formula: Rational | None = None

    def at_steps(
        self, steps: int, constants: Sequence[Tensor], *, overwrite: bool = False
    ) -> list[Callable[[Tensor], Tensor]]:
        """The slope of each step, bound to the constants of that step, which lie one after the other."""
        slope = self.into if overwrite and self.into is not None else self.of
        each = len(constants) // steps
        return [_bound(slope, constants[t * each : (t + 1) * each]) if each else slope for t in range(steps)]


def _bound(slope: Callable[..., Tensor], constants: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda v: slope(v, *constants)


class SpikeFunction(nn.Module):
    """A surrogate of our own: a module without parameters that fires with the slope of one family.

    Made by :func:`surrogate`. It takes the place of any SpikingJelly surrogate, in a neuron's constructor as well.

    :param family: a name of table :data:`~art_snn.gradients.families.FAMILIES`.
    :param alpha: its sharpness.

    >>> v = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    >>> s = SpikeFunction("triangle", 1.0)(v)
    >>> s.sum().backward()
    >>> s.tolist(), v.grad.tolist()
    ([0.0, 1.0, 1.0], [0.0, 1.0, 0.0])
    """

    spiking = True

    def __init__(self, family: str, alpha: float) -> None:
        super().__init__()
        self.family = family
        self.alpha = alpha

    def forward(self, v: Tensor) -> Tensor:
        """Spikes of ``v = u - theta``."""
        return spike(v, self.slope)

    def slope(self, v: Tensor) -> Tensor:
        """:math:`h(v)`."""
        return FAMILIES[self.family].slope(v, self.alpha)

    def fusible(self) -> Slope:
        """The same for all steps at once."""
        return Slope(self.slope, formula=rational(self.family, self.alpha))

    def __repr__(self) -> str:
        return f"surrogate({self.family!r}, {self.alpha})"


def surrogate(family: str, sharpness: float | None = None) -> SpikeFunction:
    r"""A surrogate by name.

    :param family: ``atan``, ``triangle``, ``rect``, ``sigmoid``, ``erf``, ``exponential``, ``soft_sign``,
        ``q_pseudo_spike``, ``super_spike``, ``fast_sigmoid``, ``log_abs``, ``leaky_rect``, ``s2nn`` or ``identity``;
        formulas in :mod:`art_snn.gradients.families`.
    :param sharpness: :math:`\alpha`, in SpikingJelly's convention; the family's usual one by default.
    :raises ValueError: for an unknown name, or a sharpness out of range.

    >>> surrogate("atan", 4.0)
    surrogate('atan', 4.0)
    >>> surrogate("triangle").slope(torch.tensor([0.0, 0.25, -2.0])).tolist()
    [1.0, 0.75, 0.0]
    """
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ValueError(explain(f"surrogate {family!r}", f"one of {known}", "surrogate('atan', 4.0)"))
    kind = FAMILIES[family]
    alpha = kind.alpha if sharpness is None else float(sharpness)
    if not (alpha > kind.lowest and math.isfinite(alpha)):
        fix = f"surrogate({family!r}, {kind.alpha})"
        raise ValueError(explain(f"sharpness {sharpness!r} for {family}", f"a number above {kind.lowest:g}", fix))
    return SpikeFunction(family, alpha)
