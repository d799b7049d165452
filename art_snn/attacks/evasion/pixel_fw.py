r"""Few pixels: Frank-Wolfe on the L0 ball, with momentum.

With the momentum m of the gradient, the best value of every channel is a corner of the range, and a pixel is worth what
it gains in all of its channels together:

.. math:: x^*_{pc} = \text{high if } m_{pc} > 0 \text{ else low}, \qquad
          G_p = \sum_c m_{pc} (x^*_{pc} - x_{pc}), \qquad
          x' = x^* \text{ in the k pixels of largest } G_p,\; x \text{ elsewhere}

That is the exact maximizer of the linear loss; it starts from the clean image in every iteration.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.attacks.evasion.pixel import BallSearch
from art_snn.attacks.evasion.search import Problem, across
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain
from art_snn.threats.pixel import pixels_kept
from art_snn.threats.projection import largest

_KEPT = 0.9


class PixelFrankWolfe(BallSearch):
    """Frank-Wolfe for ``norm=0``.

    :raises ValueError: without clip values, since there is no corner then.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        if self.ball.clip_values is None:
            fix = "give the estimator clip_values=(0.0, 1.0)"
            raise ValueError(explain("norm=0 without clip values", "a range whose corners can be reached", fix))
        self.direction = torch.zeros_like(problem.x)

    def first(self) -> Tensor:
        """Random pixels in random corners."""
        return self._corner(self.problem.normal(*self.problem.x.shape[1:]))

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - each step starts from the clean image
        """See :class:`~art_snn.attacks.evasion.search.Search`."""
        grad = seen.ascent
        self.direction = _KEPT * self.direction + grad / across(grad.abs().flatten(1).mean(1), grad)
        return self._corner(self.direction)

    def _corner(self, m: Tensor) -> Tensor:
        x, mask = self.problem.x, self.problem.mask
        low, high = (bound.to(x) for bound in self.ball.bounds(x))
        best = torch.where(m > 0, high, low)
        gain = m * (best - x)
        gain = gain if mask is None else torch.where(mask != 0, gain, torch.zeros_like(gain))
        worth = (gain.sum(-3) if x.dim() >= 4 else gain).flatten(1)
        return torch.where(pixels_kept(x, largest(worth, self.ball.eps)), best, x)
