r"""Count loss: the label's neuron should fire ``desired`` times, every other one ``undesired`` times.

With the spike count :math:`n_k` and :math:`\delta_k = (n_k - target_k)/T`, set to 0 where the label fires more than
desired or another class less than undesired,

.. math:: L = \tfrac12 \sum_{t,n,k} \delta^2 = \tfrac T2 \sum_{n,k} \delta^2, \qquad
   \partial L/\partial o_{t,k} = \delta_k .

Source: Zhang and Li, TSSL-BP, NeurIPS 2020; Zhu et al., NeurIPS 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.losses.base import check_output
from art_snn.errors import explain


def count_loss(o: Tensor, y: Tensor, desired: float, undesired: float = 0.0) -> Tensor:
    """Sum over samples of the count loss of output spikes ``o [T, N, K]`` and labels ``y [N]``.

    >>> count_loss(torch.zeros(4, 1, 2), torch.tensor([0]), desired=2.0).item()
    0.5
    """
    check_output(o, y)
    label = nn.functional.one_hot(y, o.shape[2]).bool()
    delta = (o.sum(0) - torch.where(label, desired, undesired)) / o.shape[0]
    delta = torch.where(label, delta.clamp(max=0.0), delta.clamp(min=0.0))
    return 0.5 * o.shape[0] * (delta**2).sum()


class CountLoss(nn.Module):
    """Count loss, see :func:`count_loss`.

    :param desired: spikes of the label's neuron.
    :param undesired: spikes allowed to every other one.
    :raises ValueError: unless ``0 <= undesired < desired``.

    >>> CountLoss(desired=10, undesired=1)(torch.zeros(12, 2, 3), torch.tensor([0, 1])).item() > 0
    True
    """

    def __init__(self, desired: float, undesired: float = 0.0) -> None:
        super().__init__()
        if not 0 <= undesired < desired:
            came = f"desired={desired}, undesired={undesired}"
            raise ValueError(explain(came, "0 <= undesired < desired", "CountLoss(desired=4, undesired=1)"))
        self.desired, self.undesired = float(desired), float(undesired)

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        """Loss of output spikes ``[T, N, K]`` and labels ``[N]``, summed over the batch."""
        return count_loss(o, y, self.desired, self.undesired)
