r"""Time-weighted spike count: :math:`z_k = \sum_t w_t\,o_{t,k}`, early spikes count more.

``linear``: :math:`w_t = (T-t)/T`. ``event``: :math:`w_t = 1.1 - t/(10T)`. ``phase``: :math:`w_t = 2^{-(t+1)}`.
``uniform``: :math:`w_t = 1`, the spike count.

Source: ``event`` as in event-driven learning, Zhu et al., NeurIPS 2022; ``phase`` after Kim et al. 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder
from art_snn.coding.readout import check_neuron, fire
from art_snn.errors import explain

WEIGHTS = ("linear", "event", "phase", "uniform")


def time_weights(T: int, weights: str, like: Tensor) -> Tensor:
    """The weight of each step, ``[T]``, with dtype and device of ``like``.

    >>> time_weights(4, "linear", torch.zeros(1)).tolist()
    [1.0, 0.75, 0.5, 0.25]
    """
    t = torch.arange(T, device=like.device, dtype=like.dtype)
    rules = {
        "linear": (T - t) / T,
        "event": 1.1 - t / (10 * T),
        "phase": 2.0 ** -(t + 1),
        "uniform": torch.ones_like(t),
    }
    return rules[weights]


def time_weighted(o: Tensor, weights: str = "linear") -> Tensor:
    """Weighted sum over time of ``o [T, N, K]``: ``[N, K]``.

    :param o: output trains ``[T, N, K]``.
    :param weights: one per step, ``[T]``.

    >>> time_weighted(torch.tensor([0.0, 1.0]).view(2, 1, 1)).item()
    0.5
    """
    return torch.einsum("t,tnk->nk", time_weights(o.shape[0], weights, o), o)


class TimeWeighted(Decoder):
    r"""Spike count with weights that fall over time.

    :param weights: ``linear`` (default), ``event``, ``phase`` or ``uniform``.
    :param neuron: the output neuron (multi-step); ``None`` if the body's output is already spikes. With a neuron
        :math:`\frac14 g \tanh m_k` of the accumulated current :math:`m_k` breaks ties and silence; g is the smallest
        difference of two sums of weights.
    :raises TypeError: if ``neuron`` is not a module.
    :raises ValueError: for other weights, or a neuron in single-step mode.

    >>> TimeWeighted()(torch.ones(4, 1, 1)).item()
    2.5
    """

    def __init__(self, weights: str = "linear", neuron: nn.Module | None = None) -> None:
        super().__init__()
        if weights not in WEIGHTS:
            raise ValueError(explain(f"weights={weights!r}", f"one of {WEIGHTS}", "TimeWeighted('linear')"))
        self.weights = weights
        self.neuron = check_neuron(neuron)

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`time_weighted`."""
        z = time_weighted(fire(self.neuron, o), self.weights)
        if self.neuron is None:
            return z
        T = o.shape[0]
        gap = {"linear": 1 / T, "event": 1 / (10 * T), "phase": 2.0**-T, "uniform": 1.0}[self.weights]
        return z + 0.25 * gap * torch.tanh(o.sum(0))
