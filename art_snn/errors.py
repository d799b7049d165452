"""Exceptions and warnings of art-snn, and the one way a message is put together.

Every message says what came, what was expected, and the one-line repair. Exceptions derive from the built-in class that
a user would catch (``ValueError``, ``TypeError``, ``RuntimeError``), so nothing has to be imported to handle them.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch

Call = TypeVar("Call", bound=Callable[..., Any])


class ArtSnnWarning(UserWarning):
    """Base class of every warning that art-snn gives."""


class GradientWarning(ArtSnnWarning):
    """A gradient is cut, zero or partial, so an attack that uses it can fail silently."""


class RepeatWarning(ArtSnnWarning):
    """Two calls on the same input differ although nothing in the network declares itself random."""


class StepModeWarning(ArtSnnWarning):
    """A neuron computes something else in multi-step mode than in single-step mode."""


class RangeWarning(ArtSnnWarning):
    """Inputs lie far outside the clip values: right for the noisy copies of some attacks, else unscaled images."""


def explain(came: str, expected: str, fix: str) -> str:
    """Put an error message together.

    >>> print(explain("eps = -1", "eps >= 0", "pass eps=8/255"))
    got eps = -1; expected eps >= 0. Fix: pass eps=8/255.
    """
    return f"got {came}; expected {expected}. Fix: {fix}{'' if fix.endswith(('.', '?')) else '.'}"


def suggest(name: str, known: Iterable[str], kind: str) -> str:
    """The message for an unknown name, with the nearest known one.

    >>> print(suggest("mnits", ["digits", "mnist"], "data set"))
    got data set 'mnits'; expected one of digits, mnist. Fix: did you mean 'mnist'?
    """
    names = list(known)
    near = nearest(name, names)
    fix = f"did you mean {near!r}?" if near else f"choose one of {', '.join(names)}"
    return explain(f"{kind} {name!r}", f"one of {', '.join(names)}", fix)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``name``, upper and lower case alike; ``None`` if none does.

    >>> nearest("spikeretime", ["SpikeFool", "SpikeRetiming"])
    'SpikeRetiming'
    """
    folded = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.4)
    return folded[near[0]] if near else None


def summary(x: torch.Tensor) -> str:
    """Shape, dtype and range of a tensor, for an error message.

    >>> summary(torch.tensor([[0.0, 2.0]]))
    'a tensor of shape (1, 2), torch.float32, range [0, 2]'
    """
    text = f"a tensor of shape {tuple(x.shape)}, {x.dtype}"
    if x.numel() == 0:
        return f"{text}, empty"
    finite = x.detach().float()
    bad = int((~torch.isfinite(finite)).sum())
    if bad:
        return f"{text}, with {bad} non-finite values"
    return f"{text}, range [{finite.min().item():.6g}, {finite.max().item():.6g}]"


_UNFIT = (TypeError, ValueError, OverflowError, AttributeError, RuntimeError, LookupError, ArithmeticError)
_SIGNATURE = "argument"


def guarded(call: Call) -> Call:
    """Give a repair to the errors of a constructor (or builder) that was handed something of another kind.

    Checks of values presume their kind: a comparison with ``None`` or with an array fails in words of its own. Errors
    that carry a repair, subclasses of these (ART's ``EstimatorError``, warnings as errors) and Python's on wrong
    signatures pass as they are.

    >>> @guarded
    ... def half(n):
    ...     return n / 2
    >>> half("x")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: got half('x') (TypeError: unsupported operand ...); expected ... documented kinds. Fix: see help(half).
    """

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except _UNFIT as error:
            text = str(error)
            if "Fix:" in text or _SIGNATURE in text or type(error).__module__ != "builtins":
                raise
            method = call.__name__.startswith("_")
            name = type(args[0]).__name__ if method else call.__name__
            given = [*map(_short, args[1:] if method else args), *(f"{k}={_short(v)}" for k, v in kwargs.items())]
            came = f"{name}({', '.join(given)}) ({type(error).__name__}: {text[:200]})"
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(explain(came, "arguments of the documented kinds", f"see help({name})")) from error

    return checked  # type: ignore[return-value]


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


class GuardedInit:
    """A base class whose subclasses have a :func:`guarded` constructor."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = guarded(cls.__init__)  # type: ignore[method-assign]
