"""Ways to convert: each makes the neuron that takes the place of an activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from art_snn.conversion.neurons import COSIF, SRPIF, ConvertedIF
from art_snn.errors import explain, suggest


@dataclass(frozen=True)
class Method:
    """Base class: what a neuron needs, as plain data.

    :param pre: steps that a neuron looks at before those that are read out.

    >>> class LateStart(Method):
    ...     def neuron(self, start=0.5):
    ...         return super().neuron(0.0)
    >>> LateStart().neuron().start
    0.0
    """

    pre: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.pre, bool) or int(self.pre) != self.pre or self.pre < 0:
            came = f"pre = {self.pre!r}"
            raise ValueError(explain(came, "a whole number of steps, at least 0", f"{type(self).__name__}(pre=4)"))

    def neuron(self, start: float = 0.5) -> nn.Module:
        """A new neuron with threshold 1."""
        return ConvertedIF(start)

    @property
    def recipe(self) -> str | None:
        """Which of SpikingJelly's recipes finds the thresholds, if one does."""
        return None


@dataclass(frozen=True)
class Plain(Method):
    """QCFS neurons as they are: soft reset, start at half the threshold, no further steps.

    >>> Plain().neuron().start
    0.5
    """


@dataclass(frozen=True)
class SRP(Method):
    """Residual-membrane masking.

    :param pre: pre-simulation steps, counted in the latency; 0 is the plain conversion.
    :param tolerance: residual membrane up to which a unit is silenced, in thresholds.
    :param certain: silence only units that should not have fired at all; ``False`` is the published mask, see
        :mod:`~art_snn.conversion.neurons`.

    >>> SRP(pre=2)
    SRP(pre=2, tolerance=0.001, certain=True)
    """

    pre: int = 4
    tolerance: float = 1e-3
    certain: bool = True

    def neuron(self, start: float = 0.5) -> nn.Module:  # noqa: ARG002 - this rule defines its own start
        """See :class:`Method`."""
        return SRPIF(self.pre, self.tolerance, self.certain)


@dataclass(frozen=True)
class COS(Method):
    """Offset-spike calibration.

    :param pre: steps that calibration looks at, counted in the latency; 0 is the plain conversion.
    :param iterations: how many spikes may be taken away or added, at least 1.

    >>> COS(pre=2)
    COS(pre=2, iterations=1)
    """

    pre: int = 4
    iterations: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.iterations, bool) or int(self.iterations) != self.iterations or self.iterations < 1:
            came = f"iterations = {self.iterations!r}"
            raise ValueError(explain(came, "a whole number, at least 1", "COS(pre=4, iterations=1)"))

    def neuron(self, start: float = 0.5) -> nn.Module:  # noqa: ARG002 - this rule defines its own start
        """See :class:`Method`."""
        return COSIF(self.pre, self.iterations)


@dataclass(frozen=True)
class RateCoding(Method):
    """SpikingJelly's rate-coding recipe, on a ReLU network.

    :param mode: what a threshold is: ``Max``, a percentile such as ``99.9%``, or a share of the largest activation.

    >>> RateCoding(mode="Max").recipe
    'rate_coding'
    """

    pre: int = 0
    mode: str | float = "99.9%"

    @property
    def recipe(self) -> str | None:
        """See :class:`Method`."""
        return "rate_coding"


@dataclass(frozen=True)
class LocalThresholdBalancing(Method):
    """SpikingJelly's local-threshold-balancing recipe, on a ReLU network.

    :param rounds: how often the calibration data are passed; it needs some eighty batches to settle.

    >>> LocalThresholdBalancing(rounds=40).recipe
    'local_threshold_balancing'
    """

    pre: int = 0
    rounds: int = 20

    @property
    def recipe(self) -> str | None:
        """See :class:`Method`."""
        return "local_threshold_balancing"


METHODS: dict[str, type[Method]] = {
    "qcfs": Plain, "srp": SRP, "cos": COS, "residual_noise": Plain, "rate_coding": RateCoding,
    "local_threshold_balancing": LocalThresholdBalancing,
}  # fmt: skip
"""Methods by name."""


def resolve(method: Any) -> Method:
    """A method from its name, with default parameters.

    :raises ValueError: for an unknown name.
    """
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        raise ValueError(suggest(str(method), METHODS, "method"))
    return METHODS[method]()
