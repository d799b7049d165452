"""Seeds and content addresses of the cells of a run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from art_snn.seeding import seeded_globals

__all__ = ["derived_seed", "fingerprint", "seeded_globals"]


def fingerprint(*parts: Any) -> str:
    """A short content address of JSON-ready data and arrays.

    >>> fingerprint("a", 1) == fingerprint("a", 1), fingerprint("a", 1) == fingerprint("a", 2)
    (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}{part.dtype}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"|")
    return digest.hexdigest()[:16]


def derived_seed(seed: int, *parts: Any) -> int:
    """A seed of its own for one cell of a run, the same wherever and whenever the cell runs."""
    return int(fingerprint(seed, *parts), 16) % 2**31
