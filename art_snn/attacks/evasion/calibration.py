r"""Choose how to take gradients, on samples that are not evaluated.

Each candidate runs its own attack (Auto-PGD on cross entropy, any visited success). The one that leaves the lowest
robust accuracy wins, the higher mean loss decides ties. For a stochastic model the number of draws per gradient is the
smallest n with :math:`\cos(g_n, g_{8n}) > 0.95` on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion import losses
from art_snn.attacks.evasion.candidates import Candidate, code_backward, code_backwards, own, sharper
from art_snn.attacks.evasion.draws import sample_ids
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.victim import Victim
from art_snn.errors import explain

DRAWS = (1, 2, 5, 10, 20)
"""Numbers of draws per gradient that are tried."""

_PER_FAMILY = 2
_SAME = 0.95
_SAMPLES = 32


@dataclass(frozen=True)
class Ranked:
    """How one candidate did on the calibration split."""

    candidate: Candidate
    robust_accuracy: float
    mean_loss: float


Trial = Callable[[Candidate], NativeAttack]
"""Makes the trial attack of a candidate."""


def rank(grid: Sequence[Candidate], trial: Trial, model: Any, x: Any, y: Any) -> list[Ranked]:
    """All candidates, the strongest first; candidates that a neuron of the model cannot follow are left out.

    The backward pass of the spike code, where there is a choice, is settled first with the model's own surrogate and
    the second candidate; the grid then runs with the better one. A winner at the edge of the grid extends it.
    """
    backwards = code_backwards(model)
    probes = [replace(one, backward=b) for b in backwards for one in grid[:2]] if len(backwards) > 1 else []
    ranked = _ranked(probes, trial, model, x, y)
    backward = ranked[0].candidate.backward if ranked else backwards[0]
    done = {(r.candidate.name, r.candidate.backward) for r in ranked}
    rest = [replace(one, backward=backward) for one in grid if (one.name, backward) not in done]
    ranked = sorted([*ranked, *_ranked(rest, trial, model, x, y)], key=_order)
    beyond = [replace(one, backward=backward) for one in sharper(ranked[0].candidate)]
    return sorted([*ranked, *_ranked(beyond, trial, model, x, y)], key=_order)


def final_round(ranked: Sequence[Ranked], places: int, trial: Trial, model: Any, x: Any, y: Any) -> list[Ranked]:
    """The best candidates again, at the length of the evaluation: at most two of a family, the rest as they were.

    Short runs favor flat surrogates, whose gradients reach far from the start; sharp ones win in the long run.
    """
    chosen: list[Ranked] = []
    for one in ranked:
        same = sum(other.candidate.family == one.candidate.family for other in chosen)
        if same < _PER_FAMILY and len(chosen) < places:
            chosen.append(one)
    again = _ranked([one.candidate for one in chosen], trial, model, x, y)
    return [*again, *(one for one in ranked if one not in chosen)]


def _ranked(candidates: Iterable[Candidate], trial: Trial, model: Any, x: Any, y: Any) -> list[Ranked]:
    found = []
    for candidate in candidates:
        if not follows(candidate, model):
            continue
        attack = trial(candidate)
        with code_backward(model, candidate.backward):
            attack.generate(x, y)
        run = attack.record
        loss = run.best_loss[np.isfinite(run.best_loss)]
        mean = float(loss.mean()) if len(loss) else 0.0
        found.append(Ranked(candidate, run.summary["robust_accuracy"], mean))
    return sorted(found, key=_order)


def _order(one: Ranked) -> tuple[float, float]:
    return one.robust_accuracy, -one.mean_loss


def follows(candidate: Candidate, model: Any) -> bool:
    """Whether every neuron of the model can follow the candidate's policy."""
    if candidate.policy is None:
        return True
    try:
        candidate.policy.check(model)
    except ValueError:
        return False
    return True


def baseline(ranked: Sequence[Ranked]) -> float | None:
    """Robust accuracy that the network's own surrogate left, at its best backward of the code."""
    return min((one.robust_accuracy for one in ranked if one.candidate.name == own().name), default=None)


def enough_draws(victim: Victim, x: Tensor, y: Tensor) -> int:
    """Draws per gradient of a stochastic model: see the module's text."""
    x, y = x[:_SAMPLES], y[:_SAMPLES]
    ids = sample_ids(x)

    def gradient(draws: int, step: int) -> Tensor:
        victim.eot = draws
        seen = victim.query(x, lambda z: losses.ce(z, y), ids, step, gradient=True)
        return seen.ascent.flatten(1)

    for draws in DRAWS:
        cosine = torch.cosine_similarity(gradient(draws, 0), gradient(8 * draws, 1), dim=1)
        if float(cosine.mean()) > _SAME:
            return draws
    return DRAWS[-1]


def check_split(x: Any, calibration: Any) -> None:
    """Refuse a calibration split that shares samples with the evaluation.

    :raises ValueError: if it does.
    """
    one, two = (set(sample_ids(torch.as_tensor(np.asarray(part, dtype=np.float32)))) for part in (x, calibration))
    if one & two:
        came = f"{len(one & two)} evaluation samples in the calibration split"
        raise ValueError(explain(came, "two disjoint sets of samples", "calibrate on a part that is not evaluated"))
