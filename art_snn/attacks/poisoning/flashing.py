r"""Triggers that show in some frames only: framed, strobing, flash.

.. math:: F = \{\,\mathrm{start} + i\,(\mathrm{gap} + \mathrm{on}) + j : j < \mathrm{on}\,\} \cap
          [\mathrm{start}, \mathrm{start} + \mathrm{length})

A *framed* trigger shows once (``gap`` as long as the recording), a *strobing* one comes and goes, a *flash* fills the
whole sensor in those frames, as a lamp in front of the camera does.

Source: "Flashy backdoor", 2024 (real-world triggers for event cameras).
"""

from __future__ import annotations

from dataclasses import dataclass

from art_snn.attacks.poisoning.static import StaticTrigger
from art_snn.attacks.poisoning.trigger import Array
from art_snn.errors import explain


def shown(frames: int, start: int, on: int, gap: int, length: int | None) -> list[int]:
    """The frames in which the trigger shows.

    >>> shown(9, start=1, on=2, gap=1, length=6)
    [1, 2, 4, 5]
    """
    stop = frames if length is None else min(start + length, frames)
    return [t for t in range(start, stop) if (t - start) % (on + gap) < on]


@dataclass(frozen=True)
class StrobingTrigger(StaticTrigger):
    """A square that shows for ``on`` frames, then hides for ``gap``; with ``gap=0``, a framed trigger.

    :param start: first frame, 0 or more.
    :param on: frames in a row, 1 or more.
    :param gap: frames between, 0 or more.
    :param length: frames from the first to the end of the last; ``None`` for the whole recording.
    :raises ValueError: for a number out of range.

    >>> import numpy as np
    >>> x = StrobingTrigger(size=0.2, on=1, gap=2)(np.zeros((1, 6, 2, 5, 5), dtype=np.float32))
    >>> x.sum((0, 2, 3, 4)).astype(int).tolist()
    [1, 0, 0, 1, 0, 0]
    """

    start: int = 0
    on: int = 1
    gap: int = 1
    length: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("start", 0), ("on", 1), ("gap", 0)):
            if getattr(self, name) < least:
                came = f"{name}={getattr(self, name)!r}"
                raise ValueError(explain(came, f"a number of frames, {least} or more", f"{name}={least}"))

    def write(self, grids: Array) -> None:
        """See :class:`Trigger`."""
        frames = shown(grids.shape[1], self.start, self.on, self.gap, self.length)
        marked = grids[:, frames]
        super().write(marked)
        grids[:, frames] = marked


@dataclass(frozen=True)
class FlashTrigger(StrobingTrigger):
    """The whole sensor reports ``polarity`` in the frames of :func:`shown`; ``size`` and ``place`` do not matter.

    >>> import numpy as np
    >>> FlashTrigger(on=1, length=1)(np.zeros((1, 6, 2, 5, 5), dtype=np.float32)).sum().item()
    25.0
    """

    size: float = 1.0
