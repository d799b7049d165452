"""What a diagnosis says: the flags, the layers, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from art_snn.errors import explain
from art_snn.evaluation.flags.base import Flag
from art_snn.evaluation.flags.registry import CHECKS
from art_snn.evaluation.layers import LayerState
from art_snn.evaluation.table import Table

_ATTACKED = ("E5", "E6", "W1", "W2", "W3", "W4", "W5", "W6", "W13", "W14", "W15")
_EXPLAINS: dict[str, tuple[str, ...]] = {
    "E8": ("E1", "E7", "E9", "W8", "W9", "W10", *_ATTACKED),
    "E3": ("E1", "E2", "E9", "W7", "W11", *_ATTACKED),
    "E7": ("E1", "E4", "E9", "W9", *_ATTACKED),
    "W10": ("E1", "E5", "W3", "W4", "W6", "W13", "W15"),
    "W9": ("E1", "W2", "W6", "W8", "W13", "W14"),
    "E1": ("E4", "E9", *_ATTACKED),
    "E2": ("E9", "W7"),
    "E9": _ATTACKED,
    "E4": ("E6",),
    "E5": ("E6", "W1", "W2", "W3", "W4", "W5"),
    "E6": ("W4", "W5"),
    "W7": ("W4", "W5", "W6", "W13", "W14", "W15"),
    "W6": ("W2", "W14"),
    "W2": ("W14",),
    "W13": ("W14",),
}
"""Symptoms by cause, causes in the order of repair: what another flag, raised as well, explains needs no step."""
_ORDER = (*_EXPLAINS, "W3", "W1", "W4", "W5", "W8", "W14", "W11", "W15", "W12")
_ALWAYS = (
    "compare the model with its non-spiking twin on the whole test set: art_snn.compare, or art-snn compare",
    "attack it with everything at once, on 1000 samples or more: SNNAutoAttack(classifier, eps=..., preset='standard')",
    "repeat with other training seeds: one network is one draw",
)
_AFTER_REPAIR = (
    "then run the doctor again: a fault hides others behind it",
    "quote no robustness of this model until no E flag is left; what attacks leave of it is not a lower bound",
    "check the repair on a model of which you know the answer: art_snn.testing.CANARIES has honest ones",
)
STEPS = 3


@dataclass(frozen=True)
class ReliabilityReport:
    """The result of :func:`~art_snn.evaluation.diagnose`.

    :param flags: every flag by identifier, raised or not; none can be left out.
    :param layers: spiking (or rectifying) layers on the clean samples.
    :param cosines: mean cosine between gradients under different policies.
    :param about: budget, seed, sizes, accuracies and seconds.
    :raises ValueError: if a flag is left out.

    >>> flags = {name: Flag(name, raised=name == "W1", value=0.0, threshold=0.0, text="") for name in CHECKS}
    >>> report = ReliabilityReport(flags)
    >>> report.valid, [flag.id for flag in report.raised]
    (True, ['W1'])
    """

    flags: dict[str, Flag]
    layers: list[LayerState] = field(default_factory=list)
    cosines: dict[str, dict[str, float]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in CHECKS if name not in self.flags]
        if missing:
            came = f"a report without {', '.join(missing)}"
            raise ValueError(explain(came, "every flag, raised or not", "take the report of diagnose as it is"))

    @property
    def valid(self) -> bool:
        """Whether no flag makes the model's numbers worthless."""
        return not any(flag.raised and flag.invalidates for flag in self.flags.values())

    @property
    def raised(self) -> list[Flag]:
        """The flags that were raised, invalidating ones first."""
        return [flag for flag in self.flags.values() if flag.raised]

    @property
    def causes(self) -> dict[str, list[str]]:
        """Raised flags that no other one explains, in the order of repair, and what each explains."""
        raised = {flag.id for flag in self.raised}
        found: dict[str, list[str]] = {}
        explained: set[str] = set()
        for name in _ORDER:
            if name in raised and name not in explained:
                found[name] = [other for other in _EXPLAINS.get(name, ()) if other in raised - explained - set(found)]
                explained |= set(found[name])
        return dict(sorted(found.items(), key=lambda entry: not self._grave(*entry)))

    def _grave(self, name: str, explained: list[str]) -> bool:
        """Whether a cause invalidates, by itself or by what it explains."""
        return any(self.flags[one].invalidates for one in (name, *explained))

    @property
    def next_steps(self) -> list[str]:
        """The three most useful things to do: repair causes, not their symptoms, then measure more."""
        steps = []
        for name, explained in self.causes.items():
            flag = self.flags[name]
            also = f"; explains {', '.join(explained)}" if explained else ""
            steps.append(f"{name}: {flag.text} ({flag.page}{also})")
        return [*steps, *(_ALWAYS if self.valid else _AFTER_REPAIR)][:STEPS]

    def table(self) -> Table:
        """One row per flag: verdict, value, limit, samples, rule."""
        return Table(
            ["flag", "verdict", "value", "limit", "samples", "rule"],
            [
                [f.id, f.verdict, f"{f.value:.4g}", f"{f.threshold:.4g}", str(f.samples), f.rule]
                for f in self.flags.values()
            ],
        )

    def layer_table(self) -> Table:
        """One row per layer; numbers over time are means, with the first and last step."""
        rows = [
            [s.name, s.kind, _over_time(s.rate), f"{s.dead:.0%}", f"{s.saturated:.0%}", _over_time(s.overlap),
             _over_time(s.zero_gradient)]
            for s in self.layers
        ]  # fmt: skip
        return Table(["layer", "kind", "rate", "dead", "saturated", "overlap", "zero gradient"], rows)

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": "diagnosis", "valid": self.valid, "flags": [flag.record() for flag in self.flags.values()],
            "layers": [layer.record() for layer in self.layers], "cosines": self.cosines, **self.about,
            "next_steps": self.next_steps,
        }  # fmt: skip

    def __str__(self) -> str:
        head = "valid" if self.valid else "invalid: no robustness can be read from attacks on this model"
        raised = "\n".join(f"{flag.id}: {flag.text} ({flag.page})" for flag in self.raised)
        return f"{head}\n\n{self.table()}\n\n{raised}"


def _over_time(values: list[float]) -> str:
    """Mean over the steps, and the way from the first to the last.

    >>> _over_time([0.0, 0.5]), _over_time([0.25]), _over_time([])
    ('25% (0% to 50%)', '25%', '-')
    """
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{mean:.0%}" if len(values) == 1 else f"{mean:.0%} ({values[0]:.0%} to {values[-1]:.0%})"
