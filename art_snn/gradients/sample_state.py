"""Tensors that belong to samples while an attack runs: batches shrink and start anew, the state follows the ids."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from art_snn.errors import explain
from art_snn.gradients.base import AttackScope


class SampleState(AttackScope):
    """State of the samples of one attack scope.

    :param ids: one distinct number per sample; the first batch is all of them.
    :param initial: value of each state tensor before anything is known.
    :param storage: dtype to keep; ``None`` keeps that of the values.
    :raises ValueError: if an id comes twice.

    >>> state = SampleState([10, 11, 12], initial=(0.0,))
    >>> state.write("layer", (torch.tensor([[1.0], [2.0], [3.0]]),))
    >>> state.batch([12, 10])
    >>> state.read("layer", torch.zeros(2, 1))[0].tolist()
    [[3.0], [1.0]]
    """

    def __init__(self, ids: Sequence[int], initial: tuple[float, ...], storage: torch.dtype | None = None) -> None:
        self._position = {int(sample): row for row, sample in enumerate(ids)}
        if len(self._position) != len(ids):
            raise ValueError(explain("sample ids with repetitions", "one distinct id per sample", "ids=range(len(x))"))
        self._initial = initial
        self._storage = storage
        self._rows: Tensor | None = None
        self._size = len(ids)
        self._values: dict[Hashable, list[Tensor]] = {}
        self.is_frozen = False

    def batch(self, ids: Sequence[int]) -> None:
        """Name the samples of the forwards to come, row by row.

        :raises ValueError: for an id that is not of this scope, or that comes twice.
        """
        rows = self._rows_of(ids)
        if len(set(rows)) != len(rows):
            raise ValueError(explain("a batch with a repeated id", "each sample once", "split it into two batches"))
        self._rows = None if rows == list(range(len(self._position))) else torch.tensor(rows, dtype=torch.long)
        self._size = len(rows)

    def restart(self, ids: Sequence[int] | None = None) -> None:
        """Forget the state of ``ids``, or of every sample."""
        if ids is None:
            self._values.clear()
            return
        rows = self._rows_of(ids)
        for kept in self._values.values():
            for value, first in zip(kept, self._initial, strict=True):
                value[rows] = first

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """See :meth:`~art_snn.gradients.base.AttackScope.frozen`."""
        before, self.is_frozen = self.is_frozen, True
        try:
            yield
        finally:
            self.is_frozen = before

    def read(self, key: Hashable, like: Tensor) -> list[Tensor]:
        """State of the present batch, of the shape and dtype of ``like``.

        :raises ValueError: if the batch has another size than was announced.
        """
        if like.shape[0] != self._size:
            came = f"a forward of {like.shape[0]} samples in an attack scope whose present batch has {self._size}"
            fix = "tell the scope which samples are left: scope.batch(surviving_ids)"
            raise ValueError(explain(came, "one row per sample of the batch", fix))
        if key not in self._values:
            return [torch.full_like(like, first) for first in self._initial]
        rows = self._rows_on(like.device)
        kept = self._values[key]
        return [(value if rows is None else value[rows]).to(like.dtype) for value in kept]

    def write(self, key: Hashable, values: tuple[Tensor, ...]) -> None:
        """Keep the state of the present batch."""
        rows = self._rows_on(values[0].device)
        if rows is None:
            self._values[key] = [value.to(self._storage or value.dtype) for value in values]
            return
        if key not in self._values:
            shape = (len(self._position), *values[0].shape[1:])
            kept = [v.new_full(shape, f, dtype=self._storage) for v, f in zip(values, self._initial, strict=True)]
            self._values[key] = kept
        for kept_value, value in zip(self._values[key], values, strict=True):
            kept_value[rows] = value.to(kept_value.dtype)

    def _rows_on(self, device: torch.device) -> Tensor | None:
        if self._rows is not None and self._rows.device != device:
            self._rows = self._rows.to(device)
        return self._rows

    def _rows_of(self, ids: Sequence[int]) -> list[int]:
        unknown = [int(sample) for sample in ids if int(sample) not in self._position]
        if unknown:
            fix = "open the scope with every sample of the attack"
            raise ValueError(explain(f"ids {unknown[:4]}", "ids that the attack scope was opened with", fix))
        return [self._position[int(sample)] for sample in ids]
