r"""Rank-order code: only the order of the intensities counts.

The d values of a sample are sorted by decreasing intensity (ties: lower index first); the value of rank k fires at
:math:`\lfloor kT/d \rfloor`. Every value fires once, and any increasing change of contrast leaves the code as it is.
Backward choices:

``soft_rank`` (default)
    a soft rank :math:`\tilde r_i = \sum_{j \ne i} \sigma((x_j - x_i)/\kappa)` sets the centre :math:`\mu_i = \tilde r_i
    T/d` of a soft spike :math:`\mathrm{softmax}_t(-(t + \tfrac12 - \mu_i)^2/2\sigma^2)`, :math:`\sigma = 0.7`; the
    gradient is that of the soft spike, through every comparison. Comparisons with all d values take d² memory, so that
    large
    samples are compared with an evenly spaced subset.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

Source: Thorpe and Gautrais 1998.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient, carry_path, is_traced
from art_snn.coding.timing import place
from art_snn.errors import explain

_SOFT_WIDTH = 0.7


def rank_order(x: Tensor, T: int) -> Tensor:
    """One spike per value at its rank's bin: ``x [N, *]`` to ``[T, N, *]``.

    >>> rank_order(torch.tensor([[0.1, 0.9]]), 2)[:, 0].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    flat = _flat(x.detach())
    order = torch.argsort(flat, dim=1, descending=True, stable=True)
    rank = torch.argsort(order, dim=1)
    tau = torch.div(rank * T, flat.shape[1], rounding_mode="floor")
    return place(tau.view(x.shape), T, x.dtype)


def _flat(x: Tensor) -> Tensor:
    """The values of each sample in a row, ``[N, d]``; a batch may be empty."""
    return x.flatten(1) if x.dim() > 1 else x[:, None]


def soft_rank(x: Tensor, kappa: float, comparisons: int) -> Tensor:
    """Differentiable rank of each value of ``x [N, d]``, against at most ``comparisons`` others: ``[N, d]``.

    >>> soft_rank(torch.tensor([[0.0, 1.0]]), 0.01, 2).round().tolist()
    [[1.0, 0.0]]
    """
    d = x.shape[1]
    chosen = torch.linspace(0, d - 1, min(d, comparisons), device=x.device).round().long()
    above = torch.sigmoid((x[:, None, chosen] - x[:, :, None]) / kappa)
    itself = chosen[None, :] == torch.arange(d, device=x.device)[:, None]
    others = (len(chosen) - itself.sum(1)).clamp(min=1)
    return above.masked_fill(itself, 0.0).sum(2) * (d - 1) / others


class RankOrder(Encoder):
    r"""The brighter than the others, the earlier; only the order counts.

    :param T: number of time steps.
    :param kappa: :math:`\kappa`, the difference of intensities that the soft rank resolves.
    :param comparisons: values that each value is compared with in the soft rank.
    :param backward: ``soft_rank`` (default), ``identity``, ``masked`` or ``none``.
    :raises ValueError: if ``kappa`` or ``comparisons`` is not positive.

    >>> RankOrder(T=2)(torch.tensor([[0.2, 0.8]]))[:, 0].tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    backwards = ("soft_rank", "identity", "masked", "none")

    def __init__(
        self,
        T: int,
        kappa: float = 0.05,
        comparisons: int = 128,
        *,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if not kappa > 0 or comparisons < 1:
            came = f"kappa={kappa}, comparisons={comparisons}"
            raise ValueError(explain(came, "positive numbers", "RankOrder(T, kappa=0.05, comparisons=128)"))
        self.kappa, self.comparisons = float(kappa), int(comparisons)

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`rank_order`."""
        spikes = rank_order(x, self.T)
        if not is_traced(x):
            return spikes
        if self.backward == "soft_rank":
            return carry_path(spikes, self._soft_spikes(x))
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return carry_gradient(spikes, x, slopes[self.backward])

    def _soft_spikes(self, x: Tensor) -> Tensor:
        flat = _flat(x)
        centre = soft_rank(flat, self.kappa, self.comparisons) * self.T / flat.shape[1]
        steps = torch.arange(self.T, device=x.device, dtype=x.dtype).view(-1, 1, 1) + 0.5
        soft = torch.softmax(-((steps - centre) ** 2) / (2 * _SOFT_WIDTH**2), dim=0)
        return soft.view(self.T, *x.shape)
