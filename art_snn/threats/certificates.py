r"""Certificates of smoothed spiking networks: what the winner of a vote over random trains is safe from.

A certificate belongs to one randomization and counts one thing. With :math:`p_A` a lower confidence bound of the
winner's probability, it holds within a budget where the bound of :mod:`art_snn.threats.smoothing_bounds` is below
:math:`p_A - \frac12`, strictly; its radius is the largest such budget. A certificate speaks of the train that enters
the randomization: with a latency code in front, an added, removed or moved spike is one changed pixel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from art_snn.coding.base import Encoder
from art_snn.coding.perturb import check_frames, check_jitter, check_probability
from art_snn.coding.poisson import Poisson
from art_snn.coding.randomized import FrameDrop, SpikeDropout, SpikeJitter
from art_snn.coding.transform import Transformed
from art_snn.errors import explain
from art_snn.threats.smoothing_bounds import (
    bernoulli_bound,
    bernoulli_radius,
    certifies,
    dropout_bound,
    frame_bound,
    jitter_bound,
    laplace_holds,
    largest,
)


class Certificate(ABC):
    """What a smoothed network may promise. ``whole`` says that budgets are whole numbers."""

    whole: ClassVar[bool] = True

    @property
    @abstractmethod
    def unit(self) -> str:
        """What a radius counts."""

    @abstractmethod
    def holds(self, p: float, budget: float) -> bool:
        """Whether no change within ``budget`` takes the win from a class of probability at least ``p``."""

    def radius(self, p: float) -> float:
        """The largest budget that holds; 0 where there is none (``inf``: any)."""
        return max(largest(lambda budget: self.holds(p, budget)), 0)


@dataclass(frozen=True)
class BernoulliL1(Certificate):
    """Bernoulli code of T steps; sum of absolute changes of the intensities.

    >>> round(BernoulliL1(T=4).radius(0.999), 3)
    0.159
    """

    T: int
    whole: ClassVar[bool] = False

    @property
    def unit(self) -> str:
        """See :class:`Certificate`."""
        return "L1 distance of the intensities"

    def holds(self, p: float, budget: float) -> bool:
        """See :class:`Certificate`."""
        return certifies(bernoulli_bound(budget, self.T), p)

    def radius(self, p: float) -> float:
        """See :func:`~art_snn.threats.smoothing_bounds.bernoulli_radius`."""
        return bernoulli_radius(p, self.T)


@dataclass(frozen=True)
class JitterMoves(Certificate):
    """Jitter; number of spikes that move by at most ``jitter`` steps each.

    >>> JitterMoves(2, jitter=1).radius(0.95)
    2
    """

    J: float
    jitter: int = 1
    law: str = "uniform"

    def __post_init__(self) -> None:
        check_jitter(self.J, self.law)

    @property
    def unit(self) -> str:
        """See :class:`Certificate`."""
        return f"spikes moved by at most {self.jitter} steps"

    def holds(self, p: float, budget: float) -> bool:
        """See :class:`Certificate`."""
        if self.law == "laplace":
            return laplace_holds(self.J, self.jitter * budget, p)
        return certifies(jitter_bound(int(self.J), jitter=self.jitter, moves=budget), p)


@dataclass(frozen=True)
class JitterDelay(Certificate):
    """Jitter; steps that the spikes of a sample move together.

    >>> JitterDelay(5).radius(0.95)
    4
    """

    J: float
    law: str = "uniform"

    def __post_init__(self) -> None:
        check_jitter(self.J, self.law)

    @property
    def unit(self) -> str:
        """See :class:`Certificate`."""
        return "steps that spikes move in all"

    def holds(self, p: float, budget: float) -> bool:
        """See :class:`Certificate`."""
        if self.law == "laplace":
            return laplace_holds(self.J, budget, p)
        return certifies(jitter_bound(int(self.J), delay=budget), p)


@dataclass(frozen=True)
class DropoutEdits(Certificate):
    """Spike dropout; number of spikes that are added, removed, or moved to anywhere.

    >>> DropoutEdits(0.1).radius(0.95)
    5
    """

    keep: float

    def __post_init__(self) -> None:
        check_probability("keep", self.keep)

    @property
    def unit(self) -> str:
        """See :class:`Certificate`."""
        return "spikes added, removed or moved"

    def holds(self, p: float, budget: float) -> bool:
        """See :class:`Certificate`."""
        return certifies(dropout_bound(self.keep, budget), p)


@dataclass(frozen=True)
class ChangedFrames(Certificate):
    """Frame dropout; number of frames that change, in any way.

    >>> ChangedFrames(1, T=10).radius(0.95)
    4
    """

    keep_frames: int
    T: int

    def __post_init__(self) -> None:
        check_frames(self.keep_frames, self.T)

    @property
    def unit(self) -> str:
        """See :class:`Certificate`."""
        return "frames changed"

    def holds(self, p: float, budget: float) -> bool:
        """See :class:`Certificate`."""
        return certifies(frame_bound(self.T, self.keep_frames, int(budget)), p)


UNITS = ("moves", "delay")
"""What can be counted under jitter."""


def certificate_of(encoder: Encoder, unit: str = "moves", jitter: int = 1) -> Certificate:
    """The certificate that the randomization of a spike code gives.

    :param encoder: ``Poisson``, or ``Transformed(code, transform)`` of a code without randomness of its own.
    :param unit: for jitter: ``moves`` or ``delay``.
    :param jitter: for ``moves``: steps by which each spike may move.
    :raises ValueError: for a deterministic code, a transform without a bound, or a unit or jitter out of range.

    >>> from art_snn.coding import Latency
    >>> certificate_of(Transformed(Latency(T=16), SpikeJitter(3)), "delay").unit
    'steps that spikes move in all'
    """
    if unit not in UNITS:
        raise ValueError(explain(f"unit={unit!r}", f"one of {UNITS}", "unit='moves'"))
    if isinstance(jitter, bool) or int(jitter) != jitter or jitter < 1:
        raise ValueError(explain(f"jitter={jitter!r}", "a whole number of steps, at least 1", "jitter=1"))
    if isinstance(encoder, Poisson):
        return BernoulliL1(encoder.T)
    name = type(encoder).__name__
    if not isinstance(encoder, Transformed):
        fix = f"Transformed({name}(...), SpikeJitter(2)) as the network's encoder, or SpikeDropout(0.5), or Poisson(T)"
        came = f"the code {name}" + ("" if encoder.is_stochastic else ", which is deterministic")
        raise ValueError(explain(came, "a randomized code that a certificate is known for", fix))
    if encoder.encoder.is_stochastic:
        fix = "Transformed(Latency(T), ...) or Transformed(EventFrames(T), ...)"
        came = f"a transform after {type(encoder.encoder).__name__}, which is random itself"
        raise ValueError(explain(came, "one randomization, after a deterministic code", fix))
    law = encoder.transform
    if type(law) is SpikeJitter:
        return JitterMoves(law.J, int(jitter), law.law) if unit == "moves" else JitterDelay(law.J, law.law)
    if type(law) is SpikeDropout:
        return DropoutEdits(law.keep)
    if type(law) is FrameDrop:
        return ChangedFrames(law.keep_frames, encoder.T)
    expected = "SpikeJitter, SpikeDropout or FrameDrop, whose bounds are known"
    raise ValueError(
        explain(repr(law), expected, f"Transformed({type(encoder.encoder).__name__}(...), SpikeJitter(2))")
    )
