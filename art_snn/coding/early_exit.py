r"""Early exit: decide as soon as the evidence suffices.

Evidence accumulates, :math:`Z_t = \sum_{j \le t} o_j`. The answer is :math:`Z_{t^*}` at the first step at which

* ``margin``: the two largest logits differ by at least :math:`\delta`;
* ``confidence``: the softmax of the largest is at least p;

and at T - 1 if that never happens. What the output does after :math:`t^*` cannot change the answer, and has a gradient
of exactly zero; nor does any gradient know that a change could move :math:`t^*`. Read such a network with a second
decoder (:class:`~art_snn.coding.MeanCurrent`, say) when you attack it.

Source: margin and confidence exits as in the timing study arXiv 2306.05654 and in SEENN, Li et al., NeurIPS 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder
from art_snn.coding.readout import check_neuron, fire
from art_snn.errors import explain

RULES = ("margin", "confidence")


def logits_over_time(o: Tensor) -> Tensor:
    """Accumulated evidence after every step, ``[T, N, K]``: what a network would answer if it stopped there.

    :param o: output trains ``[T, N, K]``.

    >>> logits_over_time(torch.tensor([1.0, 2.0]).view(2, 1, 1)).flatten().tolist()
    [1.0, 3.0]
    """
    return o.cumsum(0)


def accuracy_over_time(o: Tensor, y: Tensor) -> Tensor:
    """Share of correct answers after every step, ``[T]``; a tie with the label is wrong.

    :param o: output trains ``[T, N, K]``.
    :param y: labels ``[N]``.

    >>> accuracy_over_time(torch.tensor([[[1.0, 1.0]], [[0.0, 1.0]]]), torch.tensor([1])).tolist()
    [0.0, 1.0]
    """
    z = logits_over_time(o.detach())
    own = z.gather(2, y.view(1, -1, 1).expand(z.shape[0], -1, 1))
    rivals = (z >= own).sum(2) - 1
    return (rivals == 0).float().mean(1)


def exit_time(o: Tensor, rule: str = "margin", threshold: float = 1.0) -> Tensor:
    """Step at which each sample is decided, int64 ``[N]``; ``T`` where the evidence never suffices.

    :param o: output trains ``[T, N, K]``.
    :param rule: ``margin`` or ``confidence``.
    :param threshold: what margin or confidence has to reach.

    >>> exit_time(torch.tensor([[[0.5, 0.0]], [[1.0, 0.0]]]), threshold=1.0).tolist()
    [1]
    """
    z = logits_over_time(o.detach())
    if rule == "margin":
        top = z.topk(2, dim=2).values
        enough = top[..., 0] - top[..., 1] >= threshold
    else:
        enough = z.softmax(2).amax(2) >= threshold
    steps = torch.arange(o.shape[0], device=o.device)[:, None]
    return torch.where(enough, steps, o.shape[0]).amin(0)


class EarlyExit(Decoder):
    """Logits accumulated up to the first step at which the evidence suffices.

    :param rule: ``margin`` or ``confidence``.
    :param threshold: the margin, positive, or the confidence, in (0, 1).
    :param neuron: an output neuron (multi-step) whose spikes are the evidence; ``None`` takes the body's output.
    :raises TypeError: if ``neuron`` is not a module.
    :raises ValueError: for another rule, or a threshold out of range.

    >>> decoder = EarlyExit(threshold=1.0)
    >>> o = torch.tensor([[[2.0, 0.0]], [[0.0, 9.0]]])
    >>> decoder(o).tolist(), decoder.decision_time(o).tolist()
    ([[2.0, 0.0]], [0])
    """

    def __init__(self, rule: str = "margin", threshold: float = 1.0, neuron: nn.Module | None = None) -> None:
        super().__init__()
        if rule not in RULES:
            raise ValueError(explain(f"rule={rule!r}", f"one of {RULES}", "EarlyExit('margin', threshold=1.0)"))
        if not (threshold > 0 and (rule == "margin" or threshold < 1)):
            expected = "a positive margin" if rule == "margin" else "a confidence in (0, 1)"
            raise ValueError(explain(f"threshold={threshold}", expected, "EarlyExit('confidence', threshold=0.9)"))
        self.rule, self.threshold = rule, float(threshold)
        self.neuron = check_neuron(neuron)

    def decode(self, o: Tensor) -> Tensor:
        """The accumulated logits at :func:`exit_time`, or of all steps."""
        evidence = fire(self.neuron, o)
        last = exit_time(evidence, self.rule, self.threshold).clamp(max=o.shape[0] - 1)
        index = last.view(1, -1, 1).expand(1, -1, o.shape[2])
        return logits_over_time(evidence).gather(0, index)[0]

    def decision_time(self, o: Tensor) -> Tensor:
        """Step at which each sample is decided, ``T`` where the evidence never suffices."""
        return exit_time(fire(self.neuron, o), self.rule, self.threshold)
