r"""Poison a data set: exactly :math:`\lfloor \epsilon_p N \rfloor` samples, none of them of the target class.

Counting samples of the target class as poisoned would overstate the attack: their label does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from art.attacks.poisoning import PoisoningAttackBackdoor

from art_snn.attacks.poisoning.trigger import Array
from art_snn.errors import explain


@dataclass(frozen=True)
class PoisonedData:
    """Samples and labels after poisoning; ``rows`` are the indices of the poisoned ones, sorted.

    :param x: samples ``[N, *]``.
    :param y: labels.

    >>> PoisonedData(np.zeros((3, 2)), np.array([0, 7, 1]), rows=np.array([1])).rows.tolist()
    [1]
    """

    x: Array
    y: Array
    rows: Array


def poison_dataset(
    x: Any, y: Any, trigger: Callable[[Any], Any], target: int, fraction: float, seed: int = 0
) -> PoisonedData:
    """Put ``trigger`` into a seeded choice of samples and label them ``target``, through ART's backdoor attack.

    :param x: samples ``[N, *]``; not modified.
    :param y: class indices ``[N]``.
    :param trigger: a perturbation as ``PoisoningAttackBackdoor`` takes it.
    :param target: the class that the trigger is to stand for.
    :param fraction: share of **all** samples that is poisoned, from 0 to 1.
    :param seed: seed of the choice.
    :raises ValueError: for a fraction out of range, labels that do not fit, or too few samples of other classes.

    >>> from art_snn.attacks.poisoning import StaticTrigger
    >>> grids, labels = np.zeros((10, 2, 2, 4, 4), dtype=np.float32), np.arange(10) % 5
    >>> data = poison_dataset(grids, labels, StaticTrigger(), target=0, fraction=0.3)
    >>> len(data.rows), bool((labels[data.rows] != 0).all()), int((data.y == 0).sum())
    (3, True, 5)
    """
    x, y = np.asarray(x), np.asarray(y)
    if y.shape != (len(x),):
        came = f"labels of shape {y.shape} for {len(x)} samples"
        raise ValueError(explain(came, "one class index per sample", "pass y.argmax(1) for one-hot labels"))
    if not 0 <= fraction <= 1:
        raise ValueError(explain(f"fraction={fraction!r}", "a share from 0 to 1", "fraction=0.05"))
    others = np.flatnonzero(y != target)
    count = int(fraction * len(x) + 1e-9)
    if count > len(others):
        came = f"{count} samples to poison, of which {len(others)} are not of class {target}"
        raise ValueError(explain(came, "enough samples of other classes", f"fraction={len(others) / len(x):.3g}"))
    rows = np.sort(np.random.default_rng(seed).choice(others, count, replace=False))
    poisoned, labels = x.copy(), y.copy()
    if count:
        poisoned[rows], labels[rows] = PoisoningAttackBackdoor(trigger).poison(x[rows], np.full(count, target))
    return PoisonedData(poisoned, labels, rows)
