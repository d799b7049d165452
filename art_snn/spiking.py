"""The one place that knows SpikingJelly's classes.

Only ``neuron``, ``layer``, ``base.MemoryModule`` and ``functional.set_step_mode`` are touched; the rest of that package
moves from release to release.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
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
    """Forget every membrane, trace and graph.

    SpikingJelly's non-spiking and inter-layer neurons start anew at each call, but keep their last membrane, graph
    included, as a plain attribute; that is cut off as well.
    """
    for module in memory_modules(net):
        module.reset()
    for module in net.modules():
        if isinstance(module, base.StepModule):
            for name, value in vars(module).items():
                if isinstance(value, torch.Tensor) and value.grad_fn is not None:
                    vars(module)[name] = value.detach()


def spiking_neurons(net: nn.Module) -> dict[str, nn.Module]:
    """Modules that spike through a surrogate, by dotted name."""
    return {name: m for name, m in net.named_modules() if "surrogate_function" in m._modules}


def neuron_parameters(net: nn.Module) -> dict[str, nn.Parameter]:
    """Learnable parameters of neurons and other stateful modules that cannot re-initialize themselves, by name."""
    return {
        f"{name}.{own}": value
        for name, module in net.named_modules()
        if isinstance(module, base.StepModule) and not hasattr(module, "reset_parameters")
        for own, value in module._parameters.items()
        if value is not None
    }


def step_modes(body: nn.Module) -> dict[str, str]:
    """Step mode of each module that has one, by name; a container that steps through its children answers for them.

    A module of one mode only (SpikingJelly's PSN, say) never sets the attribute; its class says which it is.
    """
    found: dict[str, str] = {}

    def visit(module: nn.Module, name: str) -> None:
        if hasattr(module, "step_mode"):
            found[name] = str(module.step_mode)
        elif isinstance(module, base.StepModule) and len(module.supported_step_mode()) == 1:
            found[name] = module.supported_step_mode()[0]
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
