r"""Potential-dependent surrogate: the slope is a Gaussian as wide as the membrane potentials themselves.

.. math:: h(v_t) = \frac{1}{\sqrt{2\pi}\,\sigma_t} \exp\Big(-\frac{(v_t - \sigma_t/2)^2}{2\sigma_t^2}\Big)

:math:`\sigma_t` is the population deviation of the membrane over steps 1..t: of each channel over space for
convolutional layers, over all features for linear ones; 1 where it is 0 up to rounding. It is taken per sample, so the
gradient of a sample never depends on its batch. The peak sits at :math:`v = \sigma/2`, above threshold. The attack
needs no knowledge of the training surrogate.

Source: Lun et al., CVPR 2025, arXiv 2503.03272 (which pools the deviation over the batch).
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from art_snn.gradients.base import GradientPolicy, Steered
from art_snn.gradients.neurons import stepwise_followers, swapped
from art_snn.gradients.spike import Slope, spike


def potential_slope(v: Tensor, sigma: Tensor) -> Tensor:
    r""":math:`h(v)` for a deviation :math:`\sigma > 0`.

    >>> round(potential_slope(torch.tensor(0.0), torch.tensor(1.0)).item(), 3)  # e^(-1/8) / sqrt(2 pi)
    0.352
    """
    return torch.exp(-(((v - sigma / 2) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))


class PDSG(GradientPolicy):
    """Potential-dependent surrogate gradients, for neurons that fire once in each step.

    >>> PDSG()
    PDSG()
    """

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        stepwise_followers(net, repr(self))

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:  # noqa: ARG002
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        return swapped({node: _PotentialSpike() for node in stepwise_followers(net, repr(self)).values()})

    def __repr__(self) -> str:
        return "PDSG()"


class _PotentialSpike(nn.Module):
    """One layer during one run, with the running moments of its membrane (merged as in Chan et al. 1979)."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.mean = torch.zeros(())
        self.squares = torch.zeros(())

    def forward(self, v: Tensor) -> Tensor:
        return spike(v, potential_slope, self._deviation(v.detach()))

    def fusible(self) -> Slope:
        return Slope(potential_slope, watch=lambda v: (self._deviation(v),))

    def _deviation(self, v: Tensor) -> Tensor:
        axes = tuple(range(2 if v.dim() > 2 else 1, v.dim()))
        size = math.prod(v.shape[axis] for axis in axes)
        mean = v.mean(axes, keepdim=True) if axes else v
        squares = ((v - mean) ** 2).sum(axes, keepdim=True) if axes else torch.zeros_like(v)
        total = self.count + size
        if self.count:
            gap = mean - self.mean
            squares = self.squares + squares + gap**2 * (self.count * size / total)
            mean = self.mean + gap * (size / total)
        self.count, self.mean, self.squares = total, mean, squares
        sigma = (squares / total).sqrt()
        rounding = 8 * torch.finfo(v.dtype).eps * mean.abs()
        return torch.where(sigma > rounding, sigma, torch.ones_like(sigma))
