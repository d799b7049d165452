r"""Distances between spike trains.

A train is a list of spike times :math:`t_1 < \dots < t_n`.

*van Rossum*: both trains are filtered with :math:`e^{-t/\tau}`; the squared distance is the integral of the squared
difference over :math:`\tau`, in closed form

.. math:: D^2 = \tfrac12 \sum_{ij} e^{-|t_i-t_j|/\tau} + \tfrac12 \sum_{ij} e^{-|u_i-u_j|/\tau} -
   \sum_{ij} e^{-|t_i-u_j|/\tau},

so that one spike is :math:`\sqrt{1/2}` away from none, and far spikes are 1 apart.

*Victor-Purpura*: the cheapest way to turn one train into the other, where inserting or deleting a spike costs 1 and
moving it by :math:`\Delta` costs :math:`q|\Delta|`. At q = 0 it is the difference of the counts, for large q the number
of spikes that do not coincide.

Source: van Rossum 2001; Victor and Purpura 1996.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.errors import explain, summary


def spike_times(s: Tensor) -> list[Tensor]:
    """Times of the spikes of each unit, float64, in steps.

    :param s: ``[T, *]``; the units are the flattened rest.

    >>> [times.tolist() for times in spike_times(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))]
    [[0.0, 2.0], [2.0]]
    """
    flat = s.reshape(s.shape[0], -1)
    return [unit.nonzero().flatten().double() for unit in flat.T]


def van_rossum(a: Tensor, b: Tensor, tau: float) -> float:
    r"""Van Rossum distance of two lists of spike times.

    :param a: spike times ``[n]``.
    :param b: spike times ``[m]``, same unit.
    :param tau: time constant of the filter, same unit.
    :raises ValueError: if a train is not one-dimensional or ``tau`` is not positive.

    >>> van_rossum(torch.tensor([3.0]), torch.tensor([]), tau=1.0) == 0.5**0.5
    True
    """
    _check(a, b)
    if not tau > 0:
        raise ValueError(explain(f"tau={tau}", "a positive time constant", "van_rossum(a, b, tau=10.0)"))
    a, b = a.double(), b.double()
    square = 0.5 * _overlap(a, a, tau) + 0.5 * _overlap(b, b, tau) - _overlap(a, b, tau)
    return math.sqrt(max(square, 0.0))


def _overlap(a: Tensor, b: Tensor, tau: float) -> float:
    return float(torch.exp(-(a[:, None] - b).abs() / tau).sum())


def victor_purpura(a: Tensor, b: Tensor, q: float) -> float:
    """Victor-Purpura distance of two lists of spike times.

    :param a: spike times ``[n]``, in any order.
    :param b: spike times ``[m]``, same unit.
    :param q: cost of moving a spike by one unit of time.
    :raises ValueError: if a train is not one-dimensional or ``q`` is negative.

    >>> victor_purpura(torch.tensor([1.0, 5.0]), torch.tensor([2.0]), q=0.5)
    1.5
    """
    _check(a, b)
    if not q >= 0:
        raise ValueError(explain(f"q={q}", "a cost that is not negative", "victor_purpura(a, b, q=0.5)"))
    first, second = sorted(a.tolist()), sorted(b.tolist())
    row = [float(j) for j in range(len(second) + 1)]
    for i, t in enumerate(first, 1):
        above, row = row, [float(i)]
        for j, u in enumerate(second, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + q * abs(t - u)))
    return row[-1]


def _check(a: Tensor, b: Tensor) -> None:
    for train in (a, b):
        if train.dim() != 1:
            fix = "pass spike times, e.g. the elements of spike_times(s)"
            raise ValueError(explain(summary(train), "a one-dimensional list of spike times", fix))
