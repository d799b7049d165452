"""One call of :class:`SNNAutoAttack`: the rungs of its ladder, each on what the ones before it left standing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from art.config import ART_NUMPY_DTYPE
from tqdm.auto import tqdm

from art_snn.attacks.evasion import calibration as cal
from art_snn.attacks.evasion.arguments import index_labels
from art_snn.attacks.evasion.candidates import Candidate, code_backward, fixed_set, full_grid, own, small_grid
from art_snn.attacks.evasion.draws import key, sample_ids
from art_snn.attacks.evasion.fab import FAB
from art_snn.attacks.evasion.ladder import (
    HEADER,
    PLATEAU,
    PRESETS,
    Array,
    Climb,
    LadderRow,
    Preset,
    SuiteRun,
    first_success,
)
from art_snn.attacks.evasion.latency_pgd import LatencyPGD, knows_timing
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.preflight import preflight
from art_snn.attacks.evasion.random_corners import RandomCorners
from art_snn.attacks.evasion.record import AttackRun
from art_snn.attacks.evasion.snn_auto_pgd import SNNAutoPGD
from art_snn.attacks.evasion.snn_square import SNNSquare
from art_snn.attacks.evasion.stable_adaptive_pgd import StableAdaptivePGD
from art_snn.attacks.evasion.transfer import Transfer
from art_snn.attacks.evasion.victim import Victim
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork

if TYPE_CHECKING:
    from art_snn.attacks.evasion.snn_auto_attack import SNNAutoAttack

logger = logging.getLogger(__name__)

_FINAL_RESTARTS = 3
_LATENCY_RESTARTS = 3
_JUDGE = 10**6
"""Salt of the draws of the last vote: no attack has seen them."""


class Ascent:
    """One call of :meth:`SNNAutoAttack.generate`."""

    def __init__(self, suite: SNNAutoAttack, clean: Array, y: Any, mask: Any) -> None:
        self.suite, self.clean, self.mask = suite, clean, mask
        self.plan = suite.preset if isinstance(suite.preset, Preset) else PRESETS[suite.preset]
        self.model = suite.estimator.model
        self.spiking = isinstance(self.model, SpikingNetwork)
        self.eot = suite.eot
        self.start = time.perf_counter()
        victim = Victim(suite.estimator, None, suite.eot, suite.votes, suite.seed)
        self.x = torch.as_tensor(clean, device=victim.device)
        self.ids = sample_ids(self.x)
        with victim.attached():
            predicted = self._decided(victim, self.x, 0)
            labels = index_labels(y, len(clean), suite.estimator.nb_classes, False, predicted)
            self.preflight = preflight(victim, self.x, labels, suite.threat)
        self.votes = victim.votes
        self.state = Climb(clean, labels.cpu().numpy(), (predicted != labels).cpu().numpy())
        self.state.forwards += victim.votes
        self.ranked: list[cal.Ranked] = []
        self.calibration_cost = (0, 0)
        self.gap: float | None = None

    def climb(self) -> SuiteRun:
        """All rungs, then the last confirmation."""
        with tqdm(total=1, disable=not self.suite.progress, bar_format="{desc}") as bar:
            self.say: Callable[[str], None] = bar.write if self.suite.progress else logger.debug
            self.say(HEADER)
            self._note("clean", "", len(self.clean), int(self.state.wrong.sum()), 0, 0)
            self._untuned()
            if len(self.state.open):
                candidates = self._choose()
                self._main(candidates)
                self._diverse(candidates)
                self._without_gradient()
            unconfirmed = self._confirm()
        return self._report(unconfirmed)

    def _untuned(self) -> None:
        """One run of the first fixed policy, where a calibration is to come."""
        if not self.spiking or self.votes > 1 or self.suite.calibration is None:
            return
        candidate = self._fixed()[0]
        self._rung("apgd-ce, fixed", candidate, self._make(SNNAutoPGD, candidate, self.plan.steps, 50), comparable=True)

    def _fixed(self) -> list[Candidate]:
        """The fixed policies that the model can follow."""
        return [one for one in fixed_set() if cal.follows(one, self.model)] or [own()]

    def _choose(self) -> list[Candidate]:
        """Candidates in order of strength; a single one for a network without spikes."""
        if not self.spiking:
            self._choose_draws()
            return [own()]
        if self.suite.calibration is None:
            return self._fixed()
        self._choose_draws()
        x, y = self.suite.calibration
        trials: list[NativeAttack] = []

        def trial(candidate: Candidate, steps: int = self.plan.calibration_steps, restarts: int = 1) -> NativeAttack:
            trials.append(self._make(SNNAutoPGD, candidate, steps, 0, nb_random_init=restarts))
            return trials[-1]

        def final(candidate: Candidate) -> NativeAttack:
            return trial(candidate, self.plan.steps, _FINAL_RESTARTS)

        grid = full_grid() if self.plan.full_grid and self.votes == 1 else small_grid()
        self.ranked = cal.rank(grid, trial, self.model, np.asarray(x, dtype=ART_NUMPY_DTYPE), y)
        looked = cal.baseline(self.ranked)
        self.gap = None if looked is None else looked - self.ranked[0].robust_accuracy
        if self.plan.finalists and self.votes == 1:
            self.ranked = cal.final_round(self.ranked, self.plan.finalists, final, self.model, x, y)
        runs = [attack.record for attack in trials]
        spent = (sum(int(run.forwards.sum()) for run in runs), sum(int(run.backwards.sum()) for run in runs))
        self.calibration_cost = spent
        self._note("calibration", self.ranked[0].candidate.label, 0, 0, *spent)
        return [one.candidate for one in self.ranked]

    def _choose_draws(self) -> None:
        """Draws per gradient of a stochastic model, on the calibration split."""
        if self.votes == 1 or self.suite.eot is not None or self.suite.calibration is None:
            return
        victim = Victim(self.suite.estimator, None, None, None, self.suite.seed)
        x, y = self.suite.calibration
        samples = torch.as_tensor(np.asarray(x, dtype=ART_NUMPY_DTYPE), device=victim.device)
        with victim.attached():
            labels = index_labels(y, len(samples), self.suite.estimator.nb_classes, False, self.x)
            self.eot = cal.enough_draws(victim, samples, labels.to(victim.device))

    def _main(self, candidates: list[Candidate]) -> None:
        """Restarts of the best policy, or of the fixed ones in turns, until the robust accuracy stands still.

        Where few samples are left, several restarts share a batch.
        """
        turns = candidates[:1] if self.ranked or not self.spiking else candidates
        reached = [self.state.robust_accuracy]
        least, most = self.plan.restarts
        done = 0
        while done < most and len(self.state.open) and not (done >= least and self._stands_still(reached)):
            room = self.suite.batch_size // len(self.state.open) if len(turns) == 1 and done else 1
            copies = max(min(room, self.plan.patience, most - done), 1)
            candidate = turns[done % len(turns)]
            attack = self._make(SNNAutoPGD, candidate, self.plan.steps, 0)
            name = f"apgd-ce #{done + 1}" + (f"-{done + copies}" if copies > 1 else "")
            standing = len(self.state.open) / len(self.clean)
            run = self._rung(name, candidate, attack, comparable=True, first=done, copies=copies)
            reached += [] if run is None else [standing * share for share in run.robust_accuracy]
            done += copies

    def _stands_still(self, reached: list[float]) -> bool:
        patience = self.plan.patience
        return len(reached) > patience and reached[-1 - patience] - reached[-1] < PLATEAU

    def _diverse(self, candidates: list[Candidate]) -> None:
        """Other policies, losses and optimizers."""
        best, steps = candidates[0], self.plan.steps
        for number, candidate in enumerate([best, *others(candidates, self.plan.others)]):
            if self.suite.threat.norm == np.inf:
                attack = self._make(StableAdaptivePGD, candidate, steps, 100 + number)
                self._rung("sa-pgd-ce", candidate, attack, comparable=True)
            attack = self._make(SNNAutoPGD, candidate, steps, 200 + number, loss_type="margin")
            self._rung("apgd-margin", candidate, attack)
            if number:
                attack = self._make(SNNAutoPGD, candidate, steps, 300 + number)
                self._rung("apgd-ce", candidate, attack, comparable=True)
            if self._moves_spikes:
                attack = self._make(LatencyPGD, candidate, steps, 350 + number, nb_random_init=_LATENCY_RESTARTS)
                self._rung("latency-pgd", candidate, attack, comparable=True)
        if self.plan.targets:
            attack = self._make(SNNAutoPGD, best, steps, 400, loss_type="dlr_targeted", nb_targets=self.plan.targets)
            self._rung("apgd-targeted", best, attack)
        if self.plan.fab_targets and self.votes == 1:
            attack = self._make(FAB, best, self.plan.fab_steps, 500, nb_targets=self.plan.fab_targets)
            self._rung("fab", best, attack)
        if self.plan.long_steps:
            self._rung("apgd-ce, long", best, self._make(SNNAutoPGD, best, self.plan.long_steps, 600), comparable=True)

    @property
    def _moves_spikes(self) -> bool:
        """Whether the code is one whose spikes an attack can move."""
        return (
            self.spiking and knows_timing(self.model) and self.suite.threat.norm == np.inf
            and not self.suite.estimator.preprocessing_defences
        )  # fmt: skip

    def _without_gradient(self) -> None:
        """Queries, gradients of other models, and chance."""
        if self.clean.ndim in (4, 5):
            self._rung("square", None, self._make(SNNSquare, None, self.plan.square, 700))
        for number, source in enumerate(self.suite.transfer):
            self._rung(f"transfer #{number + 1}", None,
                       self._make(Transfer, None, self.plan.steps, 800 + number, source=source))  # fmt: skip
        self._rung("random corners", None, self._make(RandomCorners, None, self.plan.corners, 900))

    def _make(self, kind: Any, candidate: Candidate | None, steps: int, restart: int, **more: Any) -> NativeAttack:
        suite = self.suite
        attack: NativeAttack = kind(
            suite.estimator, norm=suite.norm, eps=suite.eps, max_iter=steps, batch_size=suite.batch_size,
            seed=key(suite.seed, restart), eot=self.eot, votes=suite.votes,
            policy=None if candidate is None else candidate.policy,
            summary_writer=suite.summary_writer or False, **more,
        )  # fmt: skip
        return attack

    def _rung(
        self, name: str, candidate: Candidate | None, attack: NativeAttack, *, comparable: bool = False,
        first: int = 0, copies: int = 1,
    ) -> AttackRun | None:  # fmt: skip
        """Put the survivors through an attack, ``copies`` restarts at a time."""
        rows = self.state.open
        if not len(rows):
            return None
        several = np.tile(rows, copies)
        mask = None if self.mask is None else np.broadcast_to(np.asarray(self.mask), self.clean.shape)[several]
        starts = np.repeat(np.arange(first, first + copies), len(rows))
        backward = nullcontext() if candidate is None else code_backward(self.model, candidate.backward)
        with backward:
            found = attack.generate(self.clean[several], self.state.labels[several], mask=mask, first_restart=starts)
        points, run = first_success(attack.record, found, copies)
        label = name if candidate is None else f"{name}, {candidate.label}"
        fell = self.state.take(label, rows, points, run, comparable=comparable)
        shown = "" if candidate is None else candidate.label
        self._note(name, shown, len(rows), fell, int(run.forwards.sum()), int(run.backwards.sum()))
        return run

    def _note(self, rung: str, gradients: str, tried: int, fell: int, forwards: int, backwards: int) -> None:
        now = time.perf_counter()
        row = LadderRow(rung, gradients, tried, fell, self.state.robust_accuracy, forwards, backwards, now - self.start)
        self.start = now
        self.state.rows.append(row)
        self.say(row.line())

    def _confirm(self) -> int:
        """Fresh forwards of the unchanged model on every success; those it takes back are no successes."""
        rows = np.flatnonzero(self.state.solved)
        victim = Victim(self.suite.estimator, None, None, self.suite.votes, self.suite.seed)
        points = torch.as_tensor(self.state.best, device=victim.device)
        if not bool(self.suite.threat.contains(self.x, points).all()):
            raise RuntimeError(
                explain("a point outside the budget", "points inside", "report this: an attack forgot to project")
            )
        lost = 0
        if len(rows):
            with victim.attached():
                decided = self._decided(victim, points, _JUDGE).cpu().numpy()
            back = rows[decided[rows] == self.state.labels[rows]]
            self.state.solved[back] = False
            self.state.broken_by[back] = ""
            lost = len(back)
        self._note("confirmed", "", len(rows), -lost, len(rows) * victim.votes, 0)
        return lost

    def _decided(self, victim: Victim, points: torch.Tensor, salt: int) -> torch.Tensor:
        pieces = torch.arange(len(points)).split(self.suite.batch_size)
        return torch.cat([victim.decide(points[p], [self.ids[i] for i in p.tolist()], salt) for p in pieces])

    def _report(self, unconfirmed: int) -> SuiteRun:
        state, suite = self.state, self.suite
        usage = suite.threat.usage(self.x, torch.as_tensor(state.best, device=self.x.device)).cpu().numpy()
        return SuiteRun(
            success=state.solved, initially_wrong=state.wrong, broken_by=state.broken_by, usage=usage,
            best_loss=state.best_loss, forwards=state.forwards, backwards=state.backwards, rows=state.rows,
            calibration=[(one.candidate.label, one.robust_accuracy) for one in self.ranked],
            calibration_cost=self.calibration_cost,
            surrogate_gap=self.gap,
            preflight=self.preflight, unconfirmed=unconfirmed, eot=self.eot or (1 if self.votes == 1 else 10),
            votes=self.votes, threat=repr(suite.threat), preset=str(suite.preset), seed=suite.seed,
        )  # fmt: skip


def others(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Up to ``count`` further candidates: the best of each other family first, then the rest in order of strength."""
    best, rest = candidates[0], list(candidates[1:])
    first: list[Candidate] = []
    for one in rest:
        if one.family not in {best.family, *(taken.family for taken in first)} and one.name != own().name:
            first.append(one)
    return [*first, *(one for one in rest if one not in first)][:count]
