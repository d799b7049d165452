"""What a data set is here: images or event frames in their raw range, index labels, channels first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dataset:
    """A split data set.

    ``x_*`` are float32 inside ``clip_values``, ``y_*`` int64 ``[N]``. Images are ``[N, C, H, W]``; event frames are
    ``[N, T, 2, H, W]``, time after the batch, channel 0 for pixels that got darker, 1 for brighter.

    :param name: by which it is loaded.
    :param x_train: training samples.
    :param y_train: their classes.
    :param x_test: test samples.
    :param y_test: their classes.
    :param clip_values: smallest and largest legal input.

    >>> x, y = np.zeros((4, 1, 2, 2), dtype=np.float32), np.array([0, 1, 2, 1])
    >>> mine = Dataset("mine", x, y, x, y)
    >>> mine.input_shape, mine.nb_classes
    ((1, 2, 2), 3)
    """

    name: str
    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    clip_values: tuple[float, float] = (0.0, 1.0)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.x_train.shape[1:])

    @property
    def nb_classes(self) -> int:
        """Number of classes."""
        return int(self.y_train.max()) + 1

    def select(self, samples: int, seed: int) -> tuple[Array, Array, Array]:
        """A class-balanced random choice of test samples.

        :param samples: how many; at most the size of the test set.
        :param seed: seed of the choice.
        :return: ``x``, ``y`` and the indices into the test set, in ascending order.
        :raises ValueError: if ``samples`` is not in 1..len(x_test).
        """
        if not 1 <= samples <= len(self.x_test):
            came = f"samples = {samples}"
            raise ValueError(
                explain(came, f"1..{len(self.x_test)} test samples of {self.name}", "choose fewer samples")
            )
        order = np.random.default_rng(seed).permutation(len(self.y_test))
        rank = np.empty(len(order), dtype=np.int64)
        for label in range(self.nb_classes):
            rows = order[self.y_test[order] == label]
            rank[rows] = np.arange(len(rows))
        chosen = np.sort(order[np.argsort(rank[order], kind="stable")][:samples])
        return self.x_test[chosen], self.y_test[chosen], chosen
