"""What an attack costs: samples sent forward, samples differentiated, seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from art_snn.networks import SpikingNetwork


@dataclass
class Cost:
    """Sample counts: one batch of 64 adds 64, times the draws of a stochastic network.

    :param forwards: samples sent forward.
    :param backwards: samples differentiated.
    :param seconds: wall-clock time.

    >>> cost = Cost()
    >>> cost.forwards += 64
    >>> cost
    Cost(forwards=64, backwards=0, seconds=0.0)
    """

    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0


@contextmanager
def counted(model: nn.Module) -> Iterator[Cost]:
    """Count what passes through ``model`` inside the context.

    ART runs a plain ``nn.Sequential`` child by child, past its own hooks; there its last child is watched.

    >>> import torch
    >>> net = nn.Linear(2, 3)
    >>> with counted(net) as cost:
    ...     net(torch.zeros(5, 2)).sum().backward()
    >>> cost.forwards, cost.backwards
    (5, 5)
    """
    cost = Cost()
    watched = model[-1] if isinstance(model, nn.Sequential) and len(model) else model

    def forward_hook(module: nn.Module, args: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        samples = len(output) * (module.draws(args[0]) if isinstance(module, SpikingNetwork) else 1)
        cost.forwards += samples
        if output.requires_grad:
            output.register_hook(partial(backward_hook, samples))

    def backward_hook(samples: int, grad: Tensor) -> None:  # noqa: ARG001 - the hook's signature
        cost.backwards += samples

    handle = watched.register_forward_hook(forward_hook)
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - start
        handle.remove()
