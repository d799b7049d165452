"""From a trained network to a spiking one with the same weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from art_snn.coding.base import Encoder, check_steps
from art_snn.coding.direct import Direct
from art_snn.coding.membrane import MeanCurrent
from art_snn.conversion.folding import fold_batch_norm
from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.methods import Method, resolve
from art_snn.conversion.neurons import FoldedTime, SpikingActivation
from art_snn.conversion.qcfs import QCFS, check_threshold
from art_snn.conversion.replace import replace_steps
from art_snn.conversion.spikingjelly import recipe_thresholds
from art_snn.conversion.storage import recipe_of
from art_snn.conversion.thresholds import batches, measured_thresholds
from art_snn.conversion.tracing import trial
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork


def convert(
    model: nn.Module,
    T: int,
    method: str | Method = "qcfs",
    calibration: Any = None,
    *,
    encoder: Encoder | None = None,
) -> SpikingNetwork:
    """A spiking network with the weights of ``model``, which stays as it is.

    Input is coded directly unless another code is deployed; logits are the mean current of the last layer, so that a
    layer's rate is all that counts. Batch norm is folded. The network's own number of steps, ``net.T``, contains the
    steps that ``srp`` and ``cos`` look at before those that are read out: see :func:`~art_snn.conversion.latency`.

    :param model: a trained network with :class:`~art_snn.conversion.QCFS` activations, or with ReLU.
    :param T: steps that are read out.
    :param method: ``qcfs``, ``srp``, ``cos``, ``residual_noise`` (a network trained with noise, converted without),
        ``rate_coding`` or ``local_threshold_balancing`` (SpikingJelly's recipes), or an instance such as
        ``SRP(pre=2)``.
    :param calibration: inputs ``[N, *]`` or an iterable of batches. A ReLU network needs them: its thresholds are
        measured there. A QCFS network has trained ones, and the first batch is a trial run.
    :param encoder: the code to deploy, of all steps; ``Direct`` by default, the constant current that conversion is
        exact for.
    :return: a network in eval mode.
    :raises TypeError: if ``model`` is no module, or spikes already.
    :raises ValueError: for a layer that cannot be converted (by name), T < 1, an unknown method, missing calibration
        data, a threshold that training drove to zero or below, a QCFS network for SpikingJelly's recipes, or an encoder
        of other steps.

    >>> model = nn.Sequential(nn.Linear(4, 8), QCFS(levels=4, threshold=1.0), nn.Linear(8, 2))
    >>> net = convert(model, T=4)
    >>> x = torch.rand(3, 4)
    >>> torch.allclose(net(x), model(x), atol=1e-5)
    True
    """
    T = check_steps(T)
    way = resolve(method)
    graph = fold_batch_norm(model)
    thresholds = _thresholds(graph, way, calibration)
    steps = T + way.pre
    encoder = Direct(steps) if encoder is None else encoder
    if steps != encoder.T:
        came = f"{encoder} for {way.pre} + {T} steps"
        raise ValueError(explain(came, f"an encoder of {steps} steps", f"encoder={type(encoder).__name__}(T={steps})"))

    def spiking(name: str, _: int) -> nn.Module:
        threshold, start = thresholds[name]
        return SpikingActivation(way.neuron(start), threshold, steps)

    replace_steps(graph, spiking)
    net = SpikingNetwork(encoder, FoldedTime(graph, encoder), MeanCurrent(skip=way.pre))
    net.recipe = recipe_of(graph, steps)
    return net.eval()


def _thresholds(graph: LayerGraph, way: Method, calibration: Any) -> dict[str, tuple[Tensor, float]]:
    """Threshold and start of every activation, by step name."""
    relus, quantized = graph.layer_steps((nn.ReLU,)), graph.layer_steps((QCFS,))
    if not relus and not quantized:
        fix = "train with nn.ReLU or QCFS activations, as modules or as torch.relu"
        raise ValueError(explain("a network without activations", "at least one to replace by neurons", fix))
    if relus and calibration is None:
        came = f"ReLU at {relus[0].target!r}, and no calibration data"
        fix = "convert(model, T, calibration=x_train[:512]), or replace_activations(model) and train"
        raise ValueError(explain(came, "inputs to measure thresholds on", fix))
    for step in quantized:
        check_threshold(graph.get_submodule(step.target).threshold, step.target)  # type: ignore[arg-type]
    if way.recipe is not None:
        if quantized:
            fix = f"convert the ReLU network, or use method='qcfs' for this one: QCFS at {quantized[0].target!r}"
            raise ValueError(explain(f"QCFS activations for {way.recipe!r}", "ReLU activations", fix))
        return recipe_thresholds(graph, way, calibration)
    found = {s.name: graph.get_submodule(s.target).threshold.detach() for s in quantized}  # type: ignore[operator,union-attr]
    if relus:
        found.update(measured_thresholds(graph, calibration))
    elif calibration is not None:
        trial(graph, next(batches(calibration, graph)))
    return {name: (torch.as_tensor(value), 0.5) for name, value in found.items()}
