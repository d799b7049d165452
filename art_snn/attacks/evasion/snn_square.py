r"""Square attack for spiking networks: random search with one forward pass per query.

At query i a square window of side :math:`s = \mathrm{round}\sqrt{p(i)\,HW}` is drawn per sample and set to
:math:`x \pm \epsilon` with one sign per channel (L-infinity); for L2 and L1 the window of the perturbation is replaced
by a constant of random sign per channel, and the whole is scaled back to the ball. Event frames ``[T, C, H, W]`` get a
time tube: a random interval of :math:`\lceil p^{1/3} T \rceil` steps times a square, so that the share of cells stays
:math:`p`. A proposal is kept where the loss rises. The share starts at :math:`p = 0.8` and is halved at the queries 10,
50, 200, 500, 1000, 2000, 4000, 6000, 8000 of a schedule of 10 000, rescaled to the budget.

Source: Andriushchenko et al., "Square Attack", ECCV 2020.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.record import column
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen
from art_snn.attacks.evasion.windows import tube
from art_snn.errors import explain

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_SCHEDULE = 10_000


def window_share(query: int, queries: int, first: float = 0.8) -> float:
    """Share of cells that a proposal changes.

    >>> window_share(0, 10_000), window_share(300, 10_000)
    (0.8, 0.1)
    """
    place = query * _SCHEDULE / max(queries, 1)
    return float(first / 2 ** sum(place > step for step in _HALVINGS))


class SNNSquare(PixelAttack):
    """Square attack: ``max_iter`` queries per run, no gradient; see the module's text.

    :param p_init: share of cells that the first window covers.
    :raises ValueError: for samples that are not ``[C, H, W]`` or ``[T, C, H, W]``.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`.

    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(8)
    >>> attack = SNNSquare(tiny.classifier(tiny.direct()), eps=0.1, max_iter=5)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x, y))).all())
    True
    """

    attack_params = PixelAttack.attack_params + ["p_init"]  # noqa: RUF005 - ART's own idiom
    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float = 8 / 255, max_iter: int = 1000,
        nb_random_init: int = 1, loss_type: str = "margin", p_init: float = 0.8, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.p_init = p_init
        super().__init__(estimator, norm, eps, max_iter, nb_random_init, loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if not 0 < self.p_init <= 1:
            raise ValueError(explain(f"p_init={self.p_init}", "a share in (0, 1]", "p_init=0.8"))

    def _search(self, problem: Problem) -> Search:
        if problem.x.dim() not in (4, 5):
            came = f"samples of shape {tuple(problem.x.shape[1:])}"
            raise ValueError(explain(came, "[C, H, W] or [T, C, H, W]", "reshape the input of the network to images"))
        return _RandomSquares(problem, int(self.max_iter), float(self.p_init))


class _RandomSquares(BallSearch):
    wants_gradient = False

    def __init__(self, problem: Problem, queries: int, p_init: float) -> None:
        super().__init__(problem)
        self.queries, self.p_init, self.done, self.radius = queries, p_init, 0, self.reach()
        shape = problem.x.shape[1:]
        self.shape = shape if len(shape) == 4 else (1, *shape)
        channels = self.shape[1]
        self.numbers = problem.uniform(queries, 3 + channels, salt=1)
        self.best = problem.x.clone()
        self.best_loss = torch.full((len(problem),), -torch.inf).to(problem.x)

    def first(self) -> Tensor:
        """Vertical stripes of one sign each, in the corners of the ball."""
        frames, channels, _, width = self.shape
        signs = (self.problem.uniform(channels, 1, width, salt=2) < 0.5).to(self.best) * 2 - 1
        stripes = signs.unsqueeze(1).expand(-1, frames, -1, self.shape[2], -1)
        return self.problem.x + self._amplitude(torch.ones((), dtype=torch.double)) * stripes.reshape(
            self.problem.x.shape
        )

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        self.best = torch.where(column(seen.loss > self.best_loss, point), point, self.best)
        self.best_loss = torch.maximum(self.best_loss, seen.loss)
        window, signs = self._window(self.numbers[:, self.done], window_share(self.done, self.queries, self.p_init))
        self.done += 1
        corner = self.problem.x + self._amplitude(window.double().mean()) * signs
        return torch.where(window, corner, self.best)

    def _window(self, numbers: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """A window per sample, and a sign per channel, both broadcast to the samples."""
        window = tube(numbers, self.shape, share)
        signs = ((numbers[:, 3:] < 0.5).to(self.best) * 2 - 1)[:, None, :, None, None]
        shape = (len(numbers), *self.shape)
        like = self.problem.x.shape
        return window.expand(shape).reshape(like), signs.expand(shape).reshape(like)

    def _amplitude(self, share: Tensor) -> Tensor | float:
        """Change per cell that spends the whole budget on the given share of cells."""
        cells = (share * self.problem.x[0].numel()).clamp(min=1.0)
        norm, reach = self.ball.norm, self.radius
        if norm == torch.inf:
            return reach
        return reach / cells.sqrt() if norm == 2 else reach / cells
