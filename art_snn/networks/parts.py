"""Parts that every network of the zoo is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import prod
from typing import Any

import torch
from spikingjelly.activation_based import neuron as sj_neuron
from spikingjelly.activation_based import surrogate
from torch import nn

from art_snn.coding.base import Decoder, Encoder
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.neurons import DLIF, EvolutionaryLeak, HomeostaticLIF, RandomLeak, StochasticGate

NeuronFactory = Callable[[tuple[int, ...]], nn.Module]
"""Makes the neurons of one layer from the shape of one sample's current."""


SURROGATES: dict[str, Callable[[], nn.Module]] = {
    "atan": surrogate.ATan,
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
}
"""Surrogates of the zoo by name, each at SpikingJelly's default sharpness."""


NEURONS = ("lif", "if", "plif", "dlif", "evolutionary", "homeostatic", "random", "gated")
"""Neurons of the zoo: SpikingJelly's, and those that were proposed as defenses."""


def make_neuron(neuron: str = "lif", tau: float = 2.0, surrogate_function: str = "atan", T: int = 8) -> NeuronFactory:
    r"""A factory of multi-step neurons with hard, detached reset and a named surrogate.

    ``lif``, ``if`` and ``plif`` are SpikingJelly's; ``dlif``, ``evolutionary``, ``homeostatic`` and ``random`` are
    :class:`~art_snn.neurons.DLIF`, :class:`~art_snn.neurons.EvolutionaryLeak`,
    :class:`~art_snn.neurons.HomeostaticLIF` and :class:`~art_snn.neurons.RandomLeak`; ``gated`` is ``lif`` with a
    :class:`~art_snn.neurons.StochasticGate` behind it. Random neurons of one network have a stream each.

    The input is not divided by ``tau`` (``decay_input=False``): :math:`u_t = (1 - 1/\tau) m_{t-1} + I_t`, so that deep
    layers still fire under weights of ordinary size.

    :param T: time steps, for neurons with a parameter per step.
    :raises ValueError: for another name, or ``tau`` not above 1.
    """
    if surrogate_function not in SURROGATES:
        came = f"surrogate_function={surrogate_function!r}"
        fix = "for any other surrogate build the body yourself"
        raise ValueError(explain(came, f"one of {', '.join(map(repr, SURROGATES))}", fix))
    if not tau > 1:
        raise ValueError(
            explain(f"tau = {tau}", "a membrane time constant above 1", "pass tau=2.0, or neuron='if' for no leak")
        )
    if neuron not in NEURONS:
        known = ", ".join(map(repr, NEURONS))
        raise ValueError(
            explain(f"neuron={neuron!r}", f"one of {known}", "for any other neuron build the body yourself")
        )
    tau, slope, streams = float(tau), SURROGATES[surrogate_function], count(1)

    def common() -> dict[str, Any]:
        return {"surrogate_function": slope(), "detach_reset": True, "step_mode": "m"}

    def gated(shape: tuple[int, ...]) -> nn.Module:
        return nn.Sequential(sj_neuron.LIFNode(tau, False, **common()), StochasticGate(shape, seed=next(streams)))

    kinds: dict[str, NeuronFactory] = {
        "lif": lambda _: sj_neuron.LIFNode(tau, False, **common()),
        "if": lambda _: sj_neuron.IFNode(**common()),
        "plif": lambda _: sj_neuron.ParametricLIFNode(tau, False, **common()),
        "dlif": lambda _: DLIF(T, tau, **common()),
        "evolutionary": lambda shape: EvolutionaryLeak(T, shape, 1 - 1 / tau, **common()),
        "homeostatic": lambda shape: HomeostaticLIF(T, shape, tau=tau, **common()),
        "random": lambda _: RandomLeak(tau, seed=next(streams), **common()),
        "gated": gated,
    }
    return kinds[neuron]


def check_image(input_shape: tuple[int, ...], nb_classes: int) -> tuple[int, int, int]:
    """Return ``(C, H, W)``.

    :raises ValueError: if the shape is no channels-first image or there are fewer than two classes.
    """
    shape = tuple(int(size) for size in input_shape)
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(explain(f"input_shape={input_shape}", "(C, H, W)", "grey images of 28 x 28 are (1, 28, 28)"))
    if nb_classes < 2:
        raise ValueError(explain(f"nb_classes={nb_classes}", "at least 2", "pass nb_classes=10, say"))
    return shape  # type: ignore[return-value]


def features(shape: tuple[int, ...]) -> int:
    """Number of values of one sample."""
    return prod(shape)


def start_weights(body: nn.Module) -> None:
    r"""Kaiming-normal weights, :math:`\sigma^2 = 2/n_{in}`, and zero biases, for linear and convolutional layers."""
    for module in body.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from ``seed`` inside the context, and leave torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def assemble(
    builder: str, arguments: dict[str, Any], layers: list[nn.Module], encoder: Encoder, decoder: Decoder | None
) -> SpikingNetwork:
    """Layers between their codes, with fresh weights from ``arguments["seed"]`` and the recipe that rebuilds them."""
    body = nn.Sequential(*layers)
    with seeded(arguments["seed"]):
        start_weights(body)
    net = SpikingNetwork(encoder, body, decoder)
    net.recipe = {"builder": builder, "arguments": arguments}
    return net
