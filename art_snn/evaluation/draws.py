r"""Expected accuracy of a random model: what a single evaluation draw gets right, on average.

The deployed rule of :mod:`art_snn.evaluation.deployed` averages draws; a device that answers from one draw is right
less often. Outcomes of every single draw are kept per cell. The worst case over attacks is that of an attacker who
picks one attack per sample, not per draw: on one half of the draws the attack is chosen that leaves the sample right
least often (of equal ones the one that is stronger on all samples), and judged on the other half, and the other way
round. (The minimum over attacks of estimates made on the same draws would be too low, and the best draw of an attack
too: both are best-of.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def pack(outcomes: Array) -> list[str]:
    """Booleans ``[D, N]`` as one hexadecimal word per draw.

    >>> pack(np.array([[True, False, False, False, True]]))
    ['88']
    """
    return [np.packbits(row).tobytes().hex() for row in np.asarray(outcomes, dtype=bool)]


def unpack(words: Sequence[str], samples: int) -> Array:
    """The booleans ``[D, N]`` behind :func:`pack`.

    >>> unpack(["88"], 5).astype(int).tolist()
    [[1, 0, 0, 0, 1]]
    """
    rows = [np.unpackbits(np.frombuffer(bytes.fromhex(word), dtype=np.uint8), count=samples) for word in words]
    return np.stack(rows).astype(bool)


def worst_draws(cells: Sequence[Array]) -> Array:
    """Outcomes under the attack that an attacker who knows half of the draws picks for the other half.

    :param cells: outcomes ``[D, N]`` of every attack, ``D >= 2``.
    :return: booleans ``[D, N]``.

    >>> attack, other = np.array([[False], [False]]), np.array([[True], [False]])
    >>> worst_draws([attack, other]).ravel().tolist()
    [False, False]
    """
    stack = np.stack(cells)
    _, draws, samples = stack.shape
    found = np.empty((draws, samples), dtype=bool)
    halves = (np.arange(0, draws, 2), np.arange(1, draws, 2))
    for judged, seen in (halves, halves[::-1]):
        left = stack[:, seen].mean(1)
        order = left.mean(1).argsort(kind="stable")
        chosen = order[left[order].argmin(0)]
        found[judged] = stack[chosen, :, np.arange(samples)][:, judged].T
    return found
