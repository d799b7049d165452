r"""Relative target: the label should fire first, the others a little later; nobody is told when.

With first-spike times :math:`\tau_k \in \{0..T\}` (T is silence) and :math:`\tau_m = \min_k \tau_k`, the target of the
label is :math:`\tau_m`, that of any other class is :math:`\min(\tau_m + \gamma, T)` if it fired less than
:math:`\gamma` later and its own time otherwise. If nobody fired, the label's target is :math:`T - \gamma`, the others'
T. The loss is
:math:`L = \frac12 \sum_k ((\tau_k - target_k)/T)^2`, targets held constant.

Source: Kheradpisheh and Masquelier, S4NN, 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.first_spike import first_spike
from art_snn.coding.losses.base import check_output
from art_snn.errors import explain


def relative_target(tau: Tensor, y: Tensor, T: int, gamma: float = 3.0) -> Tensor:
    """Target times ``[N, K]`` for first-spike times ``tau [N, K]`` and labels ``y [N]``.

    >>> relative_target(torch.tensor([[4.0, 2.0, 9.0]]), torch.tensor([0]), T=10).tolist()
    [[2.0, 5.0, 9.0]]
    """
    earliest = tau.amin(1, keepdim=True)
    label = nn.functional.one_hot(y, tau.shape[1]).bool()
    others = torch.where(tau - earliest < gamma, (earliest + gamma).clamp(max=T), tau)
    target = torch.where(label, earliest, others)
    nobody = torch.where(label, T - gamma, float(T)).to(tau.dtype)
    return torch.where(earliest >= T, nobody, target)


def s4nn_error(tau: Tensor, y: Tensor, T: int, gamma: float = 3.0) -> Tensor:
    """The normalized error signal ``(target - tau)/T`` of S4NN, each row of length 1 or 0; ``[N, K]``.

    :param tau: first spike times ``[N, K]``.
    :param y: labels ``[N]``.
    :param T: number of time steps.
    :param gamma: how much later the others should fire.

    >>> s4nn_error(torch.tensor([[4.0, 2.0]]), torch.tensor([1]), T=10).tolist()
    [[1.0, 0.0]]
    """
    error = (relative_target(tau, y, T, gamma) - tau) / T
    length = error.norm(dim=1, keepdim=True)
    return torch.where(length > 0, error / length.clamp(min=torch.finfo(tau.dtype).tiny), 0.0)


class RelativeTargetLoss(nn.Module):
    r"""Squared distance of first-spike times from their relative targets, averaged over the batch.

    :param gamma: :math:`\gamma`, by how many steps the label should lead.
    :raises ValueError: if ``gamma`` is not positive.

    >>> RelativeTargetLoss()(torch.zeros(8, 1, 2), torch.tensor([0])).item() > 0
    True
    """

    def __init__(self, gamma: float = 3.0) -> None:
        super().__init__()
        if not gamma > 0:
            raise ValueError(explain(f"gamma={gamma}", "a positive lead in steps", "RelativeTargetLoss(gamma=3.0)"))
        self.gamma = float(gamma)

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        """Mean loss of output spikes ``[T, N, K]`` and labels ``[N]``."""
        check_output(o, y)
        T = o.shape[0]
        tau = T - first_spike(o)
        target = relative_target(tau.detach(), y, T, self.gamma)
        return 0.5 * (((tau - target) / T) ** 2).sum(1).mean()
