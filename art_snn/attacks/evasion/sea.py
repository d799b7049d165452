r"""The best legal step for a linear loss on the Hamming ball.

With g the gradient of the loss and :math:`d_i` the legal change of cell i (+1 to add an event, -1 to delete one),

.. math:: \max_{S, |S| \le k} \sum_{i \in S} d_i g_i, \qquad d_i = \begin{cases} 1 - x_i & g_i > 0 \\ -x_i & g_i < 0
          \end{cases}

is reached by the k cells with the largest :math:`d_i g_i > 0`. On counts :math:`d_i = \pm 1` wherever the cell allows
it.

Source: SEA, ICLR 2025 (one step).
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.threats.flips import SpikeFlips
from art_snn.threats.projection import largest


def flip_gain(x: Tensor, g: Tensor, threat: SpikeFlips) -> Tensor:
    """First-order gain of the better legal single event in each cell, of the shape of ``x``; 0 where there is none.

    >>> flip_gain(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[2.0, -3.0, -1.0]]), SpikeFlips(1)).tolist()
    [[2.0, 3.0, 0.0]]
    """
    up, down = threat.moves(x)
    return torch.where(((g > 0) & up) | ((g < 0) & down), g.abs(), 0.0)


def sea_step(x: Tensor, g: Tensor, threat: SpikeFlips) -> Tensor:
    """The legal grid that maximizes the linear loss ``(g * x').sum()`` within ``threat`` around ``x``.

    :param x: legal grids ``[N, *]``.
    :param g: gradient of the loss, of the same shape.
    :param threat: what may change.
    :return: grids of the shape and dtype of ``x``.

    >>> sea_step(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[2.0, -3.0, -1.0]]), SpikeFlips(1)).tolist()
    [[0.0, 0.0, 0.0]]
    """
    gain = flip_gain(x, g, threat)
    chosen = largest(gain.flatten(1), threat.k).view_as(x)
    return x + torch.where(chosen, g.sign(), torch.zeros_like(g)).to(x)
