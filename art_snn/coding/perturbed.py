"""A spike code followed by a random change of its train, as one code.

A network with such a code is a smoothed network in the making: the randomness is inside the module, so every attack
meets it, ``eot`` averages over it and ``votes`` decide about it. See :mod:`art_snn.coding.perturb` for the equations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.draws import SeededDraws
from art_snn.coding.frames import EventFrames
from art_snn.coding.perturb import (
    check_jitter,
    check_probability,
    check_strength,
    check_whole_frames,
    drop_frames,
    drop_spikes,
    jitter,
    time_warp,
)
from art_snn.errors import explain


class Change(Protocol):
    """A random change of trains ``[T, N, *]``; ``needs_binary`` says whether it takes binary trains only."""

    needs_binary: ClassVar[bool]

    def __call__(self, s: Tensor, draws: SeededDraws) -> Tensor:
        """The changed trains, of the same shape."""
        ...


@dataclass(frozen=True)
class Jitter:
    """Spikes move by random steps: :func:`~art_snn.coding.perturb.jitter`.

    :raises ValueError: if J is negative or fractional, or for an unknown law.

    >>> Jitter(2)
    Jitter(J=2, law='uniform')
    """

    J: float
    law: str = "uniform"
    needs_binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_jitter(self.J, self.law)

    def __call__(self, s: Tensor, draws: SeededDraws) -> Tensor:
        """See :func:`~art_snn.coding.perturb.jitter`."""
        return jitter(s, self.J, draws, self.law)


@dataclass(frozen=True)
class SpikeDropout:
    """Every spike is kept with probability ``keep``: :func:`~art_snn.coding.perturb.drop_spikes`.

    :raises ValueError: if ``keep`` is outside [0, 1].

    >>> SpikeDropout(0.5)
    SpikeDropout(keep=0.5)
    """

    keep: float
    needs_binary: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_probability("keep", self.keep)

    def __call__(self, s: Tensor, draws: SeededDraws) -> Tensor:
        """See :func:`~art_snn.coding.perturb.drop_spikes`."""
        return drop_spikes(s, self.keep, draws)


@dataclass(frozen=True)
class FrameDropout:
    """``keep_frames`` of the T frames are kept: :func:`~art_snn.coding.perturb.drop_frames`.

    :raises ValueError: if ``keep_frames`` is no whole number of at least 0.

    >>> FrameDropout(3)
    FrameDropout(keep_frames=3)
    """

    keep_frames: int
    needs_binary: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_whole_frames(self.keep_frames)

    def __call__(self, s: Tensor, draws: SeededDraws) -> Tensor:
        """See :func:`~art_snn.coding.perturb.drop_frames`."""
        return drop_frames(s, self.keep_frames, draws)


@dataclass(frozen=True)
class TimeWarp:
    """Time is bent at random: :func:`~art_snn.coding.perturb.time_warp`.

    :raises ValueError: if ``strength`` is outside [0, 1].

    >>> TimeWarp(0.5)
    TimeWarp(strength=0.5)
    """

    strength: float
    needs_binary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_strength(self.strength)

    def __call__(self, s: Tensor, draws: SeededDraws) -> Tensor:
        """See :func:`~art_snn.coding.perturb.time_warp`."""
        return time_warp(s, self.strength, draws)


class Perturbed(Encoder):
    """A code whose trains are changed at random, anew at each call.

    :param encoder: the code; its domain and its backward choices are those of the whole.
    :param change: what happens to its trains: :class:`Jitter`, :class:`SpikeDropout`, :class:`FrameDropout`,
        :class:`TimeWarp`.
    :param seed: seed of the stream of the change (``None`` is 0).
    :raises TypeError: if ``encoder`` is no encoder, or ``change`` not callable.
    :raises ValueError: if the change needs binary trains and the code makes others.

    >>> import torch
    >>> from art_snn.coding import Latency
    >>> code = Perturbed(Latency(T=8), Jitter(1))
    >>> code(torch.full((1, 4), 0.5)).sum(0).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    is_stochastic = True

    def __init__(self, encoder: Encoder, change: Change, *, seed: int | None = None) -> None:
        if not isinstance(encoder, Encoder):
            fix = "Perturbed(Latency(T=16), Jitter(2))"
            raise TypeError(explain(f"encoder {encoder!r}", "an art_snn.coding.Encoder", fix))
        if not callable(change):
            fix = "Perturbed(encoder, Jitter(2))"
            raise TypeError(explain(f"change {change!r}", "a function (trains, draws) -> trains", fix))
        given = isinstance(encoder, EventFrames | Perturbed)
        if getattr(change, "needs_binary", False) and not encoder.is_binary and not given:
            name = type(encoder).__name__
            fix = "use a binary code, Latency(T) or Poisson(T), or SpikeDropout, which takes any values"
            raise ValueError(explain(f"{change!r} after {name}, whose trains are not binary", "binary trains", fix))
        super().__init__(encoder.T, seed=seed)
        self.encoder = encoder
        self.change = change
        self.is_binary = encoder.is_binary
        self.domain = encoder.domain
        self.integer_input = encoder.integer_input
        self.binary_input = encoder.binary_input or (
            isinstance(encoder, EventFrames) and bool(getattr(change, "needs_binary", False))
        )

    @property
    def backwards(self) -> tuple[str, ...]:  # type: ignore[override]
        """The backward choices of the code."""
        inner = self._modules.get("encoder")
        return inner.backwards if isinstance(inner, Encoder) else Encoder.backwards

    @property
    def backward(self) -> str:
        """The backward choice of the code."""
        inner = self._modules.get("encoder")
        return inner.backward if isinstance(inner, Encoder) else Encoder.backwards[0]

    @backward.setter
    def backward(self, name: str) -> None:
        inner: Any = self._modules.get("encoder")
        if inner is not None:
            inner.backward = name

    def encode(self, x: Tensor) -> Tensor:
        """The code's train, changed."""
        return self.change(self.encoder(x), self.draws)

    def decode(self, s: Tensor) -> Tensor:
        """The code's own estimate, as if nothing had been changed."""
        return self.encoder.decode(s)

    def after(self) -> Perturbed:
        """The change alone, on trains ``[N, T, *]`` that are given."""
        return Perturbed(EventFrames(self.T), self.change, seed=self.seed)
