"""Numbers that trainers take: weights, rates and deviations, which may be 0 and never less."""

from __future__ import annotations

from art_snn.errors import explain


def not_negative(name: str, value: float, what: str, usual: str) -> float:
    """``value`` as a float, if it is at least 0.

    :param name: of the parameter.
    :param what: what the parameter is, in words.
    :param usual: a value that makes sense, as one writes it.
    :raises ValueError: for a negative value, or one that is not a number.

    >>> not_negative("beta", 6, "weight", "6.0")
    6.0
    """
    if not value >= 0:
        raise ValueError(explain(f"{name}={value}", f"a {what} of at least 0", f"{name}={usual}"))
    return float(value)
