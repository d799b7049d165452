"""Seeds for code that draws from global generators: ART's attacks use numpy's, torch's data loaders torch's."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch inside the context, and leave them as they were."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - ART draws from the legacy generator
    with torch.random.fork_rng():
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


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
