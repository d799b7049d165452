"""Defenses by name: which code, which neuron, which filter and which training make one, and what it is compared with.

Each design is a spiking network of the zoo with one thing changed, so that its undefended twin (:attr:`Design.twin`)
differs from it in that thing alone. :func:`defended` builds one, :func:`train_defense` trains it::

    net = defended("at", (1, 8, 8), 10, seed=0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0))
    train_defense("at", clf, x_train, y_train, eps=0.1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from art_snn.coding import Direct, EarlyExit, Encoder, EventFrames, Frequency, Fusion, Latency, Poisson, Transformed
from art_snn.coding.base import Decoder
from art_snn.coding.transform import SpikeTransform
from art_snn.defenses import preprocessor as pre
from art_snn.defenses.trainer import TRAINERS, trained_by
from art_snn.errors import explain, suggest
from art_snn.networks import SpikingNetwork, cnn, mlp
from art_snn.neurons import record_signature

_SMALL = 16
"""Images of at least this height get convolutions."""


@dataclass(frozen=True)
class Design:
    """One defense.

    :param title: one line for a list.
    :param encoder: makes the code from T; event grids bring their own.
    :param neuron: a neuron of :data:`art_snn.networks.parts.NEURONS`.
    :param trainer: a trainer of :data:`art_snn.defenses.trainer.TRAINERS`.
    :param transform: makes what stands behind the code, from T.
    :param decoder: makes the read-out; the zoo's own by default.
    :param twin: name of the undefended design.
    :param events: whether it is for event grids.
    :param copies: how many channels the code makes of one.
    """

    title: str
    encoder: Callable[[int], Encoder] = Direct
    neuron: str = "lif"
    trainer: str = "plain"
    transform: Callable[[int], SpikeTransform] | None = None
    decoder: Callable[[], Decoder] | None = None
    twin: str = "plain"
    events: bool = False
    copies: int = 1


def _trained(name: str) -> Design:
    entry = TRAINERS[name]
    return Design(entry.title, neuron=entry.neuron, trainer=name)


def _neuron(name: str, title: str) -> Design:
    return Design(title, neuron=name)


def _latency(title: str, transform: Callable[[int], SpikeTransform]) -> Design:
    return Design(title, Latency, transform=transform, twin="plain-latency")


def _events(title: str, transform: Callable[[int], SpikeTransform] | None = None, trainer: str = "plain") -> Design:
    return Design(title, EventFrames, trainer=trainer, transform=transform, twin="plain-events", events=True)


DEFENSES: dict[str, Design] = {
    "plain": Design("no defense, direct code"),
    "plain-latency": Design("no defense, latency code", Latency, twin="plain-latency"),
    "plain-events": _events("no defense, event frames"),
    **{
        name: _trained(name)
        for name in ("at", "trades", "mart", "rat", "gaussian", "hire", "sr", "sr-at", "nt", "mpp", "stog")
    },
    "dlif": _neuron("dlif", "learned input gain per step"),
    "evolutionary-leak": _neuron("evolutionary", "learned leak per neuron and step"),
    "homeostatic": _neuron("homeostatic", "thresholds that follow a clean signature"),
    "random-leak": _neuron("random", "leak drawn anew per sample and neuron"),
    "rate-code": Design("Bernoulli rate code", Poisson),
    "frequency-code": Design("low-pass frames, narrower at every step", Frequency),
    "fused-codes": Design("direct and latency code side by side", lambda T: Fusion([Direct(T), Latency(T)]), copies=2),
    "early-exit": Design("decides at the first sufficient margin", decoder=lambda: EarlyExit("margin", 6.0)),
    "jitter": _latency("spikes moved by up to one step", lambda _: pre.SpikeJitter(1)),
    "spike-dropout": _latency("a fifth of the spikes dropped", lambda _: pre.SpikeDropout(0.8)),
    "time-warp": _latency("time bent at random", lambda _: pre.TimeWarp(0.5)),
    "smoothing": _latency("exponential moving average of the spikes", lambda _: pre.TemporalSmoothing(0.5)),
    "background-filter": _events("background activity filter", lambda _: pre.BackgroundActivityFilter(2, 1)),
    "refractory-filter": _events("refractory filter", lambda _: pre.RefractoryFilter(1)),
    "correlation-filter": _events("quantized correlation filter", lambda _: pre.QuantizedCorrelationFilter(3, 1, 1)),
    "event-dropout": _events("a fifth of the events dropped", lambda _: pre.SpikeDropout(0.8)),
    "frame-drop": _events("two frames dropped", lambda T: pre.FrameDrop(T - 2, T)),
    "retiming-at": _events("adversarial training with moved spikes", trainer="retiming"),
}
"""Defenses and their undefended twins."""


def design(name: str) -> Design:
    """Look a defense up.

    :raises ValueError: for an unknown name; the message suggests the nearest one.
    """
    if name not in DEFENSES:
        raise ValueError(suggest(name, DEFENSES, "defense"))
    return DEFENSES[name]


def defended(
    name: str, input_shape: tuple[int, ...], nb_classes: int, *, T: int = 8, seed: int = 0,
    builder: Callable[..., SpikingNetwork] | None = None,
) -> SpikingNetwork:  # fmt: skip
    """The untrained network of a defense.

    :param name: a key of :data:`DEFENSES`.
    :param input_shape: ``(C, H, W)``, or ``(T, C, H, W)`` for a defense of event grids.
    :param nb_classes: number of classes.
    :param T: time steps of an image's code; event grids bring their own.
    :param seed: seed of the weights.
    :param builder: ``mlp`` or ``cnn``; by default ``mlp`` for images below 16 pixels and for event grids, else ``cnn``.
    :raises ValueError: for an unknown name, or a shape that does not fit the defense.

    >>> defended("at", (1, 8, 8), 10)(torch.rand(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    chosen = design(name)
    if len(input_shape) != (4 if chosen.events else 3):
        expected = "event grids (T, C, H, W)" if chosen.events else "images (C, H, W)"
        came = f"{name!r} for inputs of shape {tuple(input_shape)}"
        raise ValueError(explain(came, expected, "choose a defense for this kind of input"))
    steps = int(input_shape[0]) if chosen.events else T
    code = chosen.encoder(steps)
    if chosen.transform is not None:
        code = Transformed(code, chosen.transform(steps))
    channels, *size = input_shape[-3:]
    build = builder or (mlp if chosen.events or size[0] < _SMALL else cnn)
    decoder = None if chosen.decoder is None else chosen.decoder()
    shape = (channels * chosen.copies, *size)
    return build(shape, nb_classes, encoder=code, decoder=decoder, neuron=chosen.neuron, seed=seed)


def train_defense(
    name: str, classifier: Any, x: Any, y: Any, *, eps: float = 8 / 255, seed: int = 0, nb_epochs: int = 20,
    batch_size: int = 64, verbose: bool = False,
) -> Any:  # fmt: skip
    """Train a classifier around :func:`defended` in place, and return it.

    Homeostatic neurons are trained twice: at fixed thresholds first, then, after their signature has been recorded on
    the training samples, with adapting ones.

    :param name: a key of :data:`DEFENSES`.
    :param classifier: an untrained ``SNNClassifier`` with an optimizer.
    :param x: training samples.
    :param y: labels.
    :param eps: budget of the training's perturbation, where it has one.
    :param seed: seed of everything random.
    :raises ValueError: for an unknown name, or a network that the training cannot use.
    """
    chosen = design(name)
    options: dict[str, Any] = {"eps": eps, "seed": seed, "batch_size": batch_size, "verbose": verbose}
    if chosen.neuron == "homeostatic":
        _settle(classifier, x, y, nb_epochs, options)
    return trained_by(chosen.trainer, classifier, x, y, nb_epochs=nb_epochs, **options)


def _settle(classifier: Any, x: Any, y: Any, nb_epochs: int, options: dict[str, Any]) -> None:
    """Train at fixed thresholds, and record the signature of the result."""
    rates = [(p, p.detach().clone()) for n, p in classifier.model.named_parameters() if n.endswith(".rate")]
    with torch.no_grad():
        for rate, _ in rates:
            rate.fill_(-1.0)
    trained_by("plain", classifier, x, y, nb_epochs=nb_epochs, **options)
    record_signature(classifier.model, torch.as_tensor(np.asarray(x, dtype=np.float32), device=classifier.device))
    with torch.no_grad():
        for rate, value in rates:
            rate.copy_(value)
