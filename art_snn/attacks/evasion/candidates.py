"""The gradient policies that SNNAutoAttack chooses from, and the spike code's own choices of a backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import nn

from art_snn.coding.base import HIDING
from art_snn.coding.transform import SpikeTransform
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, GradientPolicy, Surrogate
from art_snn.networks.spiking_network import SpikingNetwork


@dataclass(frozen=True)
class Candidate:
    """A way to take gradients: a policy (``None``: the network's own surrogate) and a backward pass of the code."""

    name: str
    family: str
    policy: GradientPolicy | None = None
    backward: str | None = None

    @property
    def label(self) -> str:
        """Name, with the backward pass of the code where that is a choice."""
        return self.name if self.backward is None else f"{self.name}, {self.backward}"


def own() -> Candidate:
    """The network's own surrogate, or plain autograd for a network without spikes."""
    return Candidate("own", "own")


def small_grid() -> list[Candidate]:
    """Six policies: the strongest of each family on networks that mask their own surrogate, and that surrogate."""
    return [
        own(), _atan(4), _atan(8), _triangle(0.3), _assg(0.45), Candidate("hart .3", "rate", HART(0.3)),
    ]  # fmt: skip


def full_grid() -> list[Candidate]:
    """Seventeen policies: sharpness from flat to sharp in each family, and the rate policies."""
    return [
        own(),
        *map(_atan, (2, 4, 8, 16, 32)),
        *map(_triangle, (0.3, 1.0)),
        *map(_assg, (0.40, 0.43, 0.45, 0.47)),
        *(Candidate(f"hart {gamma:g}", "rate", HART(gamma)) for gamma in (0.3, 0.5, 1.0)),
        Candidate("rga", "rate", RGA()),
        Candidate("bptr", "rate", BPTR()),
        Candidate("pdsg", "potential", PDSG()),
    ]


def fixed_set() -> list[Candidate]:
    """What takes turns where there is nothing to calibrate on: three sharp policies of different make."""
    return [_assg(0.45), _atan(8), _triangle(0.3)]


def sharper(best: Candidate) -> list[Candidate]:
    """Beyond the edge of the grid, where the best candidate sits on it."""
    beyond = {"atan 32": [_atan(64)], "assg 0.47": [_assg(0.48), _assg(0.49)], "triangle 0.3": [_triangle(0.15)]}
    return beyond.get(best.name, [])


def _atan(sharpness: float) -> Candidate:
    return Candidate(f"atan {sharpness:g}", "surrogate", Surrogate("atan", float(sharpness)))


def _triangle(gamma: float) -> Candidate:
    return Candidate(f"triangle {gamma:g}", "surrogate", Surrogate("triangle", 1 / gamma))


def _assg(half_degree: float) -> Candidate:
    return Candidate(f"assg {half_degree:g}", "adaptive", ASSG(half_degree))


def code_backwards(model: nn.Module) -> list[str | None]:
    """Backward passes of the model's spike code that do not hide gradient; ``[None]`` where there is no choice.

    A code made of several parts (a filter behind a code, say) has one name per part, joined by ``+``.
    """
    if not isinstance(model, SpikingNetwork):
        return [None]
    choices = [[name for name in part.backwards if name not in HIDING] for part in code_parts(model.encoder)]
    if all(len(names) < 2 for names in choices):
        return [None]
    return ["+".join(names) for names in product(*choices)]


def code_parts(code: nn.Module) -> list[Any]:
    """The parts of a spike code that have a backward pass of their own, in the order the data pass them."""
    inner = getattr(code, "encoder", None)
    if inner is None:
        return [code]
    transform = getattr(code, "transform", None)
    return [*code_parts(inner), *([transform] if isinstance(transform, SpikeTransform) else [])]


@contextmanager
def code_backward(model: nn.Module, backward: str | None) -> Iterator[None]:
    """Another backward pass of the spike code inside the context; spikes stay as they are."""
    if backward is None or not isinstance(model, SpikingNetwork):
        yield
        return
    parts = code_parts(model.encoder)
    before = [part.backward for part in parts]
    try:
        for part, name in zip(parts, backward.split("+"), strict=True):
            part.backward = name
        yield
    finally:
        for part, name in zip(parts, before, strict=True):
            part.backward = name
