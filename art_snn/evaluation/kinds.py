"""What models there are, by name: twins, codes, defenses, and a defense behind another code.

``snn-latency`` is the spiking network behind a code, ``snn-at`` the one with a defense (behind the code that the
defense is designed for), ``snn-latency+at`` the defense behind that code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from art_snn.coding import (
    Direct,
    Encoder,
    EventFrames,
    Frequency,
    Fusion,
    Latency,
    MeanCurrent,
    MeanOverTime,
    Poisson,
    Transformed,
    WeightedPhase,
)
from art_snn.conversion import replace_activations
from art_snn.conversion.neurons import FoldedTime
from art_snn.defenses.catalogue import DEFENSES
from art_snn.errors import explain, suggest
from art_snn.networks import AnalogNetwork, SpikingNetwork, ann_twin, plain_layers

Make = Callable[[Callable[..., SpikingNetwork], int], nn.Module]
"""Makes a network from a builder (``build(encoder=..., neuron=...)``) and the number of time steps."""


@dataclass(frozen=True)
class ModelKind:
    """A model by name.

    :param text: what it is.
    :param make: makes it, untrained.
    :param defense: its name in :data:`~art_snn.defenses.catalogue.DEFENSES`, which says how it is trained.
    """

    text: str
    make: Make
    defense: str | None = None


def _spiking(encoder: type[Encoder], neuron: str = "lif") -> Make:
    def make(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
        return build(encoder=encoder(T), neuron=neuron)

    return make


def _defended(name: str) -> ModelKind:
    chosen = DEFENSES[name]

    def make(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
        code = chosen.encoder(T)
        if chosen.transform is not None:
            code = Transformed(code, chosen.transform(T))
        decoder = None if chosen.decoder is None else chosen.decoder()
        return build(encoder=code, decoder=decoder, neuron=chosen.neuron, copies=chosen.copies)

    return ModelKind(f"defense: {chosen.title}", make, name)


def _ann(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
    return ann_twin(build(encoder=Direct(T)))


def _qnn(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
    twin = ann_twin(build(encoder=Direct(T)))
    return AnalogNetwork(
        replace_activations(plain_layers(twin.body), levels=T, threshold=_THRESHOLD), over_time=twin.over_time
    )


def _encoded(encoder: type[Encoder]) -> Make:
    def make(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
        twin = ann_twin(build(encoder=Direct(T)))
        return SpikingNetwork(MeanOverTime(encoder(T)), FoldedTime(plain_layers(twin.body)), MeanCurrent())

    return make


_THRESHOLD = 2.0
"""Where the trained thresholds of quantized activations start."""

CODES: dict[str, Callable[[int], Encoder]] = {
    "direct": Direct,
    "poisson": Poisson,
    "latency": Latency,
    "phase": WeightedPhase,
    "frequency": Frequency,
    "fused": lambda T: Fusion([Direct(T), Latency(T)]),
}
"""Codes of images by name, for any number of time steps."""
_COPIES = {"fused": 2}
"""Codes that make several channels of one."""
CODE_DEFENSES = {"rate-code": "poisson", "frequency-code": "frequency", "fused-codes": "fused"}
"""Defenses that are nothing but a code, and its name."""
SPIKING = "snn-"

MODELS: dict[str, ModelKind] = {
    "ann": ModelKind("the non-spiking twin: ReLU for every spiking neuron, same layers and parameters", _ann),
    "qnn": ModelKind("the twin with activations of T levels: quantization without spikes", _qnn),
    "ann-poisson": ModelKind("the twin behind the Bernoulli rate code, averaged over time", _encoded(Poisson)),
    "ann-latency": ModelKind("the twin behind the first-spike code, averaged over time", _encoded(Latency)),
    "snn-direct": ModelKind("constant-current input", _spiking(Direct)),
    "snn-poisson": ModelKind("Bernoulli rate code, fresh draws at every call", _spiking(Poisson)),
    "snn-latency": ModelKind("time-to-first-spike code, bright pixels early", _spiking(Latency)),
    "snn-events": ModelKind("event frames as they are, one per time step", _spiking(EventFrames)),
    "snn-converted": ModelKind("qnn after training, converted to integrate-and-fire neurons", _qnn),
    **{
        f"snn-{name}": _defended(name)
        for name, chosen in DEFENSES.items()
        if not name.startswith("plain")
    },
}  # fmt: skip
"""Models by name: twins, codes, defenses."""


def kind_named(name: str) -> ModelKind:
    """Look a model up, or put it together: ``snn-CODE`` and ``snn-CODE+DEFENSE``.

    :raises ValueError: for an unknown name (the message suggests the nearest), or a defense that needs another code.

    >>> kind_named("snn-latency+at").defense
    'at'
    """
    if name in MODELS:
        return MODELS[name]
    code, plus, defense = name.removeprefix(SPIKING).partition("+")
    if not name.startswith(SPIKING) or code not in CODES:
        known = [*MODELS, *(f"{SPIKING}{code}" for code in CODES)]
        raise ValueError(suggest(name, list(dict.fromkeys(known)), "model"))
    if not plus:
        return ModelKind(f"{code} code", _behind(code, None))
    if defense not in DEFENSES:
        raise ValueError(suggest(defense, DEFENSES, "defense"))
    check_defense(defense, code)
    return ModelKind(f"{DEFENSES[defense].title}, {code} code", _behind(code, defense), defense)


def check_defense(defense: str, code: str) -> None:
    """See whether a defense can stand behind a code that is not its own.

    :raises ValueError: if it cannot.
    """
    own = own_code(defense)
    if own is not None and code != own:
        came = f"defense {defense!r} behind the code {code!r}"
        fix = f"codes = [{own!r}] for it"
        if defense in CODE_DEFENSES:
            fix = f"it is a code: codes = [{CODE_DEFENSES[defense]!r}], without a defense"
        raise ValueError(explain(came, f"the code {own!r}, which the defense changes", fix))


def own_code(defense: str) -> str | None:
    """The only code that a defense can stand behind; ``None`` if any will do.

    >>> own_code("at"), own_code("jitter"), own_code("frame-drop")
    (None, 'latency', 'events')
    """
    chosen = DEFENSES[defense]
    if chosen.events:
        return "events"
    if defense in CODE_DEFENSES:
        return CODE_DEFENSES[defense]
    return None if chosen.transform is None else "latency"


def _behind(code: str, defense: str | None) -> Make:
    chosen = DEFENSES["plain" if defense is None else defense]

    def make(build: Callable[..., SpikingNetwork], T: int) -> nn.Module:
        decoder = None if chosen.decoder is None else chosen.decoder()
        encoder = CODES[code](T)
        return build(encoder=encoder, decoder=decoder, neuron=chosen.neuron, copies=_COPIES.get(code, 1))

    return make
