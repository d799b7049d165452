"""The one place that knows SpikingJelly's classes.

Only ``neuron``, ``layer``, ``base.MemoryModule`` and ``functional.set_step_mode`` are touched; the rest of that package
moves from release to release.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spikingjelly.activation_based import base, layer, neuron
from torch import nn

EVAL_CUTS_GRADIENT = (neuron.ComplementaryLIFNode, neuron.OTTTLIFNode, neuron.SLTTLIFNode)
"""Neurons that fire a plain Heaviside in eval mode: no gradient, unless their own training flag stays on."""

CUTS_TIME = (neuron.OTTTLIFNode, neuron.SLTTLIFNode)
"""Online-learning neurons, which detach their membrane from step to step."""

_OWN_STEPPING = tuple(getattr(layer, name) for name in dir(layer) if name.endswith("Container"))


def memory_modules(net: nn.Module) -> list[base.MemoryModule]:
    """Every module with a state; asked anew at each call, because networks are changed after they are built."""
    return [module for module in net.modules() if isinstance(module, base.MemoryModule)]


def reset_state(net: nn.Module) -> None:
    """Forget every membrane, trace and graph."""
    for module in memory_modules(net):
        module.reset()


def spiking_neurons(net: nn.Module) -> dict[str, nn.Module]:
    """Modules that spike through a surrogate, by dotted name."""
    return {name: m for name, m in net.named_modules() if "surrogate_function" in m._modules}


def step_modes(body: nn.Module) -> dict[str, str]:
    """Step mode of each module that has one, by name; a container that steps through its children answers for them."""
    found: dict[str, str] = {}

    def visit(module: nn.Module, name: str) -> None:
        if hasattr(module, "step_mode"):
            found[name] = str(module.step_mode)
        if isinstance(module, _OWN_STEPPING):
            return
        for child_name, child in module.named_children():
            visit(child, f"{name}.{child_name}" if name else child_name)

    visit(body, "")
    return found


@contextmanager
def surrogates_kept(net: nn.Module) -> Iterator[None]:
    """Keep the surrogate gradient of neurons that drop it in eval mode; nothing else changes its mode."""
    forced = [m for m in net.modules() if isinstance(m, EVAL_CUTS_GRADIENT) and not m.training]
    for module in forced:
        module.training = True
    try:
        yield
    finally:
        for module in forced:
            module.training = False
