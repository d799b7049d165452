"""The result of a comparison: worst case per sample, intervals, and the flags first."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from art_snn.errors import explain, suggest
from art_snn.evaluation.attacks import attack_named
from art_snn.evaluation.aurc import areas
from art_snn.evaluation.bootstrap import Term
from art_snn.evaluation.draws import unpack, worst_draws
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.paired import Difference, contrast
from art_snn.evaluation.statistics import Proportion, proportion, seed_spread
from art_snn.evaluation.table import Table
from art_snn.evaluation.verdict import PairedTest, paired_tests

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]

_BROKEN = 0.05
"""Worst-case accuracy below which a model counts as broken."""
_MATCHED = 0.01
"""Clean accuracies that differ by more are not matched."""
_CREDIBLE = ("auto-standard", "auto-thorough")
"""Attacks that are a suite of several surrogates, losses and a query attack."""
_ENERGIES = {"energy_nj": ("plain", "compute"), "cached_nj": ("cached", "compute"), "memory_nj": ("plain", "memory")}


@dataclass
class Comparison:
    """What was measured on every model, on the same samples under the same attacks.

    :param models: names, in the order given.
    :param attacks: names of the attacks that ran.
    :param eps: L-infinity budgets in input units, ascending.
    :param clean: outcomes without attack per model, ``[N]``, or ``[S, N]`` for networks of S training seeds.
    :param outcomes: outcomes under attack, of the same shape, per model, attack and budget.
    :param flags: reliability flags per model; of several networks the raised ones count.
    :param records: the raw records behind it all.
    :param transfer: outcomes of the second model on what was made against the first, per pair and budget.
    :param seed: seed of the bootstrap.
    :param norm: of the budgets: ``inf``, 2 or 1.
    :param images: a few clean and adversarial samples per model, for the report.

    >>> right, broken = np.ones(4, dtype=bool), np.array([True, True, True, False])
    >>> result = Comparison(["snn"], ["pgd"], [0.1], {"snn": right}, {("snn", "pgd", 0.1): broken}, {"snn": []})
    >>> result.accuracy("snn", eps=0.1).value, result.valid("snn")
    (0.75, True)
    """

    models: list[str]
    attacks: list[str]
    eps: list[float]
    clean: dict[str, Array]
    outcomes: dict[tuple[str, str, float], Array]
    flags: dict[str, list[Flag]]
    records: list[dict[str, Any]] = field(repr=False, default_factory=list)
    images: dict[str, Any] = field(repr=False, default_factory=dict)
    transfer: dict[tuple[str, str, float], Array] = field(repr=False, default_factory=dict)
    seed: int = 0
    norm: float = np.inf
    _tests: list[PairedTest] | None = field(repr=False, default=None, init=False)

    def worst_case(self, model: str, eps: float) -> Array:
        """Samples that stay correct under every attack of at most this budget, transferred ones included.

        :return: booleans ``[N]``, or ``[S, N]``.
        """
        robust = self.clean[model].copy()
        for (name, _, level), correct in self.outcomes.items():
            if name == model and level <= eps:
                robust &= correct
        for (_, name, level), correct in self.transfer.items():
            if name == model and level <= eps:
                robust &= correct
        return robust

    def networks(self, model: str) -> int:
        """Networks of different training seeds behind a model."""
        return len(np.atleast_2d(self.clean[model]))

    @property
    def usable(self) -> list[str]:
        """Models that no flag invalidates."""
        return [model for model in self.models if self.valid(model)]

    def transferred(self, model: str, eps: float) -> Proportion | None:
        """Accuracy under what was made against all other models; ``None`` where nothing was transferred."""
        rows = [row for (_, name, level), row in self.transfer.items() if name == model and level == eps]
        return proportion(np.logical_and.reduce(rows)) if rows else None

    def gap(self, model: str, eps: float) -> dict[str, float] | None:
        """Accuracy left by attacks that look inside and by those that do not, transfer among these.

        :return: ``white``, ``black``, and ``only_black``, the share of samples that only the latter break; ``None``
            where one kind did not run.
        """
        kinds: dict[bool, list[Array]] = {True: [], False: []}
        for attack in self.attacks:
            knowledge = attack_named(attack).knowledge
            if knowledge != "none":
                kinds[knowledge == "white-box"].append(np.atleast_2d(self.outcomes[model, attack, eps]))
        kinds[False] += [
            np.atleast_2d(row) for (_, m, level), row in self.transfer.items() if m == model and level == eps
        ]
        if not kinds[True] or not kinds[False]:
            return None
        clean = np.atleast_2d(self.clean[model])
        white, black = (clean & np.logical_and.reduce(kinds[kind]) for kind in (True, False))
        shares = {"white": white.mean(), "black": black.mean(), "only_black": (white & ~black).mean()}
        return {name: float(share) for name, share in shares.items()}

    def conditional(self, model: str, eps: float) -> Proportion | None:
        """Worst case on the samples that every usable model classifies right, so that clean accuracy is matched.

        :return: ``None`` if there is no such sample.
        """
        shared = np.logical_and.reduce([np.atleast_2d(self.clean[name]).all(0) for name in self.usable or self.models])
        rows = np.atleast_2d(self.worst_case(model, eps))[:, shared]
        return proportion(rows) if rows.size else None

    def tests(self) -> list[PairedTest]:
        """Every pair of usable models at every budget above 0, see :mod:`art_snn.evaluation.verdict`."""
        if self._tests is None:
            budgets = [eps for eps in self.eps if eps > 0]
            worst = {model: {eps: self.worst_case(model, eps) for eps in budgets} for model in self.usable}
            self._tests = paired_tests(worst, seed=self.seed)
        return self._tests

    def aurc(self, model: str, other: str | None = None) -> Difference:
        """Area under the worst-case curve from 0 to the largest budget, or its difference to another model's.

        :raises ValueError: if no budget above 0 was run.
        """
        terms = [Term(areas(self._curve(model)))]
        if other is None:
            return contrast(terms, bounds=(0.0, 1.0), seed=self.seed)
        return contrast([*terms, Term(areas(self._curve(other)), sign=-1)], seed=self.seed)

    def _curve(self, model: str) -> dict[float, Array]:
        return {0.0: self.clean[model], **{eps: self.worst_case(model, eps) for eps in self.eps if eps > 0}}

    def expected(self, model: str, eps: float) -> Difference | None:
        """Expected accuracy of one evaluation draw in the worst case, see :mod:`art_snn.evaluation.draws`.

        :param eps: the budget; 0 for clean samples.
        :return: with an interval over seeds, samples and draws; ``None`` for a model that is not random.
        """
        found: dict[int, list[Array]] = {}
        for record in self.records:
            counts = record["kind"] == "clean" or record.get("attack") in self.attacks
            if counts and record["model"] == model and "draws" in record and record.get("eps", 0.0) <= eps:
                outcomes = unpack(record["draws"], self.clean[model].shape[-1])
                found.setdefault(record["network"], []).append(outcomes)
        if not found:
            return None
        worst = np.stack([worst_draws(cells) for _, cells in sorted(found.items())])
        return contrast([Term(worst.mean(1), worst.shape[1])], bounds=(0.0, 1.0), seed=self.seed)

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
        telling = [
            eps for eps in self.eps if any(self.accuracy(model, None, eps).value > _BROKEN for model in self.usable)
        ]
        return max(telling, default=self.eps[-1])

    def table(self) -> Table:
        """One row per model and budget: clean, each attack, worst case (percent, 95 % interval), flags."""
        several = any(self.networks(model) > 1 for model in self.models)
        rows = []
        for model in self.models:
            marks = " ".join(flag.id for flag in self.raised(model)) or "-"
            for eps in self.eps:
                each = [f"{100 * self.accuracy(model, attack, eps).value:.1f}" for attack in self.attacks]
                if self.transfer:
                    moved = self.transferred(model, eps)
                    each.append("-" if moved is None else f"{100 * moved.value:.1f}")
                worst = str(self.accuracy(model, None, eps)) if self.valid(model) else "invalid"
                spread = [self._spread(model, eps)] if several else []
                rows.append(
                    [model, f"{eps:.4g}", f"{100 * self.accuracy(model).value:.1f}", *each, *spread, worst, marks]
                )
        columns = [*self.attacks, *(["transfer"] if self.transfer else []), *(["over seeds"] if several else [])]
        return Table(["model", f"eps (L{self.norm:g})", "clean", *columns, "worst case [95 %]", "flags"], rows)

    def _spread(self, model: str, eps: float) -> str:
        spread = seed_spread(self.worst_case(model, eps))
        return "-" if spread is None else f"± {100 * spread:.1f}"

    def verdict(self) -> list[str]:
        """What may be said at :attr:`telling_eps`, in sentences that obey the flags, intervals and paired tests."""
        eps = self.telling_eps
        lines = [
            f"{model}: invalid ({', '.join(flag.id for flag in self.raised(model) if flag.invalidates)}); "
            "no robustness can be read from these attacks."
            for model in self.models
            if not self.valid(model)
        ]
        ranked = sorted(self.usable, key=lambda model: -self.accuracy(model, None, eps).value)
        lines += [f"{model}: {self.accuracy(model, None, eps)} % left at eps = {eps:.4g}." for model in ranked]
        tests = {frozenset((test.first, test.second)): test for test in self.tests() if test.eps == eps}
        pairs = [tests[frozenset(pair)] for pair in pairwise(ranked) if frozenset(pair) in tests]
        if len(ranked) > 2 and frozenset((ranked[0], ranked[-1])) in tests:
            pairs.append(tests[frozenset((ranked[0], ranked[-1]))])
        return [*lines, *(test.sentence() for test in pairs), *self._cautions()]

    def _cautions(self) -> list[str]:
        lines = []
        clean = [self.accuracy(model).value for model in self.usable]
        if clean and max(clean) - min(clean) > _MATCHED:
            lines.append(
                f"Clean accuracies differ by {100 * (max(clean) - min(clean)):.1f} points: compare the worst case on "
                "the samples that all models classify right as well."
            )
        if not any(name in _CREDIBLE for name in self.attacks):
            lines.append("Preliminary: no adaptive suite ran; add one with --preset standard.")
        return lines

    def plot(self, ax: Axes | None = None, kind: str = "security_curves") -> Axes:
        """Draw one of the report's figures.

        :param ax: axes to draw into; a new figure without them.
        :param kind: ``security_curves``, ``attacks``, ``ladder``, ``transfer``, ``pareto``, ``over_time``,
            ``decisions``, ``raster``, ``convergence``, ``surrogates``, ``gradient_norms``, ``cosines`` or
            ``certificates``.
        :raises ValueError: for another kind, or one that nothing was measured for.
        """
        from art_snn.evaluation.plots import PLOTS, plain_text

        if kind not in PLOTS:
            raise ValueError(suggest(kind, PLOTS, "plot"))
        with plain_text():
            axes: Axes = PLOTS[kind](self, ax)
        return axes

    @property
    def source(self) -> str:
        """The attack whose examples were transferred and whose effect on operations was measured; may be empty."""
        return next((r["attack"] for r in self.records if r["kind"] == "transfer"), "") or next(
            (r["attack"] for r in self.records if r["kind"] == "work" and r["attack"]), ""
        )

    def measured(self, kind: str, model: str, *, attacked: bool) -> list[dict[str, Any]]:
        """The records of one kind (``work``, ``time``) of a model's networks, clean or under :attr:`source`."""
        return [
            record
            for record in self.records
            if record["kind"] == kind and record.get("model") == model and (record["attack"] is not None) == attacked
        ]

    def work(self, model: str, *, attacked: bool = False, energy: str = "45nm-fp32") -> dict[str, float]:
        """Operations, firing rate and energy of one prediction, means over networks; empty if not measured.

        :param attacked: on adversarial samples.
        :param energy: name of the energy model, for ``energy_nj``, ``cached_nj`` and ``memory_nj``.
        """
        records = self.measured("work", model, attacked=attacked)
        if not records:
            return {}
        parts = ("T", "acs", "macs", "macs_cached", "dense", "updates", "parameters")
        found = {part: float(np.mean([record[part] for record in records])) for part in parts}
        rates = [record["rate"] for record in records if record["rate"] is not None]
        found |= {"rate": float(np.mean(rates))} if rates else {}
        for name, (kind, part) in _ENERGIES.items():
            found[name] = float(np.mean([record["energy"][energy][kind][part] for record in records])) / 1000
        steps = [record["mean_step"] for record in self.measured("time", model, attacked=attacked)]
        return found | ({"mean_step": float(np.mean(steps))} if steps else {})

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.html``, ``results.jsonl`` and the figures.

        :return: the path of the report.
        :raises OSError: if the folder cannot be written.
        """
        from art_snn.evaluation.report import write_report

        return write_report(self, Path(folder))

    def cost(self, model: str) -> dict[str, float]:
        """Samples sent forward, samples differentiated and, where taken, seconds, over all of the model's cells."""
        cells = [
            record for record in self.records if record.get("model") == model and record["kind"] in ("clean", "attack")
        ]
        parts = ["forwards", "backwards", *(["seconds"] if any("seconds" in cell for cell in cells) else [])]
        return {part: sum(cell.get(part, 0) for cell in cells) for part in parts}

    def __str__(self) -> str:
        return f"{self.table()}\n\n" + "\n".join(self.verdict())
