"""One run of an attack on one batch: the idea of the attack, without the bookkeeping.

A :class:`Search` proposes points; the base class queries the model, keeps the account and takes solved samples out.
Every tensor that a search holds has one row per sample, so that samples can leave without changing the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from art_snn.attacks.evasion import draws
from art_snn.attacks.evasion.victim import Seen
from art_snn.threats import ThreatModel


@dataclass(frozen=True)
class Problem:
    """Samples that are still to be broken, in one batch.

    ``rows`` are their places in the whole input, ``ids`` what their random numbers depend on, ``seeds`` the same mixed
    with seed and restart (before a run: the number of the first restart), ``mask`` is 1 where a value may change,
    ``target`` the class that a loss with a target of its own goes for, ``keys`` the seeds where the samples are.
    """

    x: Tensor
    y: Tensor
    target: Tensor
    rows: Tensor
    mask: Tensor | None
    ids: list[int]
    seeds: list[int]
    threat: ThreatModel
    keys: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def select(self, index: Tensor) -> Problem:
        """The same for some of the samples."""
        chosen = index.tolist()
        changes: dict[str, object] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Tensor):
                changes[entry.name] = value[index]
            elif isinstance(value, list):
                changes[entry.name] = [value[i] for i in chosen]
        return replace(self, **changes)  # type: ignore[arg-type]

    def within(self, threat: ThreatModel) -> Problem:
        """The same under another threat model."""
        return replace(self, threat=threat)

    def project(self, point: Tensor) -> Tensor:
        """The nearest legal point that differs from the clean sample only where the mask allows."""
        if self.mask is not None:
            point = torch.where(self.mask != 0, point, self.x)
        legal: Tensor = self.threat.project(self.x, point)
        return legal

    def uniform(self, *shape: int, salt: int = 0) -> Tensor:
        """Uniform numbers ``[n, *shape]`` of this restart."""
        return draws.uniform(self._salted(salt), shape, self.x)

    def normal(self, *shape: int, salt: int = 0) -> Tensor:
        """Normal numbers ``[n, *shape]`` of this restart."""
        return draws.normal(self._salted(salt), shape, self.x)

    def signs(self, step: int, like: Tensor) -> Tensor:
        """Random signs ``[n, *]`` of one step of this restart."""
        keys = torch.tensor(self.seeds, device=like.device) if self.keys is None else self.keys
        return draws.signs(keys, step, like)

    def _salted(self, salt: int) -> list[int]:
        return [draws.key(seed, salt) for seed in self.seeds]


def across(value: Tensor, like: Tensor) -> Tensor:
    """One number per sample, shaped to broadcast over ``like [n, *]``; zeros become the smallest normal number."""
    safe = torch.where(value == 0, torch.full_like(value, torch.finfo(value.dtype).tiny), value)
    return safe.view(-1, *[1] * (like.dim() - 1))


class Search(ABC):
    """Base class. Subclasses hold tensors of ``[n, ...]`` as attributes and implement :meth:`next`."""

    wants_gradient = True
    extra: tuple[int, int] = (0, 0)
    """Forward and backward passes that :meth:`next` takes by itself."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @abstractmethod
    def first(self) -> Tensor:
        """The first point, before it is projected."""

    @abstractmethod
    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """The next point, before it is projected, after ``point`` has been seen."""

    def keep(self, index: Tensor) -> None:
        """Go on with some of the samples."""
        self.problem = self.problem.select(index)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[index])
