"""The margin loss: what a tie cannot break."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def margin(z: Tensor, y: Tensor) -> Tensor:
    r"""Untargeted margin :math:`\max_{j \ne y} z_j - z_y` of each sample; positive where the sample is broken.

    Unlike the difference-of-logits ratio it divides by nothing, so tied logits (frequent in spiking networks) are
    harmless.

    :param z: logits ``[N, K]``.
    :param y: labels, indices ``[N]`` or one-hot ``[N, K]``.

    >>> margin(torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([0])).tolist()
    [2.0]
    """
    index = y.argmax(1) if y.dim() == 2 else y.long()
    own = z.gather(1, index[:, None])
    others = z.scatter(1, index[:, None], -torch.inf)
    return others.amax(1) - own[:, 0]


class MarginLoss(nn.Module):
    """:func:`margin` as a loss object for ART, to be maximized.

    :param reduction: ``mean``, ``sum`` or ``none``.
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """The reduced margin."""
        each = margin(z, y)
        if self.reduction == "none":
            return each
        return each.mean() if self.reduction == "mean" else each.sum()
