r"""Membrane read-out: the mean potential of a leaky integrator that never fires.

.. math:: v_t = v_{t-1} + (o_t - v_{t-1})/\tau, \quad v_{-1} = 0, \qquad z = \frac1T \sum_t v_t .

It is linear in the output, so it has an exact gradient, and its logits are continuous wherever the output is a current.
With
:math:`\tau = 1` it is the mean synaptic current. Summed up, :math:`z = \sum_t w_t o_t` with
:math:`w_t = \frac1T (1 - (1-1/\tau)^{T-t})`.

Source: Rathi and Roy 2020; Kim et al. 2022 (accumulated voltage divided by T).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.coding.base import Decoder
from art_snn.errors import explain


def membrane_mean(o: Tensor, tau: float = 2.0) -> Tensor:
    """Mean membrane of the leaky integrator driven by ``o [T, N, K]``: ``[N, K]``.

    >>> membrane_mean(torch.tensor([1.0, 3.0]).view(2, 1, 1), tau=1.0).item()
    2.0
    """
    steps = torch.arange(o.shape[0], 0, -1, device=o.device, dtype=o.dtype)
    weights = (1 - (1 - 1 / tau) ** steps) / o.shape[0]
    return torch.einsum("t,tnk->nk", weights, o)


class MembraneMean(Decoder):
    """Mean membrane potential of a leaky, non-firing output neuron.

    :param tau: membrane time constant in steps, at least 1; 1 is the mean current, 2 is SpikingJelly's default LIF.
    :raises ValueError: if ``tau`` is below 1 or not finite.

    >>> MembraneMean(tau=1.0)(torch.ones(8, 2, 10)).shape
    torch.Size([2, 10])
    """

    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        if not (math.isfinite(tau) and tau >= 1):
            raise ValueError(explain(f"tau = {tau}", "a time constant of at least one step", "pass tau=2.0"))
        self.tau = float(tau)

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`membrane_mean`."""
        return membrane_mean(o, self.tau)
