r"""Spike count: :math:`n_k = \sum_t o_{t,k}`.

Counts tie often (uniform random counts with T = 4 and ten classes tie at the top 72 % of the time), which breaks
difference-of-logits losses and makes arg max depend on the class order. Give the decoder its output neuron and the
accumulated current :math:`m_k = \sum_t I_{t,k}` breaks ties: :math:`z_k = n_k + \frac14 \tanh m_k`, which spans less
than one spike.

Source: Diehl and Cook 2015 (rate read-out).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder
from art_snn.coding.readout import check_neuron, fire


def spike_count(o: Tensor) -> Tensor:
    """Sum over time: ``[T, N, K] -> [N, K]``.

    :param o: output trains ``[T, N, K]``.

    >>> spike_count(torch.ones(4, 1, 2)).tolist()
    [[4.0, 4.0]]
    """
    return o.sum(0)


class SpikeCount(Decoder):
    """Number of output spikes per class.

    :param neuron: the output neuron, a multi-step spiking neuron driven by the body's output; ``None`` if the body's
        output is already a spike train. With a neuron the accumulated current breaks ties and silence.
    :raises TypeError: if ``neuron`` is not a module.
    :raises ValueError: if ``neuron`` is in single-step mode.

    >>> SpikeCount()(torch.ones(4, 2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, neuron: nn.Module | None = None) -> None:
        super().__init__()
        self.neuron = check_neuron(neuron)

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`spike_count`."""
        count = spike_count(self.spikes(o))
        return count if self.neuron is None else count + 0.25 * torch.tanh(o.sum(0))

    def spikes(self, o: Tensor) -> Tensor:
        """Output spikes ``[T, N, K]`` for the body's output."""
        return fire(self.neuron, o)
