r"""Robust conversion: an adversarially trained network, converted, then fine-tuned with trainable thresholds.

1. Train the ReLU network adversarially, with ART's trainers or :func:`~art_snn.conversion.robust_training.fine_tune`.
2. Take its weights without the running statistics of batch norm, which uses those of the batch meanwhile.
3. Find thresholds layer by layer, each with those before it already installed: the percentile .997 of the
   pre-activations over T steps, largest over batches, times a scale.
4. Estimate the running statistics anew, from zero mean and unit variance: here on the calibration data, so that the
   network can be used as it is, and from there on in fine-tuning.
5. Fine-tune with hard reset and learnable thresholds, clamped from below.

A recipe of the other parts of this package; it quotes no numbers.

Source: Özdenizci and Legenstein, "Adversarially robust spiking neural networks through conversion", TMLR 2024.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from art_snn.coding.base import check_steps
from art_snn.coding.direct import Direct
from art_snn.coding.membrane import MeanCurrent
from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.neurons import ConvertedIF, FoldedTime, SpikingActivation
from art_snn.conversion.replace import replace_steps
from art_snn.conversion.storage import recipe_of
from art_snn.conversion.thresholds import batches, percentile
from art_snn.conversion.tracing import trace
from art_snn.conversion.vocabulary import NORMS
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork


def robust_convert(
    model: nn.Module,
    T: int,
    calibration: Any,
    *,
    scale: float = 0.3,
    share: float = 0.997,
    calibration_steps: int = 100,
) -> SpikingNetwork:
    """A network of hard-reset IF neurons with thresholds found in forward order, ready for fine-tuning.

    Batch norm keeps its weights; its statistics are those of the spiking network on the calibration data.

    :param model: a trained ReLU network.
    :param T: steps of the result.
    :param calibration: inputs, or an iterable of batches. With batch norm, thresholds
        depend on how the data are batched.
    :param scale: factor of the measured thresholds, above 0.
    :param share: percentile, as a share.
    :param calibration_steps: steps that thresholds are measured over.
    :raises ValueError: for a layer that cannot be converted, no ReLU, no data, or a layer that never activates.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> robust_convert(model, T=4, calibration=torch.rand(16, 4))(torch.rand(3, 4)).shape
    torch.Size([3, 2])
    """
    T, long = check_steps(T), check_steps(calibration_steps)
    if not scale > 0:
        raise ValueError(explain(f"scale = {scale}", "a positive factor", "scale=0.3"))
    graph = trace(model).eval()
    steps = graph.layer_steps((nn.ReLU,))
    if not steps:
        raise ValueError(explain("a network without ReLU", "an adversarially trained ReLU network", "train one first"))
    data = list(batches(calibration, graph))

    def spiking(_: str, __: int) -> nn.Module:
        return SpikingActivation(ConvertedIF(start=0.0, v_reset=0.0), torch.tensor(1.0), long)

    replace_steps(graph, spiking, (nn.ReLU,))
    layers = [graph.get_submodule(s.target) for s in graph.steps if s.op == "layer"]
    activations = [m for m in layers if isinstance(m, SpikingActivation)]
    norms = [m for m in layers if isinstance(m, NORMS)]
    for norm in norms:
        norm.train()
    for step, activation in zip(steps, activations, strict=True):
        found = _measured(graph, activation, data, long, share)
        if not found > 0:
            came = f"layer {step.target!r}, which never activates on the calibration data"
            raise ValueError(explain(came, "activations to measure a threshold from", "pass inputs of every class"))
        activation.threshold.data.fill_(found)
    for activation in activations:
        activation.threshold.data.mul_(scale)
        activation.T = T
    _estimate(norms, graph, data, T)
    encoder = Direct(T)
    net = SpikingNetwork(encoder, FoldedTime(graph, encoder), MeanCurrent())
    net.recipe = recipe_of(graph, T)
    return net.eval()


def _measured(graph: LayerGraph, activation: nn.Module, data: list[Tensor], T: int, share: float) -> float:
    seen: list[float] = []
    hook = activation.register_forward_pre_hook(lambda _, args: seen.append(float(percentile(args[0], share))))
    try:
        with torch.no_grad():
            for x in data:
                graph(Direct(T)(x).flatten(0, 1))
    finally:
        hook.remove()
    return max(seen)


def _estimate(norms: list[Any], graph: LayerGraph, data: list[Tensor], T: int) -> None:
    """Running statistics of batch norms in training mode: plain means over the batches."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for x in data if norms else ():
            graph(Direct(T)(x).flatten(0, 1))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
