"""Attacks on spike grids ``[N, T, *]``: what binary and count grids ask of an attack beside the common promise."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion import draws
from art_snn.attacks.evasion.arguments import numeric
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.sea import sea_step
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain
from art_snn.threats.flips import SpikeFlips


class GridAttack(NativeAttack):
    """Base class of the attacks on spike grids: :class:`NativeAttack` under :class:`~art_snn.threats.SpikeFlips`.

    :param estimator: a classifier of event frames, or ``classifier.at_spikes()`` of any other code.
    :param k: number of cells that may change, each by one event; ``math.inf`` for no limit.
    :param max_iter: steps of one run.
    :param add: whether events may be added.
    :param delete: whether events may be deleted.
    :param most: largest number of events in a cell: 1 for binary grids, ``math.inf`` for counts.
    :raises ValueError: for a parameter out of range; in ``generate``, for an empty batch, a recording without events,
        or grids with anything but whole numbers of events up to ``most``.

    The remaining parameters are those of :class:`NativeAttack`.
    """

    attack_params = ["k", "add", "delete", "most", *NativeAttack.attack_params]  # noqa: RUF012 - ART's own idiom

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 50, add: bool = True, delete: bool = True,
        most: float = 1, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.k = k
        self.add = add
        self.delete = delete
        self.most = most
        super().__init__(estimator, max_iter, **kwargs)

    def _check_params(self) -> None:
        _ = self.threat
        super()._check_params()

    @property
    def threat(self) -> SpikeFlips:
        """The threat model: at most ``k`` cells, each by one event."""
        return SpikeFlips(self.k, self.add, self.delete, self.most)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial grids; see :class:`NativeAttack`.

        :raises ValueError: as the class says.
        """
        check_grids(x, self.threat)
        return super().generate(x, y, **kwargs)

    def _first_runs(self, problem: Problem) -> Tensor:
        """Which samples are in their first run, bool ``[n]``."""
        first = [draws.key(self.seed, 0, one) == seed for one, seed in zip(problem.ids, problem.seeds, strict=True)]
        return torch.tensor(first, device=problem.x.device)


def check_grids(x: Any, threat: SpikeFlips) -> None:
    """Refuse what is no batch of recordings.

    :raises ValueError: for an empty batch, a recording without events, or illegal values in a cell.
    """
    grids = torch.as_tensor(numeric(x).astype(np.float64))
    if grids.dim() < 2 or grids.numel() == 0:
        came = f"an array of shape {tuple(grids.shape)}"
        raise ValueError(explain(came, "at least one grid [N, T, *]", "pass a batch that holds samples"))
    threat.check(grids)
    silent = (grids == 0).flatten(1).all(1).nonzero()[:, 0].tolist()
    if silent:
        came = f"{len(silent)} recordings without any event, the first at index {silent[0]}"
        raise ValueError(explain(came, "recordings with events", "leave them out: x[x.reshape(len(x), -1).any(1)]"))


class GridSearch(Search):
    """A search that begins at the clean grid, and in later runs at a random legal one.

    :param first_runs: which samples are in their first run.
    """

    def __init__(self, problem: Problem, first_runs: Tensor) -> None:
        super().__init__(problem)
        self.first_runs = first_runs

    @property
    def flips(self) -> SpikeFlips:
        """The threat model of the problem."""
        return cast(SpikeFlips, self.problem.threat)

    def first(self) -> Tensor:
        """The clean grid, or as many random events as the budget allows."""
        noise = self.problem.normal(*self.problem.x.shape[1:], salt=3)
        return torch.where(column(self.first_runs, noise), self.problem.x, self.step(noise))

    def step(self, g: Tensor) -> Tensor:
        """See :func:`~art_snn.attacks.evasion.sea.sea_step`; cells outside the mask stay."""
        return sea_step(self.problem.x, allowed(self.problem, g), self.flips)


class Standing(GridSearch):
    """Where a run begins, for attacks that go on in their own way."""

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002
        """The same point again."""
        return point


def allowed(problem: Problem, g: Tensor) -> Tensor:
    """``g``, and 0 where the mask forbids a change."""
    return g if problem.mask is None else torch.where(problem.mask != 0, g, torch.zeros_like(g))


def column(value: Tensor, like: Tensor) -> Tensor:
    """One entry per sample, shaped to broadcast over ``like [n, *]``."""
    return value.view(-1, *[1] * (like.dim() - 1))
