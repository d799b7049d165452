r"""The two base classes of a spike code.

An :class:`Encoder` is a pure function :math:`x\,[N, *] \to s\,[T, N, *]` (time first); a :class:`Decoder` is a pure
function
:math:`o\,[T, N, K] \to z\,[N, K]` from what the output layer produced to real-valued logits. Neither keeps anything
between calls, except that a stochastic encoder owns a seeded random stream.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from art_snn.coding.draws import SeededDraws
from art_snn.coding.straight_through import clamp_straight_through
from art_snn.errors import GuardedInit, explain, summary
from art_snn.trust import is_trusted

Domain = tuple[float, float] | None
"""The interval an encoder accepts, or ``None`` for every finite real number."""

HIDING = ("masked", "none")
"""Backward choices that hide gradient from an attack; kept to reproduce published numbers."""

_TOLERANCE = 1e-6


def check_steps(T: int) -> int:
    """Return ``T`` as an int.

    :raises ValueError: if ``T`` is not a whole number of at least one time step.
    """
    if isinstance(T, bool) or int(T) != T or T < 1:
        raise ValueError(explain(f"T = {T!r}", "a whole number of time steps, T >= 1", "pass T=8, say"))
    return int(T)


def check_domain(x: Tensor, domain: Domain, name: str) -> Tensor:
    """Return ``x`` with rounding dust beyond the domain removed; the gradient passes, on the borders of the domain too.

    (The gradient of ``torch.clamp`` at its own bounds is zero in some versions of torch, and black pixels lie there.)

    :raises TypeError: if ``x`` is not floating point.
    :raises ValueError: if ``x`` has no batch axis, holds NaN or inf, or leaves ``domain`` by more than 1e-6.
    """
    if not x.is_floating_point():
        raise TypeError(
            explain(summary(x), f"floating-point input for {name}", "divide images by 255: x.float() / 255")
        )
    if x.dim() < 1:
        raise ValueError(explain(summary(x), "a batch [N, *]", "add the batch axis: x.unsqueeze(0)"))
    low, high = (-math.inf, math.inf) if domain is None else domain
    if not is_trusted():
        inside = torch.isfinite(x) if domain is None else (x >= low - _TOLERANCE) & (x <= high + _TOLERANCE)
        if not bool(inside.all()):
            _refuse(x, low, high, name)
    return x if domain is None or x.numel() == 0 else clamp_straight_through(x, low, high)


def _refuse(x: Tensor, low: float, high: float, name: str) -> None:
    if not bool(torch.isfinite(x).all()):
        raise ValueError(explain(summary(x), f"finite input for {name}", "remove NaN and inf: torch.nan_to_num(x)"))
    fix = f"rescale the input, or clip it: x.clamp({low:g}, {high:g})"
    raise ValueError(explain(summary(x), f"values in [{low:g}, {high:g}] for {name}", fix))


class _Code(GuardedInit, nn.Module):
    """What encoders and decoders share: their constructor arguments can be read back."""

    def __init__(self) -> None:
        super().__init__()

    def config(self) -> dict[str, Any]:
        """The constructor arguments that rebuild this code; each is also an attribute of the same name."""
        names = inspect.signature(type(self).__init__).parameters
        return {name: getattr(self, name) for name in names if name != "self"}

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self.config().items() if not isinstance(value, nn.Module))


class Encoder(_Code):
    r"""Inputs to spike trains: ``forward(x [N, *]) -> s [T, N, *]``.

    Subclasses implement :meth:`encode` and set the class attributes. ``backward`` names how the gradient crosses the
    code; each name is one formula for :math:`\partial s_t / \partial x`, the first entry of :attr:`backwards` is the
    default.

    :param T: number of time steps.
    :param backward: one of :attr:`backwards`; ``None`` takes the default.
    :param seed: seed of the encoder's own random stream (``None`` is 0); meaningless for deterministic codes.

    >>> class Halves(Encoder):
    ...     def encode(self, x):
    ...         return (x >= 0.5).to(x.dtype).expand(self.T, *x.shape)
    >>> Halves(T=2)(torch.tensor([[0.2, 0.7]])).tolist()
    [[[0.0, 1.0]], [[0.0, 1.0]]]
    """

    is_stochastic: bool = False
    is_binary: bool = True
    domain: Domain = (0.0, 1.0)
    integer_input: bool = False
    binary_input: bool = False
    backwards: ClassVar[tuple[str, ...]] = ("identity",)

    def __init__(self, T: int, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__()
        self.T = check_steps(T)
        if backward is not None and backward not in self.backwards:
            known = ", ".join(map(repr, self.backwards))
            name = type(self).__name__
            raise ValueError(
                explain(
                    f"backward={backward!r}", f"one of {known} for {name}", f"{name}(T, backward={self.backwards[0]!r})"
                )
            )
        self.backward = backward or self.backwards[0]
        self.seed = seed
        self.draws = SeededDraws(seed or 0)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        :param x: floating-point input ``[N, *]`` inside :attr:`domain`.
        :return: ``[T, N, *]``, same dtype and device.
        :raises TypeError: if ``x`` is not floating point.
        :raises ValueError: if ``x`` is not finite or leaves :attr:`domain`.
        """
        return self.encode(check_domain(x, self.domain, type(self).__name__))

    def encode(self, x: Tensor) -> Tensor:
        """The code itself, on checked input."""
        raise NotImplementedError

    def decode(self, s: Tensor) -> Tensor:
        """Estimate the input ``[N, *]`` from a spike train ``[T, N, *]``, where the code is invertible."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    @property
    def obfuscates(self) -> bool:
        """Whether the chosen backward hides gradient from an attack, so that its result cannot be trusted."""
        return self.backward in HIDING

    def reseed(self, seed: int | None = None) -> None:
        """Start the random stream anew, from ``seed`` or from the encoder's own seed."""
        self.draws.reseed(self.seed or 0 if seed is None else seed)


class Decoder(_Code):
    """Output trains to logits: ``forward(o [T, N, K]) -> z [N, K]``, finite and real-valued, never probabilities.

    Subclasses implement :meth:`decode`.

    >>> class LastStep(Decoder):
    ...     def decode(self, o):
    ...         return o[-1]
    >>> LastStep()(torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])).tolist()
    [[0.0, 2.0]]
    """

    def forward(self, o: Tensor) -> Tensor:
        """Decode the output of the last layer.

        :param o: ``[T, N, K]``: currents or spikes, one row per time step.
        :return: logits ``[N, K]``.
        :raises ValueError: if ``o`` is not three-dimensional.
        """
        if o.dim() != 3:
            fix = "end the body with a layer of nb_classes outputs, say layer.Linear(features, nb_classes)"
            raise ValueError(explain(summary(o), f"[T, N, K] for {type(self).__name__}", fix))
        return self.decode(o)

    def decode(self, o: Tensor) -> Tensor:
        """The code itself, on checked input."""
        raise NotImplementedError
