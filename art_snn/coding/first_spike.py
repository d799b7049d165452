r"""First-spike decoding: the class whose output neuron fires first wins.

With spikes :math:`o_{t,k}`, :math:`d_k = \max_t o_{t,k}(T-t) \in \{0..T\}` (0 is silence) and first-spike time
:math:`\tau_k = T - d_k`. The logit is

.. math:: z_k = 2 d_k + \tfrac12 \tanh m_k,

where :math:`m_k` is the accumulated current of the output neuron (its spike count where no neuron is given). The second
term spans less than 1, so it only decides ties and silence, and it gives every class a gradient after the decision has
fallen.

``silence`` and ``tie`` say what decides where no class fired, and where several fired first: ``membrane`` (default)
lets
:math:`m_k` decide; ``index`` drops the term, so that the lowest class index wins (the reference behavior of several
papers). Logits can only express a decision. To count without one, :func:`decide` knows two stricter rules and answers
-1: ``silence="abstain"`` and ``tie="error"`` (a tie is wrong even if it contains the label). :func:`no_decision_rate`
and
:func:`tie_rate` tell how often the evidence was needed.

Source: Thorpe et al. 2001; Mostafa 2018; Park et al. 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.base import Decoder
from art_snn.coding.readout import check_neuron, fire
from art_snn.errors import explain

TIES = ("membrane", "index", "error")
SILENCES = ("membrane", "index", "abstain")


def first_spike(o: Tensor) -> Tensor:
    """``d_k = T - tau_k`` of spikes ``[T, N, K]``: ``T`` for a spike at step 0, 0 for silence; ``[N, K]``.

    :param o: output trains ``[T, N, K]``.

    >>> first_spike(torch.tensor([[[0.0, 1.0, 0.0]], [[1.0, 1.0, 0.0]]])).tolist()
    [[1.0, 2.0, 0.0]]
    """
    T = o.shape[0]
    worth = torch.arange(T, 0, -1, device=o.device, dtype=o.dtype).view(T, 1, 1)
    return (o * worth).max(0).values


def decision_time(o: Tensor) -> Tensor:
    """Step of the first output spike of any class, int64 ``[N]``; ``T`` where nothing fired (no decision).

    :param o: output trains ``[T, N, K]``.

    >>> decision_time(torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [1]
    """
    T = o.shape[0]
    return T - first_spike((o != 0).to(o.dtype)).amax(1).round().long()


def tie_rate(z: Tensor) -> float:
    """Share of rows whose two largest logits are equal.

    :param z: logits ``[N, K]``.

    >>> tie_rate(torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0]]))
    0.5
    """
    top = z.topk(2, dim=1).values
    return float((top[:, 0] == top[:, 1]).double().mean())


def no_decision_rate(o: Tensor) -> float:
    """Share of samples for which no class fired; ``o`` are spikes ``[T, N, K]``.

    :param o: output trains ``[T, N, K]``.

    >>> no_decision_rate(torch.tensor([[[0.0, 0.0], [0.0, 1.0]]]))
    0.5
    """
    return float((decision_time(o) == o.shape[0]).double().mean())


def decide(o: Tensor, evidence: Tensor | None = None, *, tie: str = "membrane", silence: str = "membrane") -> Tensor:
    """Class of each sample by its first output spike, or -1; int64 ``[N]``.

    :param o: output spikes ``[T, N, K]``.
    :param evidence: ``[N, K]``, what the ``membrane`` rules compare; the spike count by default.
    :param tie: ``membrane``, ``index`` (lowest class) or ``error`` (-1).
    :param silence: ``membrane``, ``index`` (class 0) or ``abstain`` (-1).
    :raises ValueError: for another rule.

    >>> spikes = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    >>> decide(spikes, tie="error", silence="abstain").tolist()
    [-1, -1]
    """
    _check_rules(tie, silence, TIES, SILENCES)
    worth = first_spike(o)
    evidence = o.sum(0) if evidence is None else evidence
    leading = worth == worth.amax(1, keepdim=True)
    silent = worth.amax(1) == 0
    tied = (leading.sum(1) > 1) & ~silent
    classes = torch.arange(o.shape[2], device=o.device)
    lowest = torch.where(leading, classes, o.shape[2]).amin(1)
    strongest = evidence.masked_fill(~leading, -torch.inf).argmax(1)
    by_rule = {"membrane": strongest, "index": lowest, "error": torch.full_like(lowest, -1)}
    by_rule["abstain"] = by_rule["error"]
    return torch.where(silent, by_rule[silence], torch.where(tied, by_rule[tie], lowest))


def _check_rules(tie: str, silence: str, ties: tuple[str, ...], silences: tuple[str, ...]) -> None:
    if tie not in ties:
        raise ValueError(explain(f"tie={tie!r}", f"one of {ties}", "tie='membrane'; decide() knows 'error' as well"))
    if silence not in silences:
        fix = "silence='membrane'; decide() knows 'abstain' as well"
        raise ValueError(explain(f"silence={silence!r}", f"one of {silences}", fix))


class FirstSpike(Decoder):
    """The earlier a class fires, the larger its logit.

    :param neuron: the output neuron (multi-step), driven by the body's output; ``None`` if that output is already
        spikes.
    :param tie: ``membrane`` or ``index``: what decides between classes that fired first together.
    :param silence: ``membrane`` or ``index``: what decides where none fired; ``None`` is the rule for ties.
    :raises TypeError: if ``neuron`` is not a module.
    :raises ValueError: for another rule, or a neuron in single-step mode.

    >>> spikes = torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]])
    >>> FirstSpike()(spikes).argmax(1).tolist()
    [1]
    """

    def __init__(self, neuron: nn.Module | None = None, *, tie: str = "membrane", silence: str | None = None) -> None:
        super().__init__()
        _check_rules(tie, silence or "membrane", TIES[:2], SILENCES[:2])
        self.neuron = check_neuron(neuron)
        self.tie, self.silence = tie, silence

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`first_spike`."""
        worth = first_spike(self.spikes(o))
        silent = worth.amax(1, keepdim=True) == 0
        rule = {"membrane": 0.5, "index": 0.0}
        weight = torch.where(silent, rule[self.silence or self.tie], rule[self.tie])
        return 2.0 * worth + weight * torch.tanh(o.sum(0))

    def spikes(self, o: Tensor) -> Tensor:
        """Output spikes ``[T, N, K]`` for the body's output."""
        return fire(self.neuron, o)

    def decide(self, o: Tensor, *, tie: str = "membrane", silence: str = "membrane") -> Tensor:
        """Class or -1 by the stricter rules too, with the accumulated current as evidence: :func:`decide`."""
        return decide(self.spikes(o), o.sum(0), tie=tie, silence=silence)

    def decision_time(self, o: Tensor) -> Tensor:
        """Decision step of each sample, ``T`` where nothing fired: :func:`decision_time` of the output spikes."""
        return decision_time(self.spikes(o))
