"""Seeds for code that draws from global generators: ART's attacks use numpy's, dropout and data loaders torch's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

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
