r"""Bounded memory: a batch that is too large for it goes through the network in pieces.

A run takes, with gradients, a multiple of all that its layers put out, and without them a multiple of the largest
output. Both are counted once per shape of sample, by a run of one sample; the multiples are upper ends of measured
peaks (``docs/benchmarks.md``; SpikingJelly's own neurons need more than the fused ones). With gradients a piece is run
again when its gradient is asked for (checkpointing), so that only one piece is alive at any time: one more forward pass
is the price.

Source: Chen et al., "Training deep nets with sublinear memory cost", 2016 (checkpointing).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

DEFAULT = 2 * 1024**3
"""Bytes that the activations of one call may take."""

_KEPT = {True: 2.0, False: 4.0}
_ALIVE = {True: 2.0, False: 6.0}
"""Bytes at the peak per byte of all outputs with gradients, and of the largest output without; fast, and not."""

_BLOCK = 32 * 1024**2
"""Bytes of one tensor above which the C library asks the system for fresh pages at every allocation: measured on a CPU,
twice the time per sample."""

_WIDEST = 4096
"""A network whose outputs together are larger than this many times its input is not expected."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that one sample takes, with and without gradients, and those of its largest tensor."""

    kept: int
    alive: int
    largest: int = 1

    def piece(self, count: int, limit: int, *, gradient: bool) -> int:
        """How many of ``count`` samples go through together: all if they fit, else no more than run at full speed.

        >>> Footprint(kept=1000, alive=100).piece(20, 5000, gradient=True)
        5
        """
        fitting = self.samples(limit, gradient=gradient)
        return count if fitting >= count else min(fitting, max(1, _BLOCK // self.largest))

    def samples(self, limit: int, *, gradient: bool) -> int:
        """How many samples fit into ``limit`` bytes, at least one.

        >>> Footprint(kept=1000, alive=100).samples(5000, gradient=True)
        5
        """
        return max(1, limit // max(1, self.kept if gradient else self.alive))


def surely_fits(x: Tensor, T: int, limit: int) -> bool:
    """Whether a batch needs no counting: a single sample, or a small one by any measure."""
    return len(x) < 2 or x.numel() * x.element_size() * T * _WIDEST <= limit


def footprint(net: nn.Module, run: Callable[[], object], *, fast: bool) -> Footprint:
    """Count the outputs of the layers of ``net`` while ``run`` runs one sample; nobody else's hooks hear of it."""
    sizes: list[int] = []

    def count(module: nn.Module, args: object, output: object) -> None:  # noqa: ARG001
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    with _deaf(net), ExitStack() as hooks:
        for module in net.modules():
            if next(module.children(), None) is None or "surrogate_function" in module._modules:
                hooks.callback(module.register_forward_hook(count).remove)
        with torch.no_grad():
            run()
    largest = max(sizes, default=1)
    return Footprint(int(_KEPT[fast] * sum(sizes)), int(_ALIVE[fast] * largest), largest)


@contextmanager
def _deaf(net: nn.Module) -> Iterator[None]:
    """Take the forward hooks off every module, and put them back."""
    names = ("_forward_hooks", "_forward_pre_hooks")
    kept = [(module, name, getattr(module, name)) for module in net.modules() for name in names]
    for module, name, hooks in kept:
        setattr(module, name, type(hooks)())
    try:
        yield
    finally:
        for module, name, hooks in kept:
            setattr(module, name, hooks)


def in_pieces(run: Callable[[Tensor], Tensor], x: Tensor, samples: int) -> Tensor:
    """``run(x)``, at most ``samples`` rows at a time; with gradients each piece runs again for its gradient."""
    if not torch.is_grad_enabled():
        return torch.cat([run(piece) for piece in x.split(samples)])
    pieces = [checkpoint(run, piece, use_reentrant=False) for piece in x.split(samples)]
    return torch.cat(pieces)
