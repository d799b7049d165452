"""Random retimings: the floor that an attack on spike times has to beat.

Each query is an independent legal retiming, the best for uniform random gains. With ``jitter`` alone it jitters every
spike; with ``causal`` or ``delay`` it delays; deleting spikes instead of moving them is another threat
(:class:`~art_snn.attacks.evasion.RandomEvents`).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from art_snn.attacks.evasion.retiming import RetimingAttack, RetimingSearch, inside
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen


class RandomRetiming(RetimingAttack):
    """``max_iter`` random legal retimings per run, no gradient.

    The parameters are those of :class:`~art_snn.attacks.evasion.retiming.RetimingAttack`.

    >>> import numpy as np
    >>> import torch
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = RandomRetiming(clf, jitter=1, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, jitter: int | None = None, delay: int | None = None, moves: int | None = None,
        causal: bool = False, max_iter: int = 40, nb_random_init: int = 1, loss_type: str = "margin", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(estimator, jitter, delay, moves, causal, max_iter, nb_random_init, loss_type, **kwargs)

    def _queries(self) -> int:
        return int(self.max_iter)

    def _search(self, problem: Problem) -> Search:
        return _Draws(inside(problem))


class _Draws(RetimingSearch):
    wants_gradient = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.done = 0

    def first(self) -> Tensor:
        """A first retiming."""
        return self.random(0)

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - retimings are independent
        """See :class:`Search`."""
        self.done += 1
        return self.random(self.done)
