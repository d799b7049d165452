r"""Lp threat models on images: :math:`\|x' - x\|_p \le \epsilon` with :math:`x'` in the range of legal values.

An epsilon never travels without its norm. Everything is computed in float64 from the two arrays alone; a projected
point is rounded *towards* the clean sample when it is cast back, so that float32 rounding cannot leave the ball.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from art_snn.errors import explain
from art_snn.threats import projection
from art_snn.threats.base import ThreatModel, in_kind_of, paired
from art_snn.threats.projection import largest

TOLERANCE = 1e-6
"""Relative slack of the ball, and slack of the range relative to its width: float32 dust."""


class PixelBudget(ThreatModel):
    """A ball around the clean sample, within the range of legal values.

    :param eps: radius, 0 or more; ``inf`` leaves only the range.
    :param clip_values: ``(low, high)`` of legal values, numbers or arrays that broadcast to a sample; ``None`` for no
        range.
    :raises ValueError: if ``eps`` is negative or NaN, or the range is empty.

    >>> budget = pixel_budget("inf", 0.5)
    >>> isinstance(budget, PixelBudget), budget.usage(torch.zeros(1, 2), torch.tensor([[0.0, 0.25]])).tolist()
    (True, [0.25])
    """

    norm: ClassVar[float]

    def __init__(self, eps: float, clip_values: Any = (0.0, 1.0)) -> None:
        if not float(eps) >= 0:
            raise ValueError(explain(f"eps={eps}", "a radius of 0 or more", f"{type(self).__name__}(8/255)"))
        self.eps = float(eps)
        self.clip_values = clip_values
        low, high = self.bounds(torch.zeros(1))
        if not bool((low <= high).all()):
            fix = f"{type(self).__name__}(eps, clip_values=(0.0, 1.0))"
            raise ValueError(explain(f"clip_values={clip_values}", "(low, high) with low <= high", fix))

    @abstractmethod
    def distance(self, delta: Tensor) -> Tensor:
        """Norm of each row of ``delta [N, D]``."""

    @abstractmethod
    def shrink(self, delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """Project the rows of ``delta [N, D]``; ``below`` and ``above`` are the room that the range leaves."""

    @property
    def is_zero(self) -> bool:
        """Whether the radius is 0."""
        return self.eps == 0

    def usage(self, x: Any, x_adv: Any) -> Any:
        """Distance of each sample, float64 ``[N]``, in the kind (array or tensor) of ``x``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        return in_kind_of(x, self.distance((point - clean).flatten(1)))

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether each sample is finite, in range and in the ball, bool ``[N]``, in the kind of ``x``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        near = self.distance((point - clean).flatten(1)) <= self.eps * (1 + TOLERANCE)
        return in_kind_of(x, self.in_range(clean, point) & near)

    def in_range(self, clean: Tensor, point: Tensor) -> Tensor:
        """Whether each sample is finite and in the range of legal values, bool ``[N]``."""
        low, high = self.bounds(clean)
        width = high - low
        slack = TOLERANCE * torch.where(torch.isfinite(width), width, torch.ones_like(width))
        legal = torch.isfinite(point) & (point >= low - slack) & (point <= high + slack)
        return legal.flatten(1).all(1)

    def project(self, x: Any, x_adv: Any) -> Any:
        """Bring each sample back into ball and range, in the kind and dtype of ``x``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        low, high = self.bounds(clean)
        below, above = (clean - low).flatten(1), (high - clean).flatten(1)
        delta = self.shrink((point - clean).flatten(1), below.expand_as(clean.flatten(1)), above)
        moved = clean + delta.view_as(clean)
        return in_kind_of(x, _cast_towards(clean, moved, torch.as_tensor(x).dtype))

    def bounds(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest and largest legal values, in the shape of ``clean`` and in float64."""
        clean = clean.double()
        if self.clip_values is None:
            return torch.full_like(clean, -math.inf), torch.full_like(clean, math.inf)
        bounds = (_on(value, clean) for value in self.clip_values)
        low, high = (value.expand(torch.broadcast_shapes(value.shape, clean.shape)) for value in bounds)
        return low, high

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.eps:.6g})"


class Linf(PixelBudget):
    r""":math:`\max_i |\delta_i| \le \epsilon`.

    >>> threat = Linf(0.25)
    >>> x, far = torch.tensor([[0.5, 0.9]]), torch.tensor([[0.0, 2.0]])
    >>> threat.project(x, far).tolist(), threat.contains(x, far).tolist()
    ([[0.25, 1.0]], [False])
    """

    norm = math.inf

    def distance(self, delta: Tensor) -> Tensor:
        """Largest change of a row."""
        return delta.abs().amax(1)

    def shrink(self, delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """See :func:`art_snn.threats.projection.linf`."""
        return projection.linf(delta, self.eps, below, above)


class L2(PixelBudget):
    r""":math:`\sqrt{\sum_i \delta_i^2} \le \epsilon`.

    >>> L2(1.0, clip_values=None).project(torch.zeros(1, 2), torch.tensor([[0.0, 5.0]])).tolist()
    [[0.0, 1.0]]
    """

    norm = 2.0

    def distance(self, delta: Tensor) -> Tensor:
        """Euclidean length of a row."""
        return delta.norm(dim=1)

    def shrink(self, delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """See :func:`art_snn.threats.projection.l2`."""
        return projection.l2(delta, self.eps, below, above)


class L1(PixelBudget):
    r""":math:`\sum_i |\delta_i| \le \epsilon`; the projection is the nearest point of ball and range.

    >>> L1(1.0).project(torch.zeros(1, 2), torch.tensor([[2.0, 0.5]])).tolist()
    [[1.0, 0.0]]
    """

    norm = 1.0

    def distance(self, delta: Tensor) -> Tensor:
        """Sum of the changes of a row."""
        return delta.abs().sum(1)

    def shrink(self, delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """See :func:`art_snn.threats.projection.l1`."""
        return projection.l1(delta, self.eps, below, above)


class L0(PixelBudget):
    r"""At most :math:`\epsilon` pixels change, each in all of its channels.

    Channels are the third axis from the end; samples of fewer than three axes have one value per pixel.

    >>> x, far = torch.zeros(1, 2, 1, 3), torch.tensor([[[[0.0, 0.5, 0.6]], [[0.0, 0.5, 0.0]]]])
    >>> L0(1).project(x, far).tolist(), L0(1).usage(x, far).tolist()
    ([[[[0.0, 0.5, 0.0]], [[0.0, 0.5, 0.0]]]], [2.0])
    """

    norm = 0.0

    def usage(self, x: Any, x_adv: Any) -> Any:
        """Number of changed pixels of each sample, float64 ``[N]``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        return in_kind_of(x, self.distance(pixel_lengths(point - clean)))

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether each sample is finite, in range and changed in few enough pixels, bool ``[N]``.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        return in_kind_of(x, self.in_range(clean, point) & (self.distance(pixel_lengths(point - clean)) <= self.eps))

    def project(self, x: Any, x_adv: Any) -> Any:
        """Clip to the range, and undo all but the pixels of largest change, the first among equals.

        :raises ValueError: if the shapes differ.
        """
        clean, point = paired(x, x_adv)
        low, high = self.bounds(clean)
        moved = torch.minimum(torch.maximum(point, low), high)
        kept = pixels_kept(clean, largest(pixel_lengths(moved - clean), self.eps))
        return in_kind_of(x, torch.where(kept, moved, clean).to(torch.as_tensor(x).dtype))

    def distance(self, delta: Tensor) -> Tensor:
        """Number of changes of a row with one entry per pixel."""
        return (delta != 0).sum(1).double()

    def shrink(self, delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
        """The largest changes of a row with one entry per pixel, clipped to the range."""
        moved = projection.clip_to_room(delta, below, above)
        return torch.where(largest(moved.abs(), self.eps), moved, torch.zeros_like(moved))


def pixel_lengths(delta: Tensor) -> Tensor:
    """Euclidean length of the change of each pixel, over its channels, ``[N, pixels]``."""
    return (delta.norm(dim=-3) if delta.dim() >= 4 else delta.abs()).flatten(1)


def pixels_kept(like: Tensor, kept: Tensor) -> Tensor:
    """``kept [N, pixels]`` as a mask that broadcasts over the channels of ``like [N, *]``."""
    if like.dim() < 4:
        return kept.view_as(like)
    shape = (*like.shape[:-3], 1, *like.shape[-2:])
    return kept.view(shape)


def pixel_budget(norm: float | str, eps: float, clip_values: Any = (0.0, 1.0)) -> PixelBudget:
    """The threat model of a norm in ART's words: ``np.inf`` or ``"inf"``, 2, 1, 0.

    :param norm: ``inf``, 2, 1 or 0, as ART spells them.
    :param eps: radius.
    :param clip_values: legal range, or none.
    :raises ValueError: for another norm.

    >>> pixel_budget("inf", 0.5), pixel_budget(2, 0.5)
    (Linf(0.5), L2(0.5))
    """
    for kind in (Linf, L2, L1, L0):
        if str(norm) == "inf" and kind is Linf:
            return Linf(eps, clip_values)
        if not isinstance(norm, str) and float(norm) == kind.norm:
            return kind(eps, clip_values)
    raise ValueError(explain(f"norm={norm!r}", "np.inf, 2, 1 or 0", "norm=np.inf"))


def _on(value: Any, like: Tensor) -> Tensor:
    """A bound, where ``like`` is; a number is not copied there, so that no device waits."""
    if isinstance(value, int | float):
        return torch.full((), value, dtype=like.dtype, device=like.device)
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def _cast_towards(clean: Tensor, moved: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast ``moved`` so that rounding never increases a distance to ``clean``."""
    cast = moved.to(dtype)
    origin = clean.to(dtype)
    too_far = (cast.double() - clean).abs() > (moved - clean).abs()
    return torch.where(too_far, torch.nextafter(cast, origin), cast)
