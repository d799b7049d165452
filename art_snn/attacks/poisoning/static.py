r"""The static trigger: the same square at the same place, :math:`F = \{0, .., T-1\}`.

Source: Abad et al., "Sneaky Spikes", NDSS 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from art_snn.attacks.poisoning.trigger import Array, Trigger, check_choice

PLACES = ("bottom_right", "bottom_left", "top_right", "top_left", "middle", "random")
"""Where a square can be."""


@dataclass(frozen=True)
class StaticTrigger(Trigger):
    """A square in every frame.

    :param place: a corner, ``middle``, or ``random``: one place for all samples, drawn from ``seed``.
    :param seed: seed of the random place.
    :raises ValueError: for another place.

    >>> import numpy as np
    >>> x = np.zeros((1, 3, 2, 8, 8), dtype=np.float32)
    >>> StaticTrigger(size=0.25)(x).sum().item()  # 2 x 2 pixels, on events, three frames
    12.0
    """

    place: str = "bottom_right"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("place", self.place, PLACES)

    def write(self, grids: Array) -> None:
        """See :class:`Trigger`."""
        height, width = grids.shape[-2:]
        side = self.side(width)
        row, column = corner(self.place, height, width, side, self.seed)
        for frames in grids:
            for grid in frames:
                self.stamp(grid, row, column, side)


def corner(place: str, height: int, width: int, side: int, seed: int) -> tuple[int, int]:
    """Upper left pixel of the square.

    >>> corner("bottom_right", 16, 16, 3, 0), corner("middle", 16, 16, 2, 0)
    ((13, 13), (7, 7))
    """
    down, right = height - side, width - side
    if place == "random":
        rng = np.random.default_rng(seed)
        return int(rng.integers(down + 1)), int(rng.integers(right + 1))
    if place == "middle":
        return down // 2, right // 2
    return (down if place.startswith("bottom") else 0), (right if place.endswith("right") else 0)
