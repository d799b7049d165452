r"""Event frames with a gradient for every event: from cells back to weights and time stamps.

Frames of weighted events are sums, :math:`F_{b,c} = \sum_e w_e\,1[e \text{ in bin } b \text{ and cell } c]`, so with
:math:`G = \partial L/\partial F` the gradient of a weight is the gradient of its cell, exactly:

.. math:: \frac{\partial L}{\partial w_e} = G_{b(e), c(e)} .

Deleting the event changes a linear loss by :math:`-G`. Bins are steps in time, without slope. The slope of a time stamp
is that of the linear interpolation between the centers of the two nearest bins, :math:`\Delta` apart,

.. math:: \frac{\partial L}{\partial t_e} := w_e\,\frac{G_{b+1,c(e)} - G_{b,c(e)}}{\Delta},

:math:`b` the last bin whose center is not after :math:`t_e`; beyond the first and last center it is 0. Summed over a
way from one center to the next it is exactly the change of a linear loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.frames import bin_events, event_bins


def project_events(
    t: Tensor, x: Tensor, y: Tensor, p: Tensor, T: int, size: tuple[int, int], span: tuple[int, int],
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Count frames ``[T, 2, H, W]`` as :func:`bin_events` makes them, differentiable in ``weight`` and ``t``.

    :param t: time stamps ``[E]``; a floating-point tensor takes a gradient (use float64: float32 rounds microseconds
        from 16.8 s on).
    :param x: columns ``[E]``.
    :param y: rows ``[E]``.
    :param p: polarities ``[E]``, 0 or 1.
    :param T: number of frames.
    :param size: ``(H, W)``.
    :param span: first and one-past-last time of the frames.
    :param weight: weights ``[E]``; 1 by default, which gives counts.
    :raises ValueError: for an event outside the frame or the span.

    >>> t = torch.tensor([4.0, 6.0], dtype=torch.float64, requires_grad=True)
    >>> zeros = torch.zeros(2, dtype=torch.long)
    >>> frames = project_events(t, zeros, zeros, zeros, 2, (1, 1), span=(0, 20))
    >>> (frames * torch.tensor([0.0, 30.0]).reshape(2, 1, 1, 1)).sum().backward()
    >>> t.grad.tolist()
    [0.0, 3.0]
    """
    bin_events(t.detach().floor(), x, y, p, T, size, span=span)
    weight = torch.ones(t.shape, device=t.device) if weight is None else weight
    shape = (T, 2, *size)
    cell = (p.long() * size[0] + y.long()) * size[1] + x.long()
    bins = event_bins(t.detach().floor(), T, span=span)
    frames = _sum(bins, cell, weight, shape)
    if not t.requires_grad:
        return frames
    width = (span[1] - span[0]) / T
    place = (t - span[0]) / width - 0.5
    before = place.detach().floor().long()
    between = (before >= 0) & (before < T - 1)
    share = torch.where(between, place - before, torch.zeros_like(place)).to(weight.dtype) * weight.detach()
    after = (before + 1).clamp(0, T - 1)
    moving = _sum(after, cell, share, shape) - _sum(before.clamp(0, T - 1), cell, share, shape)
    return frames + (moving - moving.detach())


def _sum(bins: Tensor, cell: Tensor, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Frames that hold, at each event's bin and cell, the sum of the weights."""
    steps, planes, height, width = shape
    flat = torch.zeros(steps * planes * height * width, dtype=weight.dtype, device=weight.device)
    return flat.index_add(0, bins * (planes * height * width) + cell, weight).reshape(shape)
