"""The output neuron of a spike-counting or spike-timing decoder.

A decoder that reads spikes may own the last neuron layer: then the body ends in a linear layer, the decoder turns its
currents into spikes, and the accumulated current remains as evidence where the spikes tie or stay silent. Without a
neuron the body's output is taken as spikes and the accumulated evidence is the spike count.
"""

from __future__ import annotations

from torch import Tensor, nn

from art_snn.errors import explain


def check_neuron(neuron: nn.Module | None) -> nn.Module | None:
    """Return the neuron.

    :raises TypeError: if it is not a module.
    :raises ValueError: if it is a SpikingJelly neuron in single-step mode.
    """
    if neuron is None:
        return None
    if not isinstance(neuron, nn.Module):
        fix = "pass an instance, e.g. neuron=IFNode(step_mode='m')"
        raise TypeError(explain(f"neuron={neuron!r}", "a spiking neuron module", fix))
    if getattr(neuron, "step_mode", "m") != "m":
        raise ValueError(explain("a neuron in step_mode 's'", "a multi-step neuron", "neuron.step_mode = 'm'"))
    return neuron


def fire(neuron: nn.Module | None, o: Tensor) -> Tensor:
    """Spikes ``[T, N, K]``: of the neuron driven by ``o``, or ``o`` itself."""
    return o if neuron is None else neuron(o)
