r"""Shortest way from a point to a hyperplane, inside the range of legal values.

Find the :math:`d` of least norm with :math:`\langle w, d\rangle = c` and :math:`-below \le d \le above`. With the signs
of :math:`w` taken out, entry i moves by :math:`m_i \in [0, r_i]`, where :math:`r_i` is its room:

* L-infinity: :math:`m_i = \min(\tau, r_i)`; L2: :math:`m_i = \min(\lambda |w_i|, r_i)`; the level :math:`\tau` or
  :math:`\lambda` solves a piecewise linear equation, by sorting;
* L1: fill the entries with the largest :math:`|w_i|` first.

Where the range does not reach the plane, every entry goes as far as it can.

Source: Croce and Hein, "Minimally distorted adversarial examples with a fast adaptive boundary attack", ICML 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_hyperplane(w: Tensor, c: Tensor, below: Tensor, above: Tensor, norm: float) -> Tensor:
    """The shortest ``d [N, D]`` with ``<w, d> = c [N]``, within ``-below`` and ``above``.

    :param norm: ``inf``, 2 or 1.

    >>> w, room = torch.tensor([[1.0, 3.0]]), torch.full((1, 2), 9.0)
    >>> to_hyperplane(w, torch.tensor([2.0]), room, room, torch.inf).tolist()
    [[0.5, 0.5]]
    >>> to_hyperplane(w, torch.tensor([3.0]), room, room, 1.0).tolist()
    [[0.0, 1.0]]
    """
    side = torch.where(c < 0, -1.0, 1.0).to(w)[:, None]
    direction, need = w * side, c.abs()
    room = torch.where(direction > 0, above, below).clamp(min=0.0)
    slope = direction.abs()
    if norm == 1:
        moved = _greedy(slope, room, need)
    elif norm == 2:
        level = _level(room / slope.clamp(min=1e-300), slope**2, need)
        moved = torch.minimum(level * slope, room)
    else:
        moved = torch.minimum(_level(room, slope, need).expand_as(room), room)
    return direction.sign() * moved


def _level(breaks: Tensor, slope: Tensor, need: Tensor) -> Tensor:
    r"""Level :math:`\ell` with :math:`\sum_i s_i \min(\ell, b_i) = c`, else the largest break: ``[N, 1]``."""
    breaks, order = torch.where(slope > 0, breaks, torch.zeros_like(breaks)).sort(1)
    slope = slope.gather(1, order)
    full = (slope * breaks).cumsum(1)
    rest = slope.flip(1).cumsum(1).flip(1)
    filled = torch.cat([torch.zeros_like(full[:, :1]), full[:, :-1]], 1)
    reached = filled + breaks * rest >= need[:, None]
    first = reached.to(torch.uint8).argmax(1, keepdim=True)
    inside = (need[:, None] - filled.gather(1, first)) / rest.gather(1, first).clamp(min=1e-300)
    return torch.where(reached.any(1, keepdim=True), inside, breaks[:, -1:])


def _greedy(slope: Tensor, room: Tensor, need: Tensor) -> Tensor:
    slope, order = slope.sort(1, descending=True)
    room = torch.where(slope > 0, room.gather(1, order), torch.zeros_like(room))
    filled = (slope * room).cumsum(1)
    before = torch.cat([torch.zeros_like(filled[:, :1]), filled[:, :-1]], 1)
    missing = (need[:, None] - before).clamp(min=0.0)
    moved = torch.minimum(missing / slope.clamp(min=1e-300), room)
    return torch.zeros_like(moved).scatter(1, order, moved)
