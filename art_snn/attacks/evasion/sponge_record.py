"""What an energy attack did to each sample, beside what plain brightening does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SpongeRun:
    """The record of one ``generate``; arrays have one entry per sample, energies are synaptic operations.

    ``clean``, ``adversarial`` and ``baseline`` are the energies of the clean sample, of what the attack returned and of
    the brightness baseline; ``label_kept`` and ``baseline_label_kept`` tell whether the label survived.
    ``per_event_clean`` and ``per_event`` divide by the size of the input: events, or brightness of a direct code summed
    over the steps. ``usage`` is the distance from the clean sample, ``trace`` ``[steps, N]`` the energy of the best
    point accepted so far. ``initially_wrong`` samples were left alone.

    :param forwards: forward passes.
    :param backwards: backward passes.
    :param zero_gradients: steps without any gradient.
    :param threat: the budget with its norm.
    :param policy: how gradients crossed a spike; ``None`` is the network's own surrogate.

    >>> clean, sponge, bright = np.array([100.0]), np.array([300.0]), np.array([150.0])
    >>> yes, zero, ten = np.array([True]), np.array([0]), np.array([10])
    >>> cost = (ten, ten, zero, sponge[None])
    >>> run = SpongeRun(clean, sponge, bright, yes, yes, clean, sponge, bright, ~yes, *cost, "Linf(0.1)")
    >>> run.beats_baseline.tolist()
    [True]
    """

    clean: Array
    adversarial: Array
    baseline: Array
    label_kept: Array
    baseline_label_kept: Array
    per_event_clean: Array
    per_event: Array
    usage: Any
    initially_wrong: Array
    forwards: Array
    backwards: Array
    zero_gradients: Array
    trace: Array
    threat: str
    policy: str | None = None

    @property
    def beats_baseline(self) -> Array:
        """Where the attack costs strictly more energy than the baseline; bool ``[N]``."""
        return self.adversarial > self.baseline

    @property
    def summary(self) -> dict[str, float]:
        """Mean energies relative to the clean ones, and shares of the attacked samples."""
        on = ~self.initially_wrong
        if not on.any():
            return {}
        total = self.clean[on].sum() or 1.0
        return {
            "clean": float(self.clean[on].mean()),
            "attack_ratio": float(self.adversarial[on].sum() / total),
            "baseline_ratio": float(self.baseline[on].sum() / total),
            "label_kept": float(self.label_kept[on].mean()),
            "baseline_label_kept": float(self.baseline_label_kept[on].mean()),
            "beats_baseline": float(self.beats_baseline[on].mean()),
            "per_event_clean": float(self.per_event_clean[on].mean()),
            "per_event": float(self.per_event[on].mean()),
        }
