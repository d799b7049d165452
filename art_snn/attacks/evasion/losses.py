r"""Losses that an attack maximizes, one value per sample.

.. math::
   \text{ce} &= -\log \mathrm{softmax}(z)_y \\
   \text{margin} &= \max_{j \ne y} z_j - z_y \\
   \text{dlr} &= \frac{\max_{j \ne y} z_j - z_y}{z_{(1)} - z_{(3)} + 10^{-12}} \\
   \text{dlr\_targeted} &= \frac{z_t - z_y}{z_{(1)} - \tfrac12 (z_{(3)} + z_{(4)}) + 10^{-12}}

Logits of spiking networks tie, so no loss divides by a gap without a floor: where the denominator of ``dlr`` is below
:math:`10^{-6} (1 + |z_{(1)}|)` the undivided difference stands in. Maxima share their gradient among ties.

Source: Croce and Hein, ICML 2020 (dlr).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits ``[N, K]`` and labels ``[N]`` to one value per sample, ``[N]``."""

_FLOOR = 1e-6
_DUST = 1e-12


def ce(z: Tensor, y: Tensor) -> Tensor:
    """Cross entropy of each sample.

    >>> ce(torch.zeros(1, 2), torch.tensor([0])).item() == torch.tensor(2.0).log().item()
    True
    """
    return F.cross_entropy(z, y, reduction="none")


def best_other(z: Tensor, y: Tensor) -> Tensor:
    """Largest logit of another class than ``y``, ``[N]``."""
    own = y[:, None] == torch.arange(z.shape[1], device=z.device)
    return z.masked_fill(own, -torch.inf).amax(1)


def margin(z: Tensor, y: Tensor) -> Tensor:
    """Best other logit minus the logit of ``y``: above 0 where the sample is misclassified.

    >>> margin(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0])).item()
    -1.0
    """
    return best_other(z, y) - z.gather(1, y[:, None])[:, 0]


def dlr(z: Tensor, y: Tensor) -> Tensor:
    """Margin in units of the gap between the first and the third logit; the margin itself below three classes.

    >>> dlr(torch.zeros(1, 4), torch.tensor([0])).item()
    0.0
    """
    if z.shape[1] < 3:
        return margin(z, y)
    top = z.topk(3, dim=1).values
    return _divided(margin(z, y), top[:, 0] - top[:, 2], top[:, 0])


def difference(z: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Logit of ``target`` minus that of ``y``: above 0 where ``target`` wins over ``y``.

    >>> difference(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), torch.tensor([1])).item()
    -2.0
    """
    return z.gather(1, target[:, None])[:, 0] - z.gather(1, y[:, None])[:, 0]


def dlr_targeted(z: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Logit of ``target`` minus that of ``y``, scaled by the spread of the largest; unscaled below four classes.

    >>> dlr_targeted(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), torch.tensor([1])).item()
    -2.0
    """
    if z.shape[1] < 4:
        return difference(z, y, target)
    top = z.topk(4, dim=1).values
    return _divided(difference(z, y, target), top[:, 0] - (top[:, 2] + top[:, 3]) / 2, top[:, 0])


def _divided(value: Tensor, gap: Tensor, largest: Tensor) -> Tensor:
    tied = gap < _FLOOR * (1 + largest.abs())
    return value / torch.where(tied, torch.ones_like(gap), gap + _DUST)


LOSSES: dict[str, Loss] = {"ce": ce, "margin": margin, "dlr": dlr}
"""Untargeted losses by name."""

WITH_TARGET = {"dlr_targeted": dlr_targeted, "difference": difference}
"""Losses towards a class of their own choice, by name."""


def towards(loss: str, z: Tensor, target: Tensor) -> Tensor:
    """The same loss, maximized where the model answers ``target``."""
    return -LOSSES[loss](z, target)
