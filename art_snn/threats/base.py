"""What every threat model can do: measure a change, project onto what is legal, check, and print itself with units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.errors import GuardedInit, explain, summary


class ThreatModel(GuardedInit, ABC):
    """Base class: what an attacker may change, judged from the clean and the changed sample alone.

    Subclasses compute in float64 or in whole numbers, take arrays or tensors ``[N, *]`` and answer in the kind of the
    first, one entry per sample.

    >>> from art_snn.threats import Linf
    >>> threat = Linf(0.5)
    >>> isinstance(threat, ThreatModel), threat.is_zero, threat
    (True, False, Linf(0.5))
    """

    @property
    @abstractmethod
    def is_zero(self) -> bool:
        """Whether the budget allows no change at all."""

    @abstractmethod
    def usage(self, x: Any, x_adv: Any) -> Any:
        """How much of the budget each sample uses: ``[N]``, or a mapping from the name of a budget to ``[N]``.

        :raises ValueError: if the shapes differ.
        """

    @abstractmethod
    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether each changed sample is legal and inside the budget, bool ``[N]``.

        :raises ValueError: if the shapes differ.
        """

    @abstractmethod
    def project(self, x: Any, x_adv: Any) -> Any:
        """Bring each changed sample back inside, in the kind and dtype of ``x``.

        :raises ValueError: if the shapes differ.
        """

    @abstractmethod
    def __repr__(self) -> str:
        """The budget with its units."""


def paired(x: Any, x_adv: Any) -> tuple[Tensor, Tensor]:
    """Both as float64 tensors on the device of the first.

    :raises ValueError: if the shapes differ.
    """
    clean, point = _tensor(x), _tensor(x_adv)
    if clean.shape != point.shape:
        came = f"{summary(clean)} and {summary(point)}"
        raise ValueError(explain(came, "two batches [N, *] of one shape", "pass the clean samples and their copies"))
    return clean.double(), point.to(clean.device).double()


def _tensor(x: Any) -> Tensor:
    return x.detach() if isinstance(x, Tensor) else torch.as_tensor(np.ascontiguousarray(x))


def in_kind_of(x: Any, value: Tensor) -> Any:
    """``value`` as a tensor if ``x`` is one, else as an array."""
    return value if isinstance(x, Tensor) else value.cpu().numpy()
