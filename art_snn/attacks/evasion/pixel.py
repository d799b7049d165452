r"""Attacks within a ball of pixel values: :math:`\|x' - x\|_p \le \epsilon` and the range of legal values."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.summary import Writer
from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy
from art_snn.threats import PixelBudget, pixel_budget


class PixelAttack(NativeAttack):
    """Base class of the native attacks on images: :class:`NativeAttack` with a norm and a radius.

    :param norm: ``np.inf``, 2 or 1.
    :param eps: radius of the ball.

    The remaining parameters are those of :class:`NativeAttack`.

    :raises ValueError: for a parameter out of range.
    :raises TypeError: for a policy that the model cannot follow.
    """

    attack_params = ["norm", "eps", *NativeAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    norms: tuple[float, ...] = (np.inf, 2.0, 1.0)

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float = 8 / 255, max_iter: int = 100,
        nb_random_init: int = 1, loss_type: str = "ce", policy: GradientPolicy | None = None, targeted: bool = False,
        batch_size: int = 64, seed: int = 0, eot: int | None = None, votes: int | None = None, nb_targets: int = 9,
        verbose: bool = False, summary_writer: Writer = False,
    ) -> None:  # fmt: skip
        self.norm = norm
        self.eps = eps
        super().__init__(
            estimator, max_iter, nb_random_init, loss_type, policy, targeted, batch_size, seed, eot, votes, nb_targets,
            verbose, summary_writer,
        )  # fmt: skip

    def _check_params(self) -> None:
        if self.threat.norm not in self.norms:
            name = type(self).__name__
            raise ValueError(explain(f"norm={self.norm!r}", f"one of {self.norms} for {name}", "norm=np.inf"))
        super()._check_params()

    @property
    def threat(self) -> PixelBudget:
        """The threat model: norm, radius and range."""
        return pixel_budget(self.norm, self.eps, self.estimator.clip_values)


class BallSearch(Search):
    """A search that begins at a random point on the surface of the ball."""

    @property
    def ball(self) -> PixelBudget:
        """The threat model of the problem."""
        return ball(self.problem)

    def first(self) -> Tensor:
        """See :func:`surface`."""
        return surface(self.problem)

    def reach(self) -> float:
        """See :func:`reach`."""
        return reach(self.ball, self.problem.x[0].numel())


def ball(problem: Problem) -> PixelBudget:
    """The threat model of a pixel attack."""
    return cast(PixelBudget, problem.threat)


def surface(problem: Problem) -> Tensor:
    """A random point on the ball: uniform with maximum 1 (L-infinity), normalized normal (L2), or projected normal."""
    norm, shape = ball(problem).norm, problem.x.shape[1:]
    radius = reach(ball(problem), problem.x[0].numel())
    if norm == torch.inf:
        noise = 2 * problem.uniform(*shape) - 1
        return problem.x + radius * noise / across(noise.abs().flatten(1).amax(1), noise)
    noise = problem.normal(*shape)
    if norm == 2:
        return problem.x + radius * noise / across(noise.flatten(1).norm(dim=1), noise)
    return problem.x + noise


def reach(budget: PixelBudget, size: int) -> float:
    """Radius of the ball, or of the range where the ball is larger: the length of a first step.

    :param size: values of one sample.
    """
    if budget.clip_values is None:
        return budget.eps
    low, high = (torch.as_tensor(v, dtype=torch.double) for v in budget.clip_values)
    width = float((high - low).max())
    longest = {torch.inf: width, 2.0: width * size**0.5, 1.0: width * size}[budget.norm]
    return min(budget.eps, longest)
