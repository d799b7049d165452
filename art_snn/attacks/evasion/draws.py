"""Random numbers of an attack: those of a sample depend on (seed, restart, sample) and on nothing else.

So a result does not depend on the batch a sample happens to sit in, and restart r of sample i can be repeated alone.
A sample is known by its content; equal samples get equal numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from art_snn.coding.draws import sample_ids

__all__ = ["key", "normal", "sample_ids", "uniform"]


def key(*parts: int) -> int:
    """A 32-bit number that depends on every part and on their order.

    >>> key(0, 1) == key(0, 1), key(0, 1) == key(1, 0)
    (True, False)
    """
    digest = hashlib.blake2b(b"".join(int(p).to_bytes(16, "little", signed=True) for p in parts), digest_size=4)
    return int.from_bytes(digest.digest(), "little")


def uniform(keys: Sequence[int], shape: Sequence[int], like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), ``[len(keys), *shape]``: row i from its own key."""
    rows = [torch.rand(tuple(shape), generator=torch.Generator().manual_seed(one), dtype=torch.float64) for one in keys]
    return torch.stack(rows).to(like)


def normal(keys: Sequence[int], shape: Sequence[int], like: Tensor) -> Tensor:
    """Standard normal numbers, ``[len(keys), *shape]``: row i from its own key."""
    rows = [
        torch.randn(tuple(shape), generator=torch.Generator().manual_seed(one), dtype=torch.float64) for one in keys
    ]
    return torch.stack(rows).to(like)
