"""A fully connected spiking network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from spikingjelly.activation_based import layer
from torch import nn

from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.direct import Direct
from art_snn.errors import guarded
from art_snn.networks.parts import assemble, check_image, features, make_neuron
from art_snn.networks.spiking_network import SpikingNetwork


@guarded
def mlp(
    input_shape: tuple[int, ...],
    nb_classes: int,
    *,
    hidden: Sequence[int] = (256,),
    encoder: Encoder | None = None,
    decoder: Decoder | None = None,
    neuron: str = "lif",
    tau: float = 2.0,
    surrogate_function: str = "atan",
    seed: int = 0,
) -> SpikingNetwork:
    """Linear layers with a spiking neuron after each hidden one; the last layer's current is decoded.

    :param input_shape: ``(C, H, W)``.
    :param nb_classes: number of classes.
    :param hidden: widths of the hidden layers.
    :param encoder: spike code of the input; ``Direct(T=8)`` by default.
    :param decoder: read-out; ``MembraneMean()`` by default.
    :param neuron: ``lif``, ``if``, ``plif``, or a neuron proposed as a defense; see
        :func:`~art_snn.networks.parts.make_neuron`.
    :param tau: membrane time constant in steps, above 1.
    :param surrogate_function: slope at a spike while training: ``atan``, ``sigmoid`` or ``triangle``.
    :param seed: seed of the initial weights.
    :raises ValueError: for a shape, neuron or class count that cannot be built.

    >>> sum(p.numel() for p in mlp((1, 8, 8), 10, hidden=(32,)).parameters())
    2410
    """
    shape = check_image(input_shape, nb_classes)
    encoder = encoder if encoder is not None else Direct(T=8)
    spiking = make_neuron(neuron, tau, surrogate_function, encoder.T)
    widths = [features(shape), *map(int, hidden)]
    layers: list[nn.Module] = [layer.Flatten(step_mode="m")]
    for inputs, outputs in pairwise(widths):
        layers += [layer.Linear(inputs, outputs, step_mode="m"), spiking((outputs,))]
    layers.append(layer.Linear(widths[-1], nb_classes, step_mode="m"))
    arguments = {
        "input_shape": shape, "nb_classes": nb_classes, "hidden": widths[1:], "neuron": neuron, "tau": tau,
        "surrogate_function": surrogate_function, "seed": seed,
    }  # fmt: skip
    return assemble("mlp", arguments, layers, encoder, decoder)
