r"""Frank-Wolfe on the Hamming ball, with momentum: the best linear step, from the clean grid, again and again.

.. math::
   m &\leftarrow \mu m + g / \mathrm{mean}|g|, \qquad g = \nabla_{x'} L(x') \text{ at the legal grid } x', \\
   x' &\leftarrow \arg\max_{\|x' - x\|_0 \le k} \langle m, x' \rangle

The step is exact (:func:`~art_snn.attacks.evasion.sea.sea_step`). With one iteration it is SEA; a single large linear
step is close to random, the iteration is what works. Every visited grid is legal, and any of them can be the success.

With ``frames`` only those time steps may change. That is the Sparse attack on event cameras, repaired: the original
never selected its frames, so that it changed the first one alone, by real values without a limit.

Source: SEA, ICLR 2025; the Sparse attack of DVS-Attacks, IJCNN 2021; iteration and momentum are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import GridAttack, GridSearch
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain


class HammingFW(GridAttack):
    """Frank-Wolfe on the Hamming ball; see the module's text.

    :param momentum: share of the previous direction that is kept, in [0, 1).
    :param frames: time steps that may change; ``None`` for all.
    :raises ValueError: for a momentum or frames out of range.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> x_adv = HammingFW(clf, k=3, max_iter=4).generate(x)
    >>> bool(((x_adv != x).reshape(5, -1).sum(1) <= 3).all()), np.unique(x_adv).tolist()
    (True, [0.0, 1.0])
    """

    attack_params = ["momentum", "frames", *GridAttack.attack_params]  # noqa: RUF012 - ART's own idiom

    def __init__(
        self, estimator: Any, k: float = 20, max_iter: int = 50, momentum: float = 0.9,
        frames: Sequence[int] | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.momentum = momentum
        self.frames = frames
        super().__init__(estimator, k, max_iter, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if not 0 <= self.momentum < 1:
            raise ValueError(explain(f"momentum={self.momentum}", "a share in [0, 1)", "momentum=0.9"))
        if self.frames is not None and (len(self.frames) == 0 or min(self.frames) < 0):
            raise ValueError(explain(f"frames={self.frames}", "numbers of time steps from 0", "frames=(0, 1)"))

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial grids; see :class:`~art_snn.attacks.evasion.grid.GridAttack`.

        :raises ValueError: also for a frame that the grids do not have.
        """
        if self.frames is not None:
            given = kwargs.get("mask")
            open_frames = frame_mask(np.shape(x)[1:], self.frames)
            kwargs["mask"] = open_frames if given is None else open_frames * (np.asarray(given) != 0)
        return super().generate(x, y, **kwargs)

    def _search(self, problem: Problem) -> Search:
        return _FrankWolfe(problem, self._first_runs(problem), float(self.momentum))


def frame_mask(shape: Sequence[int], frames: Sequence[int]) -> np.ndarray[Any, np.dtype[Any]]:
    """1 in the given time steps of a grid ``[T, *]``, else 0.

    :raises ValueError: for a time step that is not there.

    >>> frame_mask((3, 1), [1]).tolist()
    [[0.0], [1.0], [0.0]]
    """
    if max(frames) >= shape[0]:
        raise ValueError(explain(f"frames={list(frames)}", f"time steps below T = {shape[0]}", "frames=(0,)"))
    mask = np.zeros(tuple(shape), dtype=np.float32)
    mask[list(frames)] = 1.0
    return mask


class _FrankWolfe(GridSearch):
    def __init__(self, problem: Problem, first_runs: Tensor, momentum: float) -> None:
        super().__init__(problem, first_runs)
        self.momentum = momentum
        self.direction = torch.zeros_like(problem.x)

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - each step starts from the clean grid
        """See :class:`Search`."""
        grad = seen.ascent
        scaled = grad / across(grad.abs().flatten(1).mean(1), grad)
        self.direction = self.momentum * self.direction + scaled
        return self.step(self.direction)
