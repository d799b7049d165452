r"""Kernel loss: the output's post-synaptic trace should follow that of a target train.

.. math:: L = \tfrac12 \sum_{t,n,k} \left(\mathrm{psp}(o)_t - \mathrm{psp}(o^*)_t\right)^2,

where the label's target train is given (by default silent at step 0 and firing at every later step) and that of every
other class is silence. Source: Zhang and Li, TSSL-BP, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from art_snn.coding.filtered import check_tau, psp
from art_snn.coding.losses.base import check_output
from art_snn.errors import explain


def kernel_loss(o: Tensor, y: Tensor, target: Tensor, tau_s: float = 3.0) -> Tensor:
    """Kernel loss of output spikes ``o [T, N, K]`` and labels ``y [N]``, summed over the batch.

    :param o: output trains ``[T, N, K]``.
    :param y: labels ``[N]``.
    :param tau_s: time constant of the kernel.
    :param target: the label's target train, ``[T]``.

    >>> o = torch.tensor([0.0, 1.0]).view(2, 1, 1)
    >>> kernel_loss(o, torch.tensor([0]), torch.tensor([0.0, 1.0])).item()
    0.0
    """
    check_output(o, y)
    label = nn.functional.one_hot(y, o.shape[2]).to(o.dtype)
    wanted = target.to(o).view(-1, 1, 1) * label
    return 0.5 * (psp(o - wanted, tau_s) ** 2).sum()


class KernelLoss(nn.Module):
    """Distance of the filtered output from a filtered target train, see :func:`kernel_loss`.

    :param target: the label's target train; ``None`` fires at every step but the first.
    :param tau_s: time constant of the filter, in steps.
    :raises ValueError: if ``tau_s`` is below 1, or the target's length is not that of the output.

    >>> KernelLoss()(torch.zeros(5, 1, 2), torch.tensor([0])).item() > 0
    True
    """

    def __init__(self, target: Sequence[float] | None = None, tau_s: float = 3.0) -> None:
        super().__init__()
        self.target = None if target is None else [float(value) for value in target]
        self.tau_s = check_tau(tau_s)

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        """Loss of output spikes ``[T, N, K]`` and labels ``[N]``, summed over the batch."""
        target = torch.ones(o.shape[0]) if self.target is None else torch.tensor(self.target)
        if self.target is None:
            target[0] = 0.0
        if len(target) != o.shape[0]:
            came = f"a target of {len(target)} steps for an output of {o.shape[0]}"
            raise ValueError(explain(came, "equal lengths", "pass one target value per time step"))
        return kernel_loss(o, y, target, self.tau_s)
