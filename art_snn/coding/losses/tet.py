r"""Temporal efficient training: cross-entropy at every step instead of that of the mean.

.. math:: L = \frac1T \sum_t \left[(1-\lambda)\,CE(z_t, y) + \lambda\,MSE(z_t, \phi)\right],

which bounds the loss of the mean from above (Jensen). Source: Deng et al., ICLR 2022.
"""

from __future__ import annotations

from torch import Tensor, nn

from art_snn.coding.losses.base import check_output
from art_snn.errors import explain


def tet(o: Tensor, y: Tensor, lam: float = 0.0, phi: float = 1.0) -> Tensor:
    r"""Mean TET loss of outputs ``o [T, N, K]`` and labels ``y [N]``.

    :param o: output trains ``[T, N, K]``.
    :param y: labels ``[N]``.
    :param lam: share of the regularization towards ``phi``.
    :param phi: where it draws the outputs to.

    >>> import torch
    >>> o = torch.zeros(3, 1, 2)
    >>> tet(o, torch.tensor([0])).item() == torch.log(torch.tensor(2.0)).item()
    True
    """
    check_output(o, y)
    value = nn.functional.cross_entropy(o.flatten(0, 1), y.repeat(o.shape[0]))
    return value if lam == 0 else (1 - lam) * value + lam * ((o - phi) ** 2).mean()


class TET(nn.Module):
    r"""Cross-entropy at every step, see :func:`tet`.

    :param lam: :math:`\lambda`, weight of the regularizer, in [0, 1].
    :param phi: :math:`\phi`, its target, usually the threshold.
    :raises ValueError: if ``lam`` is outside [0, 1].

    >>> import torch
    >>> TET(lam=0.05)(torch.zeros(3, 1, 2), torch.tensor([0])).shape
    torch.Size([])
    """

    def __init__(self, lam: float = 0.0, phi: float = 1.0) -> None:
        super().__init__()
        if not 0 <= lam <= 1:
            raise ValueError(explain(f"lam={lam}", "a weight in [0, 1]", "TET(lam=0.05)"))
        self.lam, self.phi = float(lam), float(phi)

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        """Mean loss of outputs ``[T, N, K]`` and labels ``[N]``."""
        return tet(o, y, self.lam, self.phi)
