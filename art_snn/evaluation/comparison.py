"""The result of a comparison: worst case per sample, intervals, and the flags first."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from art_snn.errors import explain
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.statistics import Proportion, proportion
from art_snn.evaluation.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]

_BROKEN = 0.05
"""Worst-case accuracy below which a model counts as broken."""


@dataclass
class Comparison:
    """What was measured on every model, on the same samples under the same attacks.

    :param models: names, in the order given.
    :param attacks: names of the attacks that ran.
    :param eps: L-infinity budgets in input units, ascending.
    :param clean: outcomes without attack, ``[N]`` per model.
    :param outcomes: outcomes under attack, ``[N]`` per model, attack and budget.
    :param flags: reliability flags per model.
    :param records: the raw records behind it all.
    """

    models: list[str]
    attacks: list[str]
    eps: list[float]
    clean: dict[str, Array]
    outcomes: dict[tuple[str, str, float], Array]
    flags: dict[str, list[Flag]]
    records: list[dict[str, Any]] = field(repr=False, default_factory=list)
    images: dict[str, Any] = field(repr=False, default_factory=dict)

    def worst_case(self, model: str, eps: float) -> Array:
        """Samples that stay correct under every attack of at most this budget, boolean ``[N]``."""
        robust = self.clean[model].copy()
        for (name, _, level), correct in self.outcomes.items():
            if name == model and level <= eps:
                robust &= correct
        return robust

    def accuracy(self, model: str, attack: str | None = None, eps: float | None = None) -> Proportion:
        """Share of correct samples: clean, under one attack, or (``attack=None`` with a budget) in the worst case.

        :raises KeyError: for a model, attack or budget that was not run.
        """
        if eps is None:
            return proportion(self.clean[model])
        if eps not in self.eps:
            raise KeyError(explain(f"eps={eps}", f"one of {self.eps}", f"eps={self.eps[-1]}"))
        return proportion(self.worst_case(model, eps) if attack is None else self.outcomes[model, attack, eps])

    def raised(self, model: str) -> list[Flag]:
        """The flags of one model that were raised, invalidating ones first."""
        return sorted((flag for flag in self.flags[model] if flag.raised), key=lambda flag: flag.id)

    def valid(self, model: str) -> bool:
        """Whether no flag invalidates the model's numbers."""
        return not any(flag.invalidates for flag in self.raised(model))

    @property
    def telling_eps(self) -> float:
        """The largest budget that does not break every usable model: the one that tells models apart."""
        usable = [model for model in self.models if self.valid(model)]
        telling = [eps for eps in self.eps if any(self.accuracy(model, None, eps).value > _BROKEN for model in usable)]
        return max(telling, default=self.eps[-1])

    def table(self) -> Table:
        """One row per model and budget: clean, each attack, worst case (percent, 95 % interval), flags."""
        rows = []
        for model in self.models:
            marks = " ".join(flag.id for flag in self.raised(model)) or "-"
            for eps in self.eps:
                each = [f"{100 * self.accuracy(model, attack, eps).value:.1f}" for attack in self.attacks]
                worst = str(self.accuracy(model, None, eps)) if self.valid(model) else "invalid"
                rows.append([model, f"{eps:.4g}", f"{100 * self.accuracy(model).value:.1f}", *each, worst, marks])
        return Table(["model", "eps (Linf)", "clean", *self.attacks, "worst case [95 %]", "flags"], rows)

    def verdict(self) -> list[str]:
        """What may be said at :attr:`telling_eps`, in sentences that obey the flags and the intervals."""
        usable = [model for model in self.models if self.valid(model)]
        eps = self.telling_eps
        lines = [
            f"{model}: invalid ({', '.join(flag.id for flag in self.raised(model) if flag.invalidates)}); "
            "no robustness can be read from these attacks."
            for model in self.models
            if model not in usable
        ]
        ranked = sorted(usable, key=lambda model: -self.accuracy(model, None, eps).value)
        lines += [f"{model}: {self.accuracy(model, None, eps)} % left at eps = {eps:.4g}." for model in ranked]
        for first, second in pairwise(ranked):
            better, worse = self.accuracy(first, None, eps), self.accuracy(second, None, eps)
            if better.low <= worse.high:
                lines.append(f"The intervals of {first} and {second} overlap: no difference is shown.")
        return lines

    def plot(self, ax: Axes | None = None) -> Axes:
        """Security curves: worst-case accuracy over the budget, with 95 % bands."""
        from art_snn.evaluation.plots import security_curves

        return security_curves(self, ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.html``, ``results.jsonl`` and the figures.

        :return: the path of the report.
        :raises OSError: if the folder cannot be written.
        """
        from art_snn.evaluation.report import write_report

        return write_report(self, Path(folder))

    def summary_records(self) -> list[dict[str, Any]]:
        """The numbers of table and report as records, so that each has a line behind it."""
        totals = [{"key": f"cost-{model}", "kind": "cost", "model": model, **self.cost(model)} for model in self.models]
        return totals + [
            {
                "key": f"summary-{model}-{eps!r}", "kind": "summary", "model": model, "eps": eps,
                "clean": self.accuracy(model).record(), "worst_case": self.accuracy(model, None, eps).record(),
                "valid": self.valid(model), "flags": [flag.id for flag in self.raised(model)],
            }
            for model in self.models
            for eps in self.eps
        ]  # fmt: skip

    def cost(self, model: str) -> dict[str, float]:
        """Samples sent forward, samples differentiated and seconds, over all of the model's cells."""
        cells = [
            record for record in self.records if record.get("model") == model and record["kind"] in ("clean", "attack")
        ]
        return {part: sum(cell.get(part, 0) for cell in cells) for part in ("forwards", "backwards", "seconds")}

    def __str__(self) -> str:
        return f"{self.table()}\n\n" + "\n".join(self.verdict())
