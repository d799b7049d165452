"""QCFS in place of ReLU, one threshold per place where the network activates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from art_snn.conversion.graph import LayerGraph, retargeted
from art_snn.conversion.noise import Noise
from art_snn.conversion.qcfs import QCFS
from art_snn.conversion.tracing import trace
from art_snn.errors import explain


def replace_activations(
    model: nn.Module,
    levels: int = 8,
    *,
    threshold: float = 8.0,
    noise: Noise | None = None,
    max_pool: str = "refuse",
    calibration: Any = None,
) -> LayerGraph:
    """A copy of ``model`` with :class:`~art_snn.conversion.QCFS` for every ReLU: modules, functions and methods.

    A ReLU module that is used several times gets one threshold per use. The copy is to be trained, or trained on; it
    has the parameter names of ``model`` and its weights, and ``threshold`` parameters beside them.

    :param model: a feed-forward network.
    :param levels: quantization levels.
    :param threshold: initial threshold, in activation units.
    :param noise: noise while training; every place gets a copy with a stream of its own.
    :param max_pool: ``refuse`` max pooling, or ``average`` instead (train afterwards).
    :param calibration: inputs, in place of ``threshold``: thresholds are measured on them, see
        :func:`~art_snn.conversion.thresholds.measured_thresholds`.
    :raises ValueError: for a layer that cannot be converted, or a model without ReLU.

    >>> replace_activations(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), levels=4).get_submodule("1")
    QCFS(levels=4, threshold=8)
    """
    graph = trace(model, max_pool=max_pool)
    if not graph.layer_steps((nn.ReLU,)):
        fix = "pass the ReLU network; one with QCFS already goes to convert(model, T)"
        raise ValueError(explain(f"a {type(model).__name__} without ReLU", "a network with ReLU activations", fix))
    starts: dict[str, float] = {}
    if calibration is not None:
        from art_snn.conversion.thresholds import measured_thresholds

        starts = {name: float(value) for name, value in measured_thresholds(graph, calibration).items()}

    def quantized(name: str, index: int) -> nn.Module:
        return QCFS(levels, starts.get(name, threshold), _own(noise, index))

    replace_steps(graph, quantized, (nn.ReLU,))
    return graph.train(model.training)


def _own(noise: Noise | None, index: int) -> Noise | None:
    own = copy.deepcopy(noise)
    if own is not None:
        own.draws.reseed(own.draws.seed + index)
    return own


def replace_steps(
    graph: LayerGraph, make: Callable[[str, int], nn.Module], kinds: tuple[type[nn.Module], ...] = (nn.ReLU, QCFS)
) -> None:
    """Give every step with an activation a module of its own: ``make(step name, index)``.

    The first use of a module keeps its name, later ones get ``name_1``, ``name_2``, ...
    """
    seen: dict[str, int] = {}
    layers: dict[str, tuple[str, nn.Module]] = {}
    taken = dict(graph.named_modules())
    for index, step in enumerate(graph.layer_steps(kinds)):
        use = seen[step.target] = seen.get(step.target, -1) + 1
        name = step.target if use == 0 else f"{step.target}_{use}"
        while use and name in taken:
            name += "_"
        layers[step.name] = (name, make(step.name, index))
    retargeted(graph, layers)
