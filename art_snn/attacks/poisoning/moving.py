r"""The moving trigger: the square jumps along a row, :math:`c_t = c_0 \pm (t \bmod 3)(s + 2)`, in every frame.

It steps away from the nearer side of the sensor, so that it stays inside where there is room for three squares.

Source: Abad et al., "Sneaky Spikes", NDSS 2024 (whose public form leaves the last frame clean; this one does not).
"""

from __future__ import annotations

from dataclasses import dataclass

from art_snn.attacks.poisoning.static import StaticTrigger, corner
from art_snn.attacks.poisoning.trigger import Array

_STOPS = 3
_GAP = 2


@dataclass(frozen=True)
class MovingTrigger(StaticTrigger):
    """A square that takes three places in turn; ``place`` is the first.

    >>> import numpy as np
    >>> x = MovingTrigger(size=0.2, place="top_left")(np.zeros((1, 3, 2, 10, 10), dtype=np.float32))
    >>> [int(frame[1, 0].argmax()) for frame in x[0]]  # first column of the square, frame by frame
    [0, 4, 8]
    """

    def write(self, grids: Array) -> None:
        """See :class:`Trigger`."""
        height, width = grids.shape[-2:]
        side = self.side(width)
        row, column = corner(self.place, height, width, side, self.seed)
        direction = 1 if column <= (width - side) // 2 else -1
        for frames in grids:
            for t, grid in enumerate(frames):
                self.stamp(grid, row, column + direction * (t % _STOPS) * (side + _GAP), side)
