r"""A patch on the sensor: within one window, at all times, the attacker decides what fires.

.. math:: x' = \mathrm{round}\,\mathrm{clip}\bigl((1 - M) \odot x + M \odot p,\, 0, 1\bigr), \qquad
          p \leftarrow \mathrm{clip}(p + \alpha\, \mathrm{sign}\, g,\, 0, 1)

M is a square, or the disk in it, at a place of its own for every sample and every run, or where the caller says. The
rounding is on the path: gradients are taken at the binary grid.

Source: AE-Patch and SPAA (adversarial patches on event cameras), as published.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion.grid import check_grids, column
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain
from art_snn.threats.flips import SpikeFlips
from art_snn.threats.patch import PatchArea, place

_SHAPES = ("square", "circle")


class EventPatch(NativeAttack):
    """A patch per recording; see the module's text. Binary grids ``[T, C, H, W]``.

    :param side: side of the patch, or diameter of the disk, in pixels.
    :param location: ``(row, column)`` of its upper left corner; ``None`` draws one per sample and run.
    :param shape: ``"square"`` or ``"circle"``.
    :param eps_step: step of p, in (0, 1].
    :raises ValueError: for a parameter out of range; in ``generate``, for samples that are no binary grids.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.native.NativeAttack`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = EventPatch(clf, side=2, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["side", "location", "shape", "eps_step", *NativeAttack.attack_params]  # noqa: RUF012

    def __init__(
        self, estimator: Any, side: int = 4, max_iter: int = 15, location: tuple[int, int] | None = None,
        shape: str = "square", eps_step: float = 0.3, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.side = side
        self.location = location
        self.shape = shape
        self.eps_step = eps_step
        super().__init__(estimator, max_iter, **kwargs)

    def _check_params(self) -> None:
        _ = self.threat
        super()._check_params()
        if self.shape not in _SHAPES:
            raise ValueError(explain(f"shape={self.shape!r}", f"one of {_SHAPES}", "shape='square'"))
        if not 0 < self.eps_step <= 1:
            raise ValueError(explain(f"eps_step={self.eps_step}", "a step in (0, 1]", "eps_step=0.3"))

    @property
    def threat(self) -> PatchArea:
        """The threat model: one window of the sensor."""
        return PatchArea(self.side)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial grids; see :class:`~art_snn.attacks.evasion.native.NativeAttack`.

        :raises ValueError: as the class says.
        """
        check_grids(x, SpikeFlips(0))
        if len(x.shape) != 5:
            came = f"samples of shape {tuple(x.shape[1:])}"
            raise ValueError(explain(came, "grids [T, C, H, W]", "give the frames their pixel axes"))
        if self.location is not None and not all(
            0 <= at < n for at, n in zip(self.location, x.shape[-2:], strict=True)
        ):
            came = f"location={self.location} on a sensor of {tuple(x.shape[-2:])} pixels"
            raise ValueError(explain(came, "(row, column) on the sensor", "location=(0, 0)"))
        return super().generate(x, y, **kwargs)

    def _search(self, problem: Problem) -> Search:
        return _Patch(problem, int(self.side), self.location, float(self.eps_step), round_one=self.shape == "circle")


class _Patch(Search):
    def __init__(
        self, problem: Problem, side: int, location: tuple[int, int] | None, step: float, *, round_one: bool
    ) -> None:
        super().__init__(problem)
        self.length = step
        high, wide = (min(side, size) for size in problem.x.shape[-2:])
        rows, columns = self._corner(location, high, wide)
        window = place(rows, columns, high, wide, problem.x)
        self.window = (window & self._disk(rows, columns, side)) if round_one else window
        self.paint = problem.x.clone()

    def first(self) -> Tensor:
        """The patch shows what is there already."""
        return self.problem.x.clone()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - the paint says where the point is
        """See :class:`Search`."""
        self.paint = (self.paint + self.length * seen.ascent.sign()).clamp(0, 1)
        return torch.where(self.window, self.paint.round(), self.problem.x)

    def _corner(self, location: tuple[int, int] | None, high: int, wide: int) -> tuple[Tensor, Tensor]:
        H, W = self.problem.x.shape[-2:]
        if location is not None:
            at = torch.tensor(location, device=self.problem.x.device).expand(len(self.problem), 2)
            return at[:, 0].clamp(max=H - high), at[:, 1].clamp(max=W - wide)
        u = self.problem.uniform(2, salt=6)
        room = torch.tensor([H - high + 1, W - wide + 1]).to(u)
        at = (u * room).floor().minimum(room - 1).long()
        return at[:, 0], at[:, 1]

    def _disk(self, rows: Tensor, columns: Tensor, side: int) -> Tensor:
        x = self.problem.x
        h = torch.arange(x.shape[-2], device=x.device)[None] - rows[:, None] - (side - 1) / 2
        w = torch.arange(x.shape[-1], device=x.device)[None] - columns[:, None] - (side - 1) / 2
        near = h[:, :, None] ** 2 + w[:, None, :] ** 2 <= (side / 2) ** 2
        return near[:, None, None] & column(torch.ones(len(x), dtype=torch.bool, device=x.device), x)
