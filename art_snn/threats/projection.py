r"""Projections of a difference :math:`\delta = x' - x` onto a ball, intersected with the range of legal values.

Everything is computed in the dtype of the arguments; :mod:`art_snn.threats.pixel` calls it in float64.

``linf``: :math:`\delta \leftarrow \mathrm{clip}(\delta, -\epsilon, \epsilon)`, then the range: exact.
``l2``: :math:`\delta \leftarrow \delta \min(1, \epsilon/\|\delta\|_2)`, then the range; a legal point, not the nearest.
``l1``: the nearest point. With :math:`b_i` the room that the range leaves in the direction of :math:`\delta_i`,

.. math:: \delta_i \leftarrow \mathrm{sign}(\delta_i)\,\mathrm{clip}(|\delta_i| - \mu, 0, b_i), \qquad
          \mu = \min\{\mu \ge 0 : \sum_i |\delta_i| \le \epsilon\},

where :math:`\mu` is found by sorting the break points of a piecewise linear function.

Source: Croce and Hein, "Mind the box", ICML 2021 (L1 and box).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clip_to_room(delta: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Clip ``delta`` to ``[-below, above]``: the range of legal values, seen from the clean sample."""
    return torch.minimum(torch.maximum(delta, -below), above)


def linf(delta: Tensor, eps: float, below: Tensor, above: Tensor) -> Tensor:
    """Nearest point of the L-infinity ball and the range; ``delta``, ``below`` and ``above`` are ``[N, D]``.

    >>> room = torch.ones(1, 2)
    >>> linf(torch.tensor([[0.5, -2.0]]), 1.0, room, room).tolist()
    [[0.5, -1.0]]
    """
    return clip_to_room(delta.clamp(-eps, eps), below, above)


def l2(delta: Tensor, eps: float, below: Tensor, above: Tensor) -> Tensor:
    """Scale to the L2 ball, then clip to the range.

    >>> room = torch.full((1, 2), 9.0)
    >>> l2(torch.tensor([[3.0, 4.0]]), 1.0, room, room).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    norm = delta.norm(dim=1, keepdim=True)
    return clip_to_room(delta * (eps / norm.clamp(min=1e-300)).clamp(max=1.0), below, above)


def l1(delta: Tensor, eps: float, below: Tensor, above: Tensor) -> Tensor:
    """Nearest point of the L1 ball and the range.

    >>> room = torch.full((1, 2), 9.0)
    >>> l1(torch.tensor([[3.0, -1.0]]), 2.0, room, room).tolist()
    [[2.0, -0.0]]
    """
    size = delta.abs()
    room = torch.minimum(torch.where(delta > 0, above, below).clamp(min=0.0), size)
    if not math.isfinite(eps):
        return torch.sign(delta) * room
    threshold = _threshold(size, room, eps)
    return torch.sign(delta) * torch.minimum((size - threshold).clamp(min=0.0), room)


def largest(value: Tensor, k: float) -> Tensor:
    """Where the ``k`` largest positive entries of each row are, the first among equals; bool ``[N, D]``.

    >>> largest(torch.tensor([[2.0, 0.0, 2.0, -1.0, 3.0]]), 2).tolist()
    [[True, False, False, False, True]]
    """
    rank = value.sort(dim=1, descending=True, stable=True).indices.argsort(dim=1)
    return (rank < k) & (value > 0)


def _threshold(size: Tensor, room: Tensor, eps: float) -> Tensor:
    r"""Smallest :math:`\mu \ge 0` with :math:`f(\mu) \le \epsilon`, ``[N, 1]``.

    :math:`f(\mu) = \sum_i \mathrm{clip}(a_i - \mu, 0, b_i)` falls
    with slope -1 per entry between its break points :math:`a_i - b_i \ge 0` and :math:`a_i`.
    """
    breaks, order = torch.cat([size - room, size], 1).sort(1)
    change = torch.cat([torch.ones_like(size), -torch.ones_like(size)], 1).gather(1, order)
    active = change.cumsum(1)
    falls = active[:, :-1] * breaks.diff(dim=1)
    total = room.sum(1, keepdim=True)
    value = torch.cat([total, total - falls.cumsum(1)], 1)
    first = (value <= eps).to(torch.uint8).argmax(1, keepdim=True)
    slope = active.gather(1, (first - 1).clamp(min=0)).clamp(min=1.0)
    inside = breaks.gather(1, first) - (eps - value.gather(1, first)) / slope
    return torch.where(total <= eps, torch.zeros_like(total), inside.clamp(min=0.0))
