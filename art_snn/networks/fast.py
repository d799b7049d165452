"""The same numbers sooner: what a network does differently while it runs.

Neurons that :mod:`art_snn.neurons.fused` reproduces bit for bit take all steps there, and layers in front of the first
neuron run once where the train is constant (:mod:`art_snn.networks.repeats`). For the time of one run the methods of
these modules are covered by attributes of the same name; modules, parameters and types stay what they are. What a
neuron needs may change between two calls (its surrogate, dtype, transforms of ``torch.func``), so it is asked at each
call, and where anything is unknown SpikingJelly's own method runs. Average pooling by two is rearranged
(:mod:`art_snn.networks.pooling`), and batch norm writes into buffers (:mod:`art_snn.networks.normalizing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn
from torch.autograd import forward_ad

from art_snn.gradients.known import known_slope
from art_snn.gradients.spike import Slope
from art_snn.networks.normalizing import normalize, normalizes
from art_snn.networks.pooling import halves, pool
from art_snn.networks.repeats import Repeats, unshared_because
from art_snn.neurons.fused import Dynamics, is_wrapped, multi_step

FUSED = (neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
"""Exactly these classes; what derives from them may compute something else."""

_DTYPES = (torch.float32, torch.float64)


def unfused_because(node: nn.Module) -> str | None:
    """Why a neuron runs as SpikingJelly has it; ``None`` if it is fused."""
    if type(node) not in FUSED:
        return f"a {type(node).__name__} has dynamics of its own"
    if node.step_mode != "m":
        return "it runs one step at a time; functional.set_step_mode(body, 'm') changes that"
    if node.store_v_seq:
        return "it stores its membrane (store_v_seq)"
    if getattr(node, "_neuron_precision", None) is not None:
        return "it has a precision profile"
    if known_slope(node.surrogate_function) is None:  # type: ignore[arg-type]
        return f"the slope of {type(node.surrogate_function).__name__} is not known"
    return None


@contextmanager
def accelerated(net: nn.Module, repeats: Repeats | None) -> Iterator[None]:
    """Run the modules of ``net`` the fast way inside.

    :param repeats: knows the constant train that is about to enter; ``None`` if it changes from step to step.
    """
    covered: list[tuple[nn.Module, str]] = []
    try:
        for node in net.modules():
            if type(node) in FUSED and "multi_step_forward" not in vars(node):
                vars(node)["multi_step_forward"] = _fused(node, repeats)
                covered.append((node, "multi_step_forward"))
        for module, forward in _layers(net, repeats):
            vars(module)["forward"] = forward
            covered.append((module, "forward"))
        yield
    finally:
        for module, name in covered:
            del vars(module)[name]


def _layers(net: nn.Module, repeats: Repeats | None) -> Iterator[tuple[nn.Module, Callable[..., Any]]]:
    """Layers that can run once or in a faster way, with their forward."""
    open_to_views = None if repeats is None else _shared(net)
    for module in list(net.modules()):
        if "forward" in vars(module):
            continue
        forward = _rearranged(module) or type(module).forward
        if open_to_views is not None and repeats is not None and module in open_to_views:
            yield module, repeats.once(module, forward, as_view=open_to_views[module])
        elif forward is not type(module).forward:
            yield module, partial(forward, module)


def _rearranged(module: nn.Module) -> Callable[..., Any] | None:
    """Another way to the same values."""
    return pool if halves(module) else normalize if normalizes(module) else None


def _shared(net: nn.Module) -> dict[nn.Module, bool]:
    """Layers that can run once, and whether what follows them takes a view."""
    following = {
        id(first): second
        for chain in net.modules()
        if type(chain) is nn.Sequential
        for first, second in zip(chain, list(chain)[1:], strict=False)
    }
    return {
        module: _takes_views(following.get(id(module))) for module in net.modules() if unshared_because(module) is None
    }


def _takes_views(module: nn.Module | None) -> bool:
    return module is not None and (type(module) in FUSED or unshared_because(module) is None)


def _fused(node: Any, repeats: Repeats | None) -> Callable[..., Any]:
    def multi_step_forward(x_seq: Tensor, *args: Any, **kwargs: Any) -> Any:
        slope = None if args or kwargs else _slope(node, x_seq)
        if slope is None:
            return type(node).multi_step_forward(node, x_seq, *args, **kwargs)
        v = node.v
        if isinstance(v, Tensor):
            (v,) = node.materialize_states((x_seq,), (v,), "m")
        step = None if repeats is None else repeats.step_of(x_seq)
        spikes, node.v = multi_step(
            x_seq if step is None else step, v, dynamics_of(node), slope, _rate(node), x_seq.shape[0]
        )
        node.v_seq = None
        return spikes

    return multi_step_forward


def _slope(node: Any, x: Tensor) -> Slope | None:
    """The slope of this call; ``None`` where the call is not ours."""
    if unfused_because(node) is not None or x.dtype not in _DTYPES or x.dim() < 1 or not len(x):
        return None
    state = node.v
    values = [x, state] if isinstance(state, Tensor) else [x]
    if any(is_wrapped(value) or forward_ad.unpack_dual(value).tangent is not None for value in values):
        return None
    return known_slope(node.surrogate_function)


def dynamics_of(node: Any) -> Dynamics:
    """Constants of a neuron of :data:`FUSED`.

    >>> dynamics_of(neuron.LIFNode(tau=4.0, v_reset=None))
    Dynamics(tau=4.0, decay_input=True, threshold=1.0, reset=None, detach_reset=False)
    """
    return Dynamics(
        getattr(node, "tau", None), getattr(node, "decay_input", True), node.v_threshold, node.v_reset,
        bool(node.detach_reset),
    )  # fmt: skip


def _rate(node: Any) -> Tensor | None:
    r""":math:`1/\tau` of a neuron that learns it."""
    return node.w.sigmoid() if isinstance(node, neuron.ParametricLIFNode) else None
