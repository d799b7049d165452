r"""Backpropagation through rate: what fired passes the gradient, what stayed silent stops it.

.. math:: g_t = c\,1[r > 0]\,\delta_t, \qquad r = \frac1T \sum_t s_t

Nothing of the membrane is used, so any spiking neuron can follow. Weakness: a silent layer gives an exactly zero
gradient. The gain :math:`c` is known for IF, LIF and PLIF neurons and 1 for any other; it is a constant per layer and
matters only where branches with and without neurons meet.

Source: the rate-based gradient of Ding et al., NeurIPS 2022 (SNN-RAT).
"""

from __future__ import annotations

from torch import Tensor

from art_snn.gradients.slopes import SlopePolicy, Train


class BPTR(SlopePolicy):
    """Backpropagation through rate.

    >>> from art_snn.networks import mlp
    >>> import torch
    >>> net = mlp((1, 8, 8), 10)
    >>> with net.gradient(BPTR()):
    ...     z = net(torch.rand(2, 1, 8, 8))
    """

    any_neuron = True

    def slope(self, train: Train) -> Tensor:
        """1 where the neuron fired at all."""
        return train.charge.gain * (train.fired > 0).to(train.fired.dtype)
