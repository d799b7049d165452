r"""What a backdoor trigger on event grids is: a region, the frames in which it shows, and what it writes there.

.. math:: x'_{n,t,c,R} = q_c \quad\text{for } t \in F, \qquad x' = x \text{ elsewhere}

on grids ``[N, T, 2, H, W]`` with a square :math:`R` of side :math:`s = \max(1, \lfloor f W \rfloor)` and a polarity
code
:math:`q = (q_{off}, q_{on})`, one of (0, 0), (0, 1), (1, 0), (1, 1). A trigger is a function of an array that can be
pickled, which is what ART's ``PoisoningAttackBackdoor(perturbation=...)`` takes; it never writes into its argument, and
binary grids stay binary.

Source: Abad et al., "Sneaky Spikes", NDSS 2024.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]

CODES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""What a trigger can write into the (off, on) channels of a cell."""


@dataclass(frozen=True)
class Trigger(ABC):
    """Base class: checks the grid, copies it, and lets the subclass write.

    :param size: side of the square as a share of the width, above 0 and at most 1.
    :param polarity: (off, on) as the trigger writes it, each 0 or 1.
    :raises ValueError: for another size or polarity.

    >>> class Corner(Trigger):
    ...     def write(self, grids):
    ...         for grid in grids[:, 0]:
    ...             self.stamp(grid, 0, 0, self.side(grid.shape[-1]))
    >>> int(Corner(size=0.5)(np.zeros((1, 1, 2, 4, 4))).sum())
    4
    """

    size: float = 0.1
    polarity: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if not 0 < self.size <= 1:
            raise ValueError(explain(f"size={self.size!r}", "a share of the width in (0, 1]", "size=0.1"))
        if tuple(self.polarity) not in CODES:
            raise ValueError(explain(f"polarity={self.polarity!r}", f"one of {CODES}", "polarity=(0, 1)"))

    def __call__(self, x: Any) -> Array:
        """Grids with the trigger, a copy in the dtype of ``x [N, T, 2, H, W]``.

        :raises ValueError: for anything but event grids.
        """
        grids = check_grid(x)
        self.write(grids)
        return grids

    @abstractmethod
    def write(self, grids: Array) -> None:
        """Put the trigger into ``grids``, in place."""

    def side(self, width: int) -> int:
        """Side of the square in pixels."""
        return max(1, int(self.size * width))

    def stamp(self, grid: Array, row: int, column: int, side: int) -> None:
        """Write the polarity code into a square of one frame ``[2, H, W]``; what lies outside the sensor is lost."""
        height, width = grid.shape[-2:]
        rows = slice(max(row, 0), min(row + side, height))
        columns = slice(max(column, 0), min(column + side, width))
        for channel, value in enumerate(self.polarity):
            grid[channel, rows, columns] = value


def check_grid(x: Any) -> Array:
    """A copy of event grids.

    :raises ValueError: for anything but ``[N, T, 2, H, W]`` without negative values.
    """
    grids = np.array(x)
    if grids.ndim != 5 or grids.shape[2] != 2 or not np.isfinite(grids).all() or (grids.size and grids.min() < 0):
        came = f"an array of shape {grids.shape}"
        fix = "bin the recordings into frames of two polarities: event_grids(recordings)"
        raise ValueError(explain(came, "event grids [N, T, 2, H, W], none below 0", fix))
    return grids


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Check a word.

    :raises ValueError: for one that is not known.
    """
    if value not in known:
        raise ValueError(explain(f"{name}={value!r}", f"one of {known}", f"{name}={known[0]!r}"))
