"""A convolutional spiking network."""

from __future__ import annotations

from collections.abc import Sequence

from spikingjelly.activation_based import layer
from torch import nn

from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.direct import Direct
from art_snn.errors import explain, guarded
from art_snn.networks.parts import assemble, check_image, make_neuron
from art_snn.networks.spiking_network import SpikingNetwork


@guarded
def cnn(
    input_shape: tuple[int, ...],
    nb_classes: int,
    *,
    channels: Sequence[int] = (16, 32),
    hidden: int = 128,
    batch_norm: bool = True,
    encoder: Encoder | None = None,
    decoder: Decoder | None = None,
    neuron: str = "lif",
    tau: float = 2.0,
    surrogate_function: str = "atan",
    seed: int = 0,
) -> SpikingNetwork:
    """Blocks of 3 x 3 convolution, batch norm, spiking neuron and 2 x 2 average pooling, then one hidden layer.

    Average pooling keeps the twin comparison exact: it is linear in both networks.

    :param input_shape: ``(C, H, W)``.
    :param nb_classes: number of classes.
    :param channels: output channels of the blocks; each block halves height and width.
    :param hidden: width of the hidden layer.
    :param batch_norm: normalize each convolution over batch, time and space before its neuron.
    :param encoder: spike code of the input; ``Direct(T=8)`` by default.
    :param decoder: read-out; ``MembraneMean()`` by default.
    :param neuron: ``lif``, ``if``, ``plif``, or a neuron proposed as a defense; see
        :func:`~art_snn.networks.parts.make_neuron`.
    :param tau: membrane time constant in steps, above 1.
    :param surrogate_function: slope at a spike while training: ``atan``, ``sigmoid`` or ``triangle``.
    :param seed: seed of the initial weights.
    :raises ValueError: if the image is too small for the blocks, or an argument is out of range.

    >>> import torch
    >>> cnn((1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """
    planes, height, width = check_image(input_shape, nb_classes)
    encoder = encoder if encoder is not None else Direct(T=8)
    spiking = make_neuron(neuron, tau, surrogate_function, encoder.T)
    shrink = 2 ** len(channels)
    if min(height, width) < shrink:
        came = f"a {height} x {width} image for {len(channels)} pooled blocks"
        raise ValueError(explain(came, f"at least {shrink} x {shrink}", "pass fewer channels, or use mlp"))
    layers: list[nn.Module] = []
    for block, (inputs, outputs) in enumerate(zip([planes, *channels], channels, strict=False)):
        layers.append(layer.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=not batch_norm, step_mode="m"))
        if batch_norm:
            layers.append(layer.BatchNorm2d(outputs, step_mode="m"))
        layers += [spiking((outputs, height // 2**block, width // 2**block)), layer.AvgPool2d(2, step_mode="m")]
    flat = channels[-1] * (height // shrink) * (width // shrink)
    layers += [layer.Flatten(step_mode="m"), layer.Linear(flat, hidden, step_mode="m"), spiking((hidden,))]
    layers.append(layer.Linear(hidden, nb_classes, step_mode="m"))
    arguments = {
        "input_shape": (planes, height, width), "nb_classes": nb_classes, "channels": [int(c) for c in channels],
        "hidden": hidden, "batch_norm": batch_norm, "neuron": neuron, "tau": tau,
        "surrogate_function": surrogate_function, "seed": seed,
    }  # fmt: skip
    return assemble("cnn", arguments, layers, encoder, decoder)
