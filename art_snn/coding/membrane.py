r"""Membrane read-out: the potential of a leaky integrator that never fires; its mean, last or largest value.

.. math:: v_t = v_{t-1} + (o_t - v_{t-1})/\tau, \quad v_{-1} = 0, \qquad
   z = \frac1T \sum_t v_t, \quad z = v_{T-1} \quad\text{or}\quad z = \max_t v_t .

The mean is linear in the output, so it has an exact gradient, and its logits are continuous wherever the output is a
current. With
:math:`\tau = 1` it is the mean synaptic current. Summed up, :math:`z = \sum_t w_t o_t` with
:math:`w_t = \frac1T (1 - (1-1/\tau)^{T-t})`.

Source: Rathi and Roy 2020; Kim et al. 2022 (accumulated voltage divided by T).
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Decoder
from art_snn.coding.filtered import check_tau, psp
from art_snn.errors import explain


def membrane_mean(o: Tensor, tau: float = 2.0) -> Tensor:
    """Mean membrane of the leaky integrator driven by ``o [T, N, K]``: ``[N, K]``.

    >>> membrane_mean(torch.tensor([1.0, 3.0]).view(2, 1, 1), tau=1.0).item()
    2.0
    """
    steps = torch.arange(o.shape[0], 0, -1, device=o.device, dtype=o.dtype)
    weights = (1 - (1 - 1 / tau) ** steps) / o.shape[0]
    return torch.einsum("t,tnk->nk", weights, o)


def membrane_last(o: Tensor, tau: float = 2.0) -> Tensor:
    """Membrane after the last step, driven by ``o [T, N, K]``: ``[N, K]``.

    >>> membrane_last(torch.tensor([1.0, 3.0]).view(2, 1, 1), tau=2.0).item()
    1.75
    """
    return psp(o, tau)[-1]


def membrane_max(o: Tensor, tau: float = 2.0) -> Tensor:
    """Largest membrane of all steps, driven by ``o [T, N, K]``: ``[N, K]``. Only that step gets a gradient.

    >>> membrane_max(torch.tensor([4.0, 0.0]).view(2, 1, 1), tau=2.0).item()
    2.0
    """
    return psp(o, tau).amax(0)


class _Membrane(Decoder):
    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        self.tau = check_tau(tau)


class MembraneMean(_Membrane):
    """Mean membrane potential of a leaky, non-firing output neuron.

    :param tau: membrane time constant in steps, at least 1; 1 is the mean current, 2 is SpikingJelly's default LIF.
    :raises ValueError: if ``tau`` is below 1 or not finite.

    >>> MembraneMean(tau=1.0)(torch.ones(8, 2, 10)).shape
    torch.Size([2, 10])
    """

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`membrane_mean`."""
        return membrane_mean(o, self.tau)


class MembraneLast(_Membrane):
    """Membrane potential of the output neuron after the last step.

    :param tau: membrane time constant in steps, at least 1.
    :raises ValueError: if ``tau`` is below 1 or not finite.

    >>> MembraneLast()(torch.ones(8, 2, 10)).shape
    torch.Size([2, 10])
    """

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`membrane_last`."""
        return membrane_last(o, self.tau)


class MembraneMax(_Membrane):
    """Largest membrane potential of the output neuron.

    :param tau: membrane time constant in steps, at least 1.
    :raises ValueError: if ``tau`` is below 1 or not finite.

    >>> MembraneMax()(torch.ones(8, 2, 10)).shape
    torch.Size([2, 10])
    """

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`membrane_max`."""
        return membrane_max(o, self.tau)


class MeanCurrent(Decoder):
    r"""Mean current of the last layer, :math:`z = \frac1{T-k} \sum_{t \ge k} o_t`: the plainest read-out, without ties.

    :param skip: first steps :math:`k` that are left out, fewer than there are.
    :raises ValueError: if it is negative, or leaves no step.

    >>> MeanCurrent()(torch.tensor([1.0, 3.0]).view(2, 1, 1)).item()
    2.0
    """

    def __init__(self, skip: int = 0) -> None:
        super().__init__()
        if isinstance(skip, bool) or int(skip) != skip or skip < 0:
            raise ValueError(explain(f"skip = {skip!r}", "a whole number of steps, at least 0", "MeanCurrent(skip=0)"))
        self.skip = int(skip)

    def decode(self, o: Tensor) -> Tensor:
        """Mean over the steps that count."""
        if self.skip >= o.shape[0]:
            fix = f"MeanCurrent(skip={max(o.shape[0] - 1, 0)})"
            raise ValueError(explain(f"skip = {self.skip} of {o.shape[0]} steps", "at least one step left", fix))
        return o[self.skip :].mean(0)
