r"""Square attack on spike grids: random search over windows, one forward pass per query.

At query i a box of a share p(i) of the cells (:func:`~art_snn.attacks.evasion.windows.tube`) is drawn per sample, with
one sign per channel: in the box every cell gains an event, or loses one, where that is legal. Of all changes, those in
the box and those already found outside, a random k stay. A proposal is kept where the loss rises. The schedule of p is
that of :class:`~art_snn.attacks.evasion.SNNSquare`.

Source: Andriushchenko et al., "Square Attack", ECCV 2020; boxes in time and the Hamming budget are ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import GridAttack, GridSearch
from art_snn.attacks.evasion.record import column
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.snn_square import window_share
from art_snn.attacks.evasion.victim import Seen
from art_snn.attacks.evasion.windows import tube
from art_snn.errors import explain


class EventSquare(GridAttack):
    """Square attack on spike grids: ``max_iter`` queries per run, no gradient; see the module's text.

    :param p_init: share of cells that the first box covers.
    :raises ValueError: for ``p_init`` out of range; in ``generate``, for samples that are not ``[T, C, H, W]``.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = EventSquare(clf, k=3, max_iter=5)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["p_init", *GridAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 500, p_init: float = 0.3, loss_type: str = "margin",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self.p_init = p_init
        super().__init__(estimator, k, max_iter, loss_type=loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if not 0 < self.p_init <= 1:
            raise ValueError(explain(f"p_init={self.p_init}", "a share in (0, 1]", "p_init=0.3"))

    def _search(self, problem: Problem) -> Search:
        if problem.x.dim() != 5:
            came = f"samples of shape {tuple(problem.x.shape[1:])}"
            raise ValueError(explain(came, "grids [T, C, H, W]", "give the frames their pixel axes"))
        return _Boxes(problem, self._first_runs(problem), int(self.max_iter), float(self.p_init))


class _Boxes(GridSearch):
    wants_gradient = False

    def __init__(self, problem: Problem, first_runs: Tensor, queries: int, p_init: float) -> None:
        super().__init__(problem, first_runs)
        self.queries, self.p_init, self.done = queries, p_init, 0
        self.numbers = problem.uniform(queries, 3 + problem.x.shape[2], salt=1)
        self.best = problem.x.clone()
        self.best_loss = torch.full((len(problem),), -torch.inf).to(problem.x)

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        self.best = torch.where(column(seen.loss > self.best_loss, point), point, self.best)
        self.best_loss = torch.maximum(self.best_loss, seen.loss)
        numbers, share = self.numbers[:, self.done], window_share(self.done, self.queries, self.p_init)
        self.done += 1
        sign = ((numbers[:, 3:] < 0.5).to(self.best) * 2 - 1)[:, None, :, None, None]
        window = tube(numbers, self.problem.x.shape[1:], share)
        wish = torch.where(window, sign.expand_as(self.best), (self.best - self.problem.x).sign())
        weight = self.problem.uniform(*self.best.shape[1:], salt=40 + self.done) + 0.5
        return self.step(wish * weight)
