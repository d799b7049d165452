r"""The smart trigger: each sample says where the trigger goes and which polarity it writes.

The sensor is divided into :math:`m \times m` masks. The trigger goes into the mask with most (or fewest) non-empty
cells, over all frames, and writes the polarity code that is rarest (or commonest) there. Inside the mask it starts at a
random pixel, inset by its side, and walks by up to two pixels per axis from frame to frame.

Source: Abad et al., "Sneaky Spikes", NDSS 2024 (which takes mask and code from the whole data set; ``of="dataset"``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from art_snn.attacks.poisoning.trigger import CODES, Array, Trigger, check_choice
from art_snn.errors import explain

_WALK = 2


@dataclass(frozen=True)
class SmartTrigger(Trigger):
    """A square that looks for its place; ``polarity`` is chosen by the trigger and not taken from the caller.

    :param masks: masks per side of the sensor, 1 or more.
    :param activity: ``most`` or ``least`` active mask.
    :param code: ``rarest`` or ``commonest`` polarity code of that mask; the empty code (0, 0) is left out.
    :param of: ``sample`` chooses for each sample, ``dataset`` once for all that are passed together.
    :param seed: seed of the walks; a sample's walk depends on seed and content alone.
    :raises ValueError: for another choice.

    >>> import numpy as np
    >>> x = np.zeros((1, 2, 2, 8, 8), dtype=np.float32)
    >>> x[0, :, 1, :4, :4] = 1
    >>> y = SmartTrigger(size=0.2, masks=2)(x)
    >>> bool((y[..., 4:, :] == x[..., 4:, :]).all()), int((y != x).sum()) > 0
    (True, True)
    """

    masks: int = 3
    activity: str = "most"
    code: str = "rarest"
    of: str = "sample"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("activity", self.activity, ("most", "least"))
        check_choice("code", self.code, ("rarest", "commonest"))
        check_choice("of", self.of, ("sample", "dataset"))
        if self.masks < 1:
            raise ValueError(explain(f"masks={self.masks!r}", "1 or more per side", "masks=3"))

    def write(self, grids: Array) -> None:
        """See :class:`Trigger`."""
        together = self._choice(grids) if self.of == "dataset" and len(grids) else None
        for frames in grids:
            walk = np.random.default_rng(_key(self.seed, frames))
            (rows, columns), polarity = together or self._choice(frames[None])
            self._walk(frames, rows, columns, polarity, walk)

    def _choice(self, grids: Array) -> tuple[tuple[tuple[int, int], tuple[int, int]], tuple[int, int]]:
        """Rows and columns of the mask, and the code to write."""
        height, width = grids.shape[-2:]
        spans = [_spans(length, self.masks) for length in (height, width)]
        places = [(rows, columns) for rows in spans[0] for columns in spans[1]]
        active = [int((_cut(grids, *place) != 0).sum()) for place in places]
        place = places[int(np.argmax(active) if self.activity == "most" else np.argmin(active))]
        cells = np.moveaxis(_cut(grids, *place) != 0, 2, -1).reshape(-1, 2)
        counts = [int((cells == np.array(code)).all(1).sum()) for code in CODES[1:]]
        best = int(np.argmin(counts) if self.code == "rarest" else np.argmax(counts))
        return place, CODES[1:][best]

    def _walk(
        self, frames: Array, rows: tuple[int, int], columns: tuple[int, int], polarity: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        stamp = replace(self, polarity=polarity)
        side = min(self.side(frames.shape[-1]), rows[1] - rows[0], columns[1] - columns[0])
        ranges = [(start, max(start, stop - side)) for start, stop in (rows, columns)]
        place = [int(rng.integers(low, high + 1)) for low, high in ranges]
        for frame in frames:
            stamp.stamp(frame, place[0], place[1], side)
            moved = [p + int(rng.integers(-_WALK, _WALK + 1)) for p in place]
            place = [min(max(p, low), high) for p, (low, high) in zip(moved, ranges, strict=True)]


def _key(seed: int, frames: Array) -> int:
    digest = hashlib.blake2b(np.ascontiguousarray(frames).tobytes(), digest_size=8, key=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


def _spans(length: int, parts: int) -> list[tuple[int, int]]:
    """``length`` pixels in ``parts`` about equal pieces."""
    edges = np.linspace(0, length, parts + 1).astype(int).tolist()
    return list(pairwise(edges))


def _cut(grids: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    return grids[..., rows[0] : rows[1], columns[0] : columns[1]]
