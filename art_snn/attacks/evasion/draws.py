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

__all__ = ["key", "normal", "sample_ids", "signs", "uniform"]

_ODD = (-7046029254386353131, -4658895280553007687, -7723592293110705685)
"""Multipliers of SplitMix64, as signed numbers."""


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


def signs(keys: Tensor, step: int, like: Tensor) -> Tensor:
    """Random signs of the shape of ``like [n, *]``: row i from ``keys[i]`` and ``step``.

    Computed where the tensors are, by a hash of key, step and place (SplitMix64), so that no device waits for them.

    >>> s = signs(torch.tensor([7, 8, 7]), 3, torch.zeros(3, 1000))
    >>> bool((s[0] == s[2]).all()), bool((s[0] == s[1]).all()), abs(s.mean().item()) < 0.1
    (True, False, True)
    """
    place = torch.arange(like[0].numel(), device=like.device)
    h = (_mixed(keys.long() * _ODD[0] + step))[:, None] + (place + 1) * _ODD[2]
    return torch.where(_mixed(h) < 0, -1.0, 1.0).to(like).view_as(like)


def _mixed(h: Tensor) -> Tensor:
    for shift, factor in ((30, _ODD[1]), (27, _ODD[2]), (31, 1)):
        h = (h ^ ((h >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return h
