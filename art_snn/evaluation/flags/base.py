"""What a reliability flag is, and what a check does to raise one.

Severity ``E`` invalidates a model's numbers: they are printed as "invalid", never as robustness. Severity ``W`` is a
warning that stands beside the number. Each flag stores its rule, its value, its limit, the samples and the seed behind
it, and what to do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from art_snn.evaluation.flags.evidence import Evidence

_DUST = 1e-9
FEW = 2
"""Samples that a difference between attacks has to span before it counts, where few are evaluated."""


@dataclass(frozen=True)
class Flag:
    """One check of one model.

    :param id: ``E1``, ``W2``, ...; the documentation has a page for each.
    :param raised: whether the check failed.
    :param value: what was measured.
    :param threshold: the limit it was held against.
    :param text: what was found and what to do.
    :param verdict: ``passed``, ``raised``, or why there was nothing to measure.
    :param rule: the rule in words.
    :param samples: how many samples the value is over.
    :param seed: seed of the draws behind it.
    :param details: further numbers, JSON-ready.

    >>> flag = Flag("E1", raised=True, value=1.0, threshold=0.0, text="no gradient")
    >>> flag.invalidates, flag.page
    (True, 'docs/flags.md#e1')
    """

    id: str
    raised: bool
    value: float
    threshold: float
    text: str
    verdict: str = ""
    rule: str = ""
    samples: int = 0
    seed: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Where the documentation explains the flag."""
        return f"docs/flags.md#{self.id.lower()}"

    @property
    def severity(self) -> str:
        """``E`` or ``W``."""
        return self.id[0]

    @property
    def invalidates(self) -> bool:
        """Whether the flag makes a number worthless when raised."""
        return self.severity == "E"

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Reading:
    """What a check measured.

    :param value: the number.
    :param raised: whether it breaks the rule; ``None``: where it exceeds the threshold.
    :param samples: how many samples it is over.
    :param found: what was found, in words; stands in front of the advice.
    :param details: further numbers, JSON-ready.
    :param threshold: the limit, where it depends on the number of samples.

    >>> Reading(0.25, samples=40, found="10 of 40 samples have no gradient").value
    0.25
    """

    value: float
    raised: bool | None = None
    samples: int = 0
    found: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None


class NotApplicableError(Exception):
    """There is nothing to measure on this model; the message says why."""


class Check(ABC):
    """One rule. Subclasses name it and measure.

    >>> class Big(Check):
    ...     id, title, rule, advice, threshold = "W99", "loud", "inputs up to 0.9", "scale the inputs", 0.9
    ...     def measure(self, evidence):
    ...         return Reading(float(evidence.x.max()), samples=len(evidence.x))
    >>> from art_snn.evaluation.flags import Evidence
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> flag = Big().judge(Evidence(tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), *tiny.samples(4), eps=0.1))
    >>> flag.raised, flag.value, flag.samples
    (True, 1.0, 4)
    """

    id: ClassVar[str]
    title: ClassVar[str]
    rule: ClassVar[str]
    advice: ClassVar[str]
    threshold: ClassVar[float] = 0.0

    @abstractmethod
    def measure(self, evidence: Evidence) -> Reading:
        """The number.

        :raises NotApplicableError: if the model has nothing to measure.
        """

    def judge(self, evidence: Evidence) -> Flag:
        """The flag. A check that cannot run has not passed: an invalidating one is raised then."""
        try:
            with evidence.undisturbed():
                reading = self.measure(evidence)
        except NotApplicableError as reason:
            return self._flag(evidence, Reading(0.0, raised=False), f"not applicable: {reason}")
        except (ValueError, RuntimeError, TypeError, NotImplementedError, AttributeError, LookupError) as error:
            why = " ".join(str(error).split())[:300]
            raised = self.id.startswith("E")
            return self._flag(
                evidence, Reading(0.0, raised=raised, found=f"not measured: {why}"), f"not measured: {why}"
            )
        return self._flag(evidence, reading)

    def _flag(self, evidence: Evidence, reading: Reading, verdict: str | None = None) -> Flag:
        limit = self.threshold if reading.threshold is None else reading.threshold
        raised = bool(reading.value > limit) if reading.raised is None else bool(reading.raised)
        text = f"{reading.found}; {self.advice}" if reading.found else self.advice
        said = verdict if verdict is not None else ("raised" if raised else "passed")
        return Flag(
            self.id, raised, float(reading.value), float(limit), text, said, self.rule, int(reading.samples),
            evidence.seed, reading.details,
        )  # fmt: skip


def slack(share: float, samples: int) -> float:
    """The limit of a difference between attacks: the rule's share, or two samples where so few are evaluated.

    >>> round(slack(0.002, 2000), 6), round(slack(0.002, 20), 6)
    (0.002, 0.1)
    """
    return max(share, FEW / max(samples, 1)) + _DUST
