"""W8, W9: neurons that say nothing, and membranes that their surrogate does not see."""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.coding.first_spike import FirstSpike
from art_snn.evaluation.attacks import ATTACKS
from art_snn.evaluation.flags.base import Check, NotApplicableError, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.layers import LayerState, inspect_layers
from art_snn.evaluation.seeding import derived_seed
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.networks.twin import ann_twin
from art_snn.spiking import spiking_neurons

Array = np.ndarray[Any, np.dtype[Any]]
_COLLAPSE = 0.5
_UNDECIDED = 0.01


class SilentNeurons(Check):
    """W8."""

    id = "W8"
    title = "dead or saturated neurons"
    rule = (
        "in no layer more than half of the neurons never fire or always fire, on clean samples and under FGSM; the "
        "attack does not halve the firing rate of a layer, and at most 1 % of the samples end without a decision"
    )
    threshold = 0.5
    advice = "silent and saturated neurons pass no gradient: lower thresholds, scale weights, or normalize"

    def measure(self, evidence: Evidence) -> Reading:
        """The largest share of dead or saturated neurons over the layers."""
        x, y = evidence.few
        before = inspect_layers(evidence, x, y)
        if not before:
            raise NotApplicableError("no spiking or rectifying layer was found")
        moved = evidence.near(x, evidence.eps, derived_seed(evidence.seed, "fire"))
        try:
            moved = ATTACKS["fgsm"].generate(evidence.classifier, x, y, evidence.eps, evidence.seed)
        except (ValueError, RuntimeError):
            moved = evidence.near(x, evidence.eps, derived_seed(evidence.seed, "fire"))
        after = inspect_layers(evidence, moved, y)
        shares = {state.name: state.dead + state.saturated for state in (*before, *after)}
        worst = max(shares, key=lambda name: shares[name])
        kept = {a.name: _ratio(a, b) for a, b in zip(before, after, strict=True)}
        collapsed = [name for name, ratio in kept.items() if ratio < _COLLAPSE]
        undecided = _undecided(evidence)
        found = f"{shares[worst]:.1%} dead or saturated in {worst}"
        found += f"; rates collapse in {', '.join(collapsed)}" if collapsed else ""
        found += f"; {undecided:.1%} without decision" if undecided else ""
        raised = shares[worst] > self.threshold or bool(collapsed) or undecided > _UNDECIDED
        return Reading(shares[worst], raised, len(x), found, {"rate_kept": kept, "undecided": undecided})


def _ratio(before: LayerState, after: LayerState) -> float:
    first = float(np.mean(before.rate))
    return float(np.mean(after.rate)) / first if first > 0 else 1.0


def _undecided(evidence: Evidence) -> float:
    """Share of samples for which no output neuron fires, under a first-spike read-out."""
    net = evidence.model
    if not isinstance(net, SpikingNetwork) or not isinstance(net.decoder, FirstSpike):
        return 0.0
    fired: list[Any] = []
    handle = net.decoder.register_forward_pre_hook(lambda module, args: fired.append(args[0].detach()))  # noqa: ARG005
    try:
        evidence.logits(evidence.few[0], derived_seed(evidence.seed, "decide"), 1)
    finally:
        handle.remove()
    return float(np.mean([float((o.amax((0, 2)) <= 0).double().mean()) for o in fired]))


class SurrogateSupport(Check):
    """W9."""

    id = "W9"
    title = "surrogate support"
    rule = (
        "in every layer at least 5 % of the membranes lie where the surrogate's slope is above a thousandth of its top"
    )
    threshold = 0.05
    advice = "the surrogate does not reach the membranes, so its gradient is mostly zero: attack with a wider one"

    def measure(self, evidence: Evidence) -> Reading:
        """The smallest overlap over the layers; raised where it is low."""
        if not spiking_neurons(evidence.model):
            raise NotApplicableError("no surrogate")
        x, y = evidence.few
        states = [state for state in inspect_layers(evidence, x, y) if state.overlap]
        if not states:
            raise NotApplicableError("no neuron fired through its surrogate")
        overlap = {state.name: float(np.mean(state.overlap)) for state in states}
        worst = min(overlap, key=lambda name: overlap[name])
        grad, _ = evidence.gradient(x, y, "margin")
        sparsity = 1.0 if grad is None else float((grad == 0).mean())
        details = {"overlap": overlap, "input_gradient_zeros": sparsity, "norm_to_twin": _to_twin(evidence, grad)}
        found = f"{overlap[worst]:.1%} of the membranes of {worst} within the support, {sparsity:.1%} input zeros"
        return Reading(overlap[worst], overlap[worst] < self.threshold, len(x), found, details)


def _to_twin(evidence: Evidence, grad: Array | None) -> float | None:
    """Norm of the input gradient relative to that of the ReLU twin with the same weights; ``None`` without a twin."""
    if grad is None or not isinstance(evidence.model, SpikingNetwork):
        return None
    import torch

    from art_snn.attacks.evasion.losses import margin

    try:
        twin = ann_twin(evidence.model).eval()
        x, y = evidence.few
        leaf = torch.tensor(x, device=evidence.classifier.device, requires_grad=True)
        value = margin(twin(leaf), torch.as_tensor(y, device=evidence.classifier.device)).sum()
        other = torch.autograd.grad(value, leaf)[0].cpu().numpy()
    except (ValueError, RuntimeError, TypeError, AttributeError):
        return None
    size = float(np.linalg.norm(other))
    return float(np.linalg.norm(grad)) / size if size > 0 else None
