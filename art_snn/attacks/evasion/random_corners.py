r"""Random corners of the ball: the floor that a gradient attack has to beat.

Each query is an independent :math:`x + \epsilon\,\mathrm{sign}(\text{noise})`, projected to ball and range; for L2 and
L1 a point on the sphere in a random direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen


class RandomCorners(PixelAttack):
    """``max_iter`` random corners per run, no gradient.

    The parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`.

    >>> import torch
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(8)
    >>> attack = RandomCorners(tiny.classifier(tiny.direct()), eps=0.1, max_iter=5)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x, y))).all())
    True
    """

    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float = 8 / 255, max_iter: int = 200,
        nb_random_init: int = 1, loss_type: str = "margin", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(estimator, norm, eps, max_iter, nb_random_init, loss_type, **kwargs)

    def _queries(self) -> int:
        return int(self.max_iter)

    def _search(self, problem: Problem) -> Search:
        return _Corners(problem)


class _Corners(BallSearch):
    wants_gradient = False

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.done = 0

    def first(self) -> Tensor:
        """A first corner."""
        return self._corner()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - corners are independent
        """See :class:`Search`."""
        return self._corner()

    def _corner(self) -> Tensor:
        self.done += 1
        problem = self.problem
        noise = problem.normal(*problem.x.shape[1:], salt=self.done)
        if self.ball.norm == np.inf:
            return problem.x + self.reach() * noise.sign()
        length = noise.flatten(1).norm(dim=1) if self.ball.norm == 2 else noise.abs().flatten(1).sum(1)
        return problem.x + self.reach() * noise / across(length, noise)
