"""A seeded random stream that belongs to one object.

Nothing in art-snn touches torch's global generator. A stream is copied and pickled with its position, and it hands out
numbers sample by sample, so that a batch of 64 gets the same numbers as 64 batches of one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class SeededDraws:
    """Random numbers from a generator of one's own.

    >>> a, b = SeededDraws(0), SeededDraws(0)
    >>> like = torch.zeros(2, 3)
    >>> first = a.uniform(4, like)
    >>> bool((first == b.uniform(4, like)).all()), bool((first == a.uniform(4, like)).all())
    (True, False)
    """

    def __init__(self, seed: int) -> None:
        self.seed = int(seed)
        self._generators: dict[str, torch.Generator] = {}

    def reseed(self, seed: int) -> None:
        """Start anew from ``seed``."""
        self.seed = int(seed)
        self._generators.clear()

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for one device, made when it is first asked for."""
        key = str(device)
        if key not in self._generators:
            self._generators[key] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[key]

    def uniform(self, T: int, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) of shape ``[T, *like.shape]``, drawn sample by sample."""
        shape = (like.shape[0], T, *like.shape[1:])
        draws = torch.rand(shape, generator=self.generator(like.device), device=like.device, dtype=like.dtype)
        return draws.transpose(0, 1)

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self.seed, "states": {key: gen.get_state() for key, gen in self._generators.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["seed"])  # type: ignore[misc]
        for key, value in state["states"].items():
            if torch.device(key).type == "cpu" or torch.cuda.is_available():
                self.generator(torch.device(key)).set_state(value)
