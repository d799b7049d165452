r"""Latency losses: cross-entropy of first-spike times.

With :math:`d_k = \max_t o_{t,k}(T-t)` (0 is silence) and :math:`\tau_k = T - d_k`:

=====  ===============================================  ============================================================
kind   loss
=====  ===============================================  ============================================================
1      :math:`CE(\mathrm{softmax}(-\beta(\tau+1)), y)`  probabilities taken for logits: for ten classes the loss stays
                                                        in [1.461, 2.461]; weak, for reference only
2      :math:`CE(d, y)`
3      :math:`CE(2d, y)`                                the default, also the attack objective
antlr  :math:`CE(d/6, y)`
=====  ===============================================  ============================================================

The gradient reaches the earliest spike of each class, and step 0 of a silent class.

Source: first-spike losses of the timing study, arXiv 2306.05654; ``antlr`` Kim et al., NeurIPS 2020 (without its
penalty of silence).
"""

from __future__ import annotations

from torch import Tensor, nn

from art_snn.coding.first_spike import first_spike
from art_snn.coding.losses.base import check_output
from art_snn.errors import explain

KINDS = ("1", "2", "3", "antlr")


def latency_loss(o: Tensor, y: Tensor, kind: str = "3", beta: float = 2.0) -> Tensor:
    """Mean latency loss of output spikes ``o [T, N, K]`` and labels ``y [N]``.

    :param o: output trains ``[T, N, K]``.
    :param y: labels ``[N]``.
    :param kind: a row of the module's table.
    :param beta: scale of the spike times.

    >>> import torch
    >>> spikes = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> latency_loss(spikes, torch.tensor([0])) < latency_loss(spikes, torch.tensor([1]))
    tensor(True)
    """
    check_output(o, y)
    worth = first_spike(o)
    if kind == "1":
        logits = (-beta * (o.shape[0] + 1 - worth)).softmax(1)
    else:
        logits = worth * {"2": 1.0, "3": 2.0, "antlr": 1 / 6}[kind]
    return nn.functional.cross_entropy(logits, y)


class LatencyLoss(nn.Module):
    """Cross-entropy of first-spike times, see the module's text.

    :param kind: ``3`` (default), ``2``, ``1`` or ``antlr``.
    :param beta: steepness of kind 1.
    :raises ValueError: for another kind.

    >>> import torch
    >>> LatencyLoss()(torch.zeros(4, 1, 2), torch.tensor([0])).item() == torch.log(torch.tensor(2.0)).item()
    True
    """

    def __init__(self, kind: str = "3", beta: float = 2.0) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(explain(f"kind={kind!r}", f"one of {KINDS}", "LatencyLoss(kind='3')"))
        self.kind, self.beta = kind, float(beta)

    def forward(self, o: Tensor, y: Tensor) -> Tensor:
        """Mean loss of output spikes ``[T, N, K]`` and labels ``[N]``."""
        return latency_loss(o, y, self.kind, self.beta)
