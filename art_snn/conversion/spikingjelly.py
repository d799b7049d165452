"""SpikingJelly's own conversion recipes: they find the thresholds, the network around them is ours.

Both turn a ReLU into scaling, an IF neuron with soft reset and threshold 1, and scaling back, which is what a
:class:`~art_snn.conversion.neurons.SpikingActivation` does; rate coding starts at 0, local threshold balancing at half.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.methods import LocalThresholdBalancing, Method, RateCoding
from art_snn.conversion.replace import replace_steps
from art_snn.conversion.thresholds import batches
from art_snn.errors import explain


def recipe_thresholds(graph: LayerGraph, way: Method, calibration: Any) -> dict[str, tuple[Tensor, float]]:
    """Threshold (one, or one per channel) and start of every ReLU, by step name.

    :raises ValueError: if the recipe fails; the message says why.
    """
    steps = graph.layer_steps((nn.ReLU,))
    replace_steps(graph, lambda *_: nn.ReLU(), (nn.ReLU,))
    data = list(batches(calibration, graph))
    converted = spikingjelly_network(graph, way, data)
    nodes = dict(converted.named_modules())
    found = [name for name, module in nodes.items() if isinstance(module, neuron.BaseNode)]
    ordered = [str(node.target) for node in converted.graph.nodes if node.op == "call_module" and node.target in found]
    return {
        step.name: (
            nodes[f"{name.rpartition('.')[0]}.scaler1"].scale.detach().clone(),
            0.5 if isinstance(nodes[name], neuron.HalfThresholdIFNode) else 0.0,
        )
        for step, name in zip(steps, ordered, strict=True)
    }  # fmt: skip


def spikingjelly_network(graph: LayerGraph, way: Method, data: list[Tensor]) -> Any:
    """What SpikingJelly makes of a ReLU network: single-step, logits at every step."""
    from spikingjelly.activation_based.ann2snn import Converter
    from spikingjelly.activation_based.ann2snn.recipes import LocalThresholdBalancingRecipe, RateCodingRecipe

    if isinstance(way, RateCoding):
        recipe: Any = RateCodingRecipe(data, mode=way.mode)
    elif isinstance(way, LocalThresholdBalancing):
        recipe = LocalThresholdBalancingRecipe(data * way.rounds)
    else:
        raise ValueError(explain(f"{way}", "RateCoding or LocalThresholdBalancing", "method='rate_coding'"))
    with _quiet():
        try:
            return Converter(recipe=recipe).convert(graph)
        except (ValueError, NotImplementedError) as error:
            fix = "calibrate on inputs of every class, or use method='qcfs'"
            raise ValueError(explain(f"{way.recipe} that failed ({error})", "a network it can convert", fix)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the recipe's progress bar away."""
    with redirect_stderr(StringIO()):
        yield
