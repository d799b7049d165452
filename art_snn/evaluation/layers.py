r"""Layer by layer and step by step: who fires, who is dead, and where the gradient stops.

For each spiking layer, with :math:`v_t = u_t - \theta` in front of the surrogate :math:`h`: the firing rate, the share
of
:math:`v_t` with :math:`h(v_t) \ge 10^{-3} h(0)` (overlap with the surrogate's support), and the share of neurons at
which :math:`\partial L/\partial v_t` is exactly zero; a neuron is dead if it never fires on any sample, saturated if it
fires at every step of every sample. A ReLU has one step, its rate is the share of positive outputs, and it cannot
saturate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from art_snn.attacks.evasion import losses
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.pool import forced
from art_snn.evaluation.seeding import derived_seed
from art_snn.gradients.neurons import swapped
from art_snn.gradients.slopes import slope_of
from art_snn.spiking import spiking_neurons

Array = np.ndarray[Any, np.dtype[Any]]
_SUPPORT = 1e-3


@dataclass(frozen=True)
class LayerState:
    """What one layer did on a batch.

    :param name: dotted name in the module.
    :param kind: class of the neuron.
    :param rate: firing rate per time step.
    :param dead: share of neurons that never fired.
    :param saturated: share that always fired.
    :param overlap: share of membranes within the surrogate's support, per step; empty without a surrogate.
    :param zero_gradient: share of exactly zero gradients, per step; 1 where none arrived.
    :param norm: norm of the gradient that arrived.
    """

    name: str
    kind: str
    rate: list[float]
    dead: float
    saturated: float
    overlap: list[float]
    zero_gradient: list[float]
    norm: float

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass
class _Seen:
    """Steps of one layer: membranes (or outputs), spikes, gradients."""

    membranes: list[Tensor] = field(default_factory=list)
    spikes: list[Tensor] = field(default_factory=list)
    gradients: dict[int, Tensor] = field(default_factory=dict)

    def add(self, v: Tensor, s: Tensor) -> None:
        step = len(self.spikes)
        self.membranes.append(v.detach())
        self.spikes.append(s.detach())
        if v.requires_grad:
            v.register_hook(lambda grad: self.gradients.__setitem__(step, grad.detach()))


class _Tap(nn.Module):
    """A surrogate that notes what passes through it."""

    def __init__(self, inner: nn.Module, seen: _Seen) -> None:
        super().__init__()
        self.inner = inner
        self.spiking = getattr(inner, "spiking", True)
        self.alpha = getattr(inner, "alpha", None)
        self._seen = seen

    def forward(self, v: Tensor) -> Tensor:
        v = v.view_as(v) if v.requires_grad else v
        s: Tensor = self.inner(v)
        self._seen.add(v, s)
        return s


@contextmanager
def _tapped(model: nn.Module) -> Iterator[dict[str, _Seen]]:
    nodes = spiking_neurons(model)
    relus = {name: module for name, module in model.named_modules() if isinstance(module, nn.ReLU)}
    seen = {name: _Seen() for name in (*nodes, *relus)}
    taps: dict[nn.Module, nn.Module] = {
        node: _Tap(node.surrogate_function, seen[name])  # type: ignore[arg-type]
        for name, node in nodes.items()
    }
    with ExitStack() as stack:
        for name, module in relus.items():

            def note(module: nn.Module, args: Any, output: Tensor, name: str = name) -> None:  # noqa: ARG001
                seen[name].add(output, output)

            stack.callback(module.register_forward_hook(note).remove)
        stack.enter_context(swapped(taps))
        yield seen


def inspect_layers(evidence: Evidence, x: Array, y: Array) -> list[LayerState]:
    """Rates, dead and saturated neurons, surrogate overlap and zero gradients of every layer that spikes or rectifies.

    :param evidence: the model.
    :param x: samples ``[N, *]``.
    :param y: index labels; the gradient is that of the margin.
    """
    model = evidence.model
    surrogates = {name: node.surrogate_function for name, node in spiking_neurons(model).items()}
    model.eval()
    with _tapped(model) as seen, evidence.drawing(derived_seed(evidence.seed, "layers")), forced(model):
        leaf, prepared = evidence.inputs(x)
        loss = losses.margin(model(prepared), torch.as_tensor(y, device=evidence.classifier.device)).sum()
        if loss.requires_grad:
            torch.autograd.grad(loss, leaf, allow_unused=True)
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    return [_state(name, kinds[name], layer, surrogates.get(name)) for name, layer in seen.items() if layer.spikes]


def _state(name: str, kind: str, seen: _Seen, surrogate: Any) -> LayerState:
    fired = [(s > 0).flatten(1) if s.dim() > 1 else (s > 0)[None] for s in seen.spikes]
    ever = torch.stack([f.any(0) for f in fired]).any(0)
    always = torch.stack([f.all(0) for f in fired]).all(0) & (surrogate is not None)
    zero, norms = [], []
    for step, v in enumerate(seen.membranes):
        grad = seen.gradients.get(step)
        zero.append(1.0 if grad is None else float((grad == 0).double().mean()))
        norms.append(0.0 if grad is None else float(grad.double().square().sum()))
        del v
    overlap = [] if surrogate is None else [_overlap(surrogate, v) for v in seen.membranes]
    return LayerState(
        name, kind, [float(f.double().mean()) for f in fired], float((~ever).double().mean()),
        float(always.double().mean()), overlap, zero, float(np.sqrt(sum(norms))),
    )  # fmt: skip


def _overlap(surrogate: nn.Module, v: Tensor) -> float:
    slope = slope_of(surrogate, v).abs()
    top = float(slope_of(surrogate, torch.zeros(1).to(v)).abs())
    return float((slope >= _SUPPORT * top).double().mean())


def policy_cosines(evidence: Evidence, x: Array, y: Array) -> dict[str, dict[str, float]]:
    """Mean cosine between the margin's gradients under the model's own surrogate and under each policy of the pool."""
    grads: dict[str, Array] = {}
    own, _ = evidence.gradient(x, y, "margin", draws=2)
    if own is None:
        return {}
    grads["own"] = own
    for name, policy in evidence.steady_pool.items():
        grad, _ = evidence.gradient(x, y, "margin", policy, draws=2)
        if grad is not None:
            grads[name] = grad
    return {a: {b: _cosine(grads[a], grads[b]) for b in grads} for a in grads}


def _cosine(a: Array, b: Array) -> float:
    a, b = (g.reshape(len(g), -1).astype(np.float64) for g in (a, b))
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alive = size > 0
    return float(((a * b).sum(1)[alive] / size[alive]).mean()) if alive.any() else 0.0
