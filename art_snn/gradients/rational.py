r"""Slopes made of products and quotients alone, as a form and two numbers: machine code can follow them.

.. math:: \text{lorentz: } \frac{b}{1 + (a v)^2}, \quad \text{inverse\_square: } \frac{b}{(1 + a|v|)^2}, \quad
   \text{triangle: } b \max(0, 1 - a|v|), \quad \text{rectangle: } b\,1[|v| < a]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class Rational(NamedTuple):
    """A slope: ``form``, one of :data:`FORMS`, and its numbers."""

    form: str
    a: float
    b: float


FORMS = ("lorentz", "inverse_square", "triangle", "rectangle")
"""The forms, in the order of the numbers that machine code knows them by."""

_OF_FAMILIES: dict[str, Callable[[float], Rational]] = {
    "atan": lambda alpha: Rational("lorentz", math.pi / 2 * alpha, alpha / 2),
    "soft_sign": lambda alpha: Rational("inverse_square", alpha, alpha / 2),
    "super_spike": lambda alpha: Rational("inverse_square", 1.0, alpha),
    "fast_sigmoid": lambda alpha: Rational("inverse_square", alpha, 1.0),
    "triangle": lambda alpha: Rational("triangle", alpha, alpha),
    "rect": lambda alpha: Rational("rectangle", 0.5 / alpha, alpha),
}


def rational(family: str, alpha: float) -> Rational | None:
    r"""A family of :data:`~art_snn.gradients.families.FAMILIES` in one of the forms; ``None`` for the others.

    >>> rational("triangle", 2.0)
    Rational(form='triangle', a=2.0, b=2.0)
    >>> rational("erf", 2.0) is None
    True
    """
    form = _OF_FAMILIES.get(family)
    return None if form is None else form(alpha)
