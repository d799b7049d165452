"""Which parts of a network run fast, and why others do not."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from art_snn.networks.fast import unfused_because
from art_snn.networks.normalizing import normalizes
from art_snn.networks.pooling import halves
from art_snn.networks.repeats import unshared_because
from art_snn.neurons import compiled

_ADDITIONS = "four strided additions, same values"
_INSTALL = 'pip install "art-snn[numba]"'


@dataclass(frozen=True)
class Step:
    """One module: its dotted name, class, ``fused``, ``once``, ``rearranged`` or ``left alone``, and the reason."""

    name: str
    kind: str
    how: str
    why: str


@dataclass(frozen=True)
class Plan:
    """The modules of a network in order, as ``print`` shows them in a table, and what large layers run as."""

    steps: tuple[Step, ...]

    @property
    def large(self) -> str | None:
        """How layers that are fused or pooled run from 4 MiB on; ``None`` where there are none."""
        if not any(step.how == "fused" or step.why == _ADDITIONS for step in self.steps):
            return None
        return "machine code (numba)" if compiled.installed() else f"torch operations; for machine code: {_INSTALL}"

    def __str__(self) -> str:
        rows = [("module", "class", "runs", "because"), *((s.name, s.kind, s.how, s.why) for s in self.steps)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(row[:3], widths, strict=True)), row[3]]) for row in rows]
        return "\n".join([*lines, f"large layers on a CPU run as {self.large}"] if self.large else lines)


def plan(body: nn.Module, *, fast: bool, constant: bool) -> Plan:
    """What a run does with the layers and neurons of a body, in the order in which they were declared.

    :param body: the network between encoder and decoder.
    :param fast: whether the fast ways are on at all.
    :param constant: whether the spike train is the same at every step.
    """
    steps: list[Step] = []
    for name, module in body.named_modules():
        spikes = "surrogate_function" in module._modules
        if not spikes and (
            next(module.children(), None) is not None or name.rpartition(".")[2] == "surrogate_function"
        ):
            continue
        reason = unfused_because(module) if spikes else unshared_because(module)
        how, why = _how(spikes, reason, fast=fast, constant=constant)
        if fast and how == "left alone" and halves(module):
            how, why = "rearranged", _ADDITIONS
        elif fast and how == "left alone" and normalizes(module):
            how, why = "rearranged", "into memory that is used again, same values"
        steps.append(Step(name, type(module).__name__, how, why))
        constant = constant and not spikes and reason is None
    return Plan(tuple(steps))


def _how(spikes: bool, reason: str | None, *, fast: bool, constant: bool) -> tuple[str, str]:
    if not fast:
        return "left alone", "fast=False"
    if spikes:
        return ("fused", "all steps at once, in place, same spikes") if reason is None else ("left alone", reason)
    if not constant:
        return "left alone", "its input changes from step to step"
    return ("once", "its input is the same at every step") if reason is None else ("left alone", reason)
