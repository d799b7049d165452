r"""First-spike decoding: the class whose output neuron fires first wins.

With spikes :math:`o_{t,k}`, :math:`d_k = \max_t o_{t,k}(T-t) \in \{0..T\}` (0 is silence) and first-spike time
:math:`\tau_k = T - d_k`. The logit is

.. math:: z_k = 2 d_k + \tfrac12 \tanh m_k,

where :math:`m_k` is the accumulated current of the output neuron (its spike count where no neuron is given). The second
term spans less than 1, so it only decides ties and silence, and it gives every class a gradient after the decision has
fallen.

``silence`` and ``tie``: ``membrane`` (default) lets :math:`m_k` decide; ``index`` drops the term, so that the lowest
class index wins (the reference behavior of several papers). A decision that needed :math:`m_k` is still counted by
:func:`decision_time` (silence) and :func:`tie_rate`.

Source: Thorpe et al. 2001; Mostafa 2018; Park et al. 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder
from art_snn.coding.readout import check_neuron, fire
from art_snn.errors import explain

TIES = ("membrane", "index")


def first_spike(o: Tensor) -> Tensor:
    """``d_k = T - tau_k`` of spikes ``[T, N, K]``: ``T`` for a spike at step 0, 0 for silence; ``[N, K]``.

    >>> first_spike(torch.tensor([[[0.0, 1.0, 0.0]], [[1.0, 1.0, 0.0]]])).tolist()
    [[1.0, 2.0, 0.0]]
    """
    T = o.shape[0]
    worth = torch.arange(T, 0, -1, device=o.device, dtype=o.dtype).view(T, 1, 1)
    return (o * worth).max(0).values


def decision_time(o: Tensor) -> Tensor:
    """Step of the first output spike of any class, int64 ``[N]``; ``T`` where nothing fired (no decision).

    >>> decision_time(torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [1]
    """
    T = o.shape[0]
    return T - first_spike((o != 0).to(o.dtype)).amax(1).round().long()


def tie_rate(z: Tensor) -> float:
    """Share of rows whose two largest logits are equal.

    >>> tie_rate(torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0]]))
    0.5
    """
    top = z.topk(2, dim=1).values
    return float((top[:, 0] == top[:, 1]).double().mean())


class FirstSpike(Decoder):
    """The earlier a class fires, the larger its logit.

    :param neuron: the output neuron (multi-step), driven by the body's output; ``None`` if that output is already
        spikes.
    :param tie: ``membrane`` or ``index``: what decides ties and silence.
    :raises TypeError: if ``neuron`` is not a module.
    :raises ValueError: for another ``tie``, or a neuron in single-step mode.

    >>> spikes = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])
    >>> FirstSpike()(spikes).argmax(1).tolist()
    [1]
    """

    def __init__(self, neuron: nn.Module | None = None, *, tie: str = "membrane") -> None:
        super().__init__()
        if tie not in TIES:
            raise ValueError(explain(f"tie={tie!r}", f"one of {TIES}", "FirstSpike(tie='membrane')"))
        self.neuron = check_neuron(neuron)
        self.tie = tie

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`first_spike`."""
        z = 2.0 * first_spike(fire(self.neuron, o))
        return z if self.tie == "index" else z + 0.5 * torch.tanh(o.sum(0))

    def decision_time(self, o: Tensor) -> Tensor:
        """Decision step of each sample, ``T`` where nothing fired: :func:`decision_time` of the output spikes."""
        return decision_time(fire(self.neuron, o))
