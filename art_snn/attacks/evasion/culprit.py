"""Which layer makes a loss or a gradient something else than a number: one more pass, on the way to an error.

A gradient that arrives broken at the output of a layer was broken by the layer behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


def culprit(model: nn.Module, run: Callable[[], Any]) -> str:
    """Name of the layer whose output, or else whose gradient, is the first that is not finite.

    :param model: the network.
    :param run: a forward and backward pass.
    :return: ``layer 'name'``, or ``no single layer`` where none stands out.
    """
    seen: dict[str, str] = {}

    def forward(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001 - the hook's signature
            if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                seen.setdefault("forward", name)
            elif isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(lambda grad: _note(grad, name))

        return hook

    def _note(grad: Tensor, name: str) -> None:
        if not bool(torch.isfinite(grad).all()):
            seen.setdefault("backward", behind.get(name, name))

    leaves = [(name, m) for name, m in model.named_modules() if next(m.children(), None) is None or _spikes(m)]
    leaves = [(name, m) for name, m in leaves if not name.endswith("surrogate_function")]
    names = [name for name, _ in leaves]
    behind = dict(pairwise(names))
    handles = [module.register_forward_hook(forward(name)) for name, module in leaves]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    name = seen.get("forward", seen.get("backward"))
    return "no single layer" if name is None else f"layer {name!r}"


def _spikes(module: nn.Module) -> bool:
    return "surrogate_function" in module._modules
