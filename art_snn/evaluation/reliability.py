"""What a diagnosis says: the flags, the layers, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from art_snn.evaluation.flags.base import Flag
from art_snn.evaluation.layers import LayerState
from art_snn.evaluation.table import Table

_CAUSES_FIRST = (
    "E8", "E3", "E7", "E2", "E9", "E1", "E4", "E5", "E6", "W7", "W10", "W2", "W6", "W3", "W1", "W4", "W5", "W9", "W8",
    "W14", "W11", "W15", "W13", "W12",
)  # fmt: skip
"""Order of repair: a cause before its symptoms."""
_ALWAYS = (
    "compare the model with its non-spiking twin on the whole test set: art_snn.compare, or art-snn compare",
    "attack it with everything at once, on 1000 samples or more: SNNAutoAttack(classifier, eps=..., preset='standard')",
    "repeat with other training seeds: one network is one draw",
)
STEPS = 3


@dataclass(frozen=True)
class ReliabilityReport:
    """The result of :func:`~art_snn.evaluation.diagnose`.

    :param flags: every flag by identifier, raised or not; none can be left out.
    :param layers: spiking (or rectifying) layers on the clean samples.
    :param cosines: mean cosine between gradients under different policies.
    :param about: budget, seed, sizes, accuracies and seconds.
    """

    flags: dict[str, Flag]
    layers: list[LayerState] = field(default_factory=list)
    cosines: dict[str, dict[str, float]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether no flag makes the model's numbers worthless."""
        return not any(flag.raised and flag.invalidates for flag in self.flags.values())

    @property
    def raised(self) -> list[Flag]:
        """The flags that were raised, invalidating ones first."""
        return [flag for flag in self.flags.values() if flag.raised]

    @property
    def next_steps(self) -> list[str]:
        """The three most useful things to do: repair causes before symptoms, then measure more."""
        order = sorted(self.raised, key=lambda flag: (not flag.invalidates, _CAUSES_FIRST.index(flag.id)))
        steps = [f"{flag.id}: {flag.text} ({flag.page})" for flag in order]
        return [*steps, *_ALWAYS][:STEPS]

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
