"""A seeded random stream that belongs to one object.

Nothing in art-snn touches torch's global generator. A stream is copied and pickled with its position, and it hands out
numbers sample by sample, so that a batch of 64 gets the same numbers as 64 batches of one. Inside :func:`keyed_draws`
the numbers of a sample depend on its own key alone, so that samples can leave a batch without changing the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from art_snn.errors import explain


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
        self._keys: Sequence[int] | None = None
        self._calls = 0

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
        if self._keys is not None:
            return self._uniform_by_key(T, like)
        shape = (like.shape[0], T, *like.shape[1:])
        draws = torch.rand(shape, generator=self.generator(like.device), device=like.device, dtype=like.dtype)
        return draws.transpose(0, 1)

    def _uniform_by_key(self, T: int, like: Tensor) -> Tensor:
        keys = self._keys or ()
        if len(keys) != like.shape[0]:
            fix = "name one key per sample: keyed_draws(net, keys) with len(keys) == len(x)"
            raise ValueError(explain(f"{len(keys)} keys for {like.shape[0]} samples", "one key per sample", fix))
        self._calls += 1
        shape = (T, *like.shape[1:])
        rows = [
            torch.rand(shape, generator=torch.Generator().manual_seed(mixed(self.seed, self._calls, one)))
            for one in keys
        ]
        return torch.stack(rows, 1).to(like)

    @contextmanager
    def keyed(self, keys: Sequence[int]) -> Iterator[None]:
        """Inside, sample i of a batch draws from ``(seed, keys[i], call)``; the stream itself stays where it is."""
        before = self._keys, self._calls
        self._keys, self._calls = keys, 0
        try:
            yield
        finally:
            self._keys, self._calls = before

    @contextmanager
    def part(self, rows: slice) -> Iterator[None]:
        """Inside, a keyed stream draws for these samples of its batch; every piece begins at the same call, and the
        last one moves on. A stream without keys draws sample by sample in any case.
        """
        keys, calls = self._keys, self._calls
        self._keys = None if keys is None else keys[rows]
        try:
            yield
        finally:
            if keys is not None and rows.stop < len(keys):
                self._calls = calls
            self._keys = keys

    @property
    def calls(self) -> int:
        """How often the stream was asked since :meth:`keyed` was entered."""
        return self._calls

    @property
    def has_keys(self) -> bool:
        """Whether samples draw by key now."""
        return self._keys is not None

    def __getstate__(self) -> dict[str, Any]:
        states = {key: gen.get_state() for key, gen in self._generators.items()}
        return {"seed": self.seed, "states": states, "keys": self._keys, "calls": self._calls}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["seed"])  # type: ignore[misc]
        self._keys, self._calls = state["keys"], state["calls"]
        for key, value in state["states"].items():
            if torch.device(key).type == "cpu" or torch.cuda.is_available():
                self.generator(torch.device(key)).set_state(value)


def mixed(*parts: int) -> int:
    """A 32-bit seed that depends on every part."""
    text = b"".join(int(part).to_bytes(16, "little", signed=True) for part in parts)
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")


def sample_ids(x: Tensor) -> list[int]:
    """One number per sample of a batch, from its content.

    >>> sample_ids(torch.zeros(2, 3)) == sample_ids(torch.zeros(1, 3)) * 2
    True
    """
    rows = np.ascontiguousarray(x.detach().cpu().numpy()).reshape(len(x), -1)
    return [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little") for row in rows]


@contextmanager
def keyed_draws(net: nn.Module, keys: Sequence[int]) -> Iterator[None]:
    """Inside, every stream that ``net`` owns (an attribute with a method ``keyed``) draws by key.

    See :meth:`SeededDraws.keyed`.

    :param keys: one number per sample of the batches that follow.
    :raises ValueError: at the draw, if a batch has another size.

    >>> from art_snn.coding import Poisson
    >>> code, x = Poisson(T=4), torch.full((2, 3), 0.5)
    >>> with keyed_draws(code, [7, 8]):
    ...     both = code(x)
    >>> with keyed_draws(code, [8]):
    ...     alone = code(x[1:])
    >>> bool((both[:, 1:] == alone).all())
    True
    """
    streams = {id(value): value for m in net.modules() for value in vars(m).values() if hasattr(type(value), "keyed")}
    with ExitStack() as stack:
        for stream in streams.values():
            stack.enter_context(stream.keyed(keys))
        yield
