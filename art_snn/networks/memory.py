r"""Bounded memory and full speed: a batch that is too large for either goes through the network in pieces.

A run takes, with gradients, a multiple of all that its layers put out, and without them a multiple of the largest
output. Both are counted once per shape of sample, by a run of one sample; the multiples are upper ends of measured
peaks (``docs/benchmarks.md``; SpikingJelly's own neurons need more than the fused ones). The gradient of the whole
batch is counted too; the batch itself is the caller's.

* *For memory.* Where the pieces together would take more than the limit, a piece leaves no graph: it is run again when
  its gradient is asked for, and only one piece is alive at any time. One more forward pass is the price.
* *For speed.* On a CPU a fast network is cut where one tensor would be larger than the C library reuses. Such pieces
  stay alive together, and nothing is run twice.

Source: Chen et al., "Training deep nets with sublinear memory cost", 2016 (running again instead of keeping).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.neurons.buffers import release
from art_snn.neurons.fused import is_wrapped

DEFAULT = 2 * 1024**3
"""Bytes that the activations and the gradient of one call may take."""

_KEPT = {True: 3.0, False: 4.0}
_ALIVE = {True: 3.0, False: 6.0}
"""Bytes at the peak per byte of all outputs with gradients, and of the largest output without; fast, and not."""

_BLOCK = 32 * 1024**2
"""Bytes of one tensor above which the C library asks the system for fresh pages at every allocation: measured on a CPU,
up to twice the time per sample."""

_WIDEST = 4096
"""A network whose outputs together are larger than this many times its input is not expected."""

_WIDE = 64
"""The same of one output, where nothing but speed depends on it."""

Run = Callable[[Tensor, slice], Tensor]
"""Logits of a piece, and where in the batch it lies."""


@dataclass(frozen=True)
class Pieces:
    """How a batch goes through: so many samples at a time, and whether they are run again for their gradients."""

    samples: int
    again: bool = False

    def of(self, count: int) -> list[slice]:
        """The pieces of ``count`` samples, of sizes that differ by one at most.

        >>> Pieces(4).of(9)
        [slice(0, 3, None), slice(3, 6, None), slice(6, 9, None)]
        """
        parts = -(-count // self.samples)
        ends = [count * k // parts for k in range(parts + 1)]
        return [slice(*pair) for pair in pairwise(ends)]


@dataclass(frozen=True)
class Footprint:
    """Bytes that one sample takes, with and without gradients, and those of its largest tensor."""

    kept: int
    alive: int
    largest: int = 1

    def pieces(self, count: int, limit: int | None, *, gradient: int | None, swift: bool) -> Pieces | None:
        """How ``count`` samples go through; ``None`` is all at once.

        :param limit: bytes, or no limit.
        :param gradient: bytes of one sample's gradient, which stays outside of the pieces; ``None`` without gradients.
        :param swift: whether no tensor should be larger than is reused.

        >>> one = Footprint(kept=1000, alive=100)
        >>> one.pieces(20, 5000, gradient=10, swift=False)
        Pieces(samples=4, again=True)
        >>> one.pieces(20, None, gradient=10, swift=True) is None
        True
        """
        fitting = count
        if limit is not None:
            inside = limit if gradient is None else limit - count * gradient
            fitting = max(1, inside // max(1, self.alive if gradient is None else self.kept))
        samples = min(fitting, max(1, _BLOCK // max(1, self.largest))) if swift else fitting
        return None if samples >= count else Pieces(samples, gradient is not None and fitting < count)


def surely_whole(x: Tensor, T: int, limit: int | None, *, swift: bool) -> bool:
    """Whether a batch needs no counting: a single sample, or a small one by any measure."""
    train = x.numel() * x.element_size() * T
    fits = limit is None or train * _WIDEST <= limit
    return len(x) < 2 or (fits and (not swift or train * _WIDE <= _BLOCK))


def footprint(net: nn.Module, run: Callable[[], object], *, fast: bool) -> Footprint:
    """Count the outputs of the layers of ``net`` while ``run`` runs one sample; nobody else's hooks hear of it."""
    sizes: list[int] = []

    def count(module: nn.Module, args: object, output: object) -> None:  # noqa: ARG001
        if isinstance(output, Tensor):
            sizes.append(min(output.numel() * output.element_size(), output.untyped_storage().nbytes()))

    with deaf(net), ExitStack() as hooks:
        for module in net.modules():
            if next(module.children(), None) is None or "surrogate_function" in module._modules:
                hooks.callback(module.register_forward_hook(count).remove)
        with torch.no_grad():
            run()
    largest = max(sizes, default=1)
    return Footprint(int(_KEPT[fast] * sum(sizes)), int(_ALIVE[fast] * largest), largest)


@contextmanager
def deaf(net: nn.Module) -> Iterator[None]:
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


def in_pieces(run: Run, again: Run, x: Tensor, pieces: Pieces, values: Sequence[Tensor] = ()) -> Tensor:
    """Logits of the whole batch, piece by piece.

    :param run: logits of a piece.
    :param again: the same once more, for its gradient.
    :param values: what else may need a gradient.
    """
    if pieces.again and torch.is_grad_enabled():
        release()
        z: Tensor = _Again.apply(run, again, pieces, x, *values)
        return z
    if torch.is_grad_enabled():
        return _together(run, x, pieces)
    return _gathered(run, x, pieces)


def _together(run: Run, x: Tensor, pieces: Pieces) -> Tensor:
    """With a graph through all of them."""
    every = pieces.of(len(x))
    parts = x.split([rows.stop - rows.start for rows in every])
    return torch.cat([run(part, rows) for part, rows in zip(parts, every, strict=True)])


def _gathered(run: Run, x: Tensor, pieces: Pieces) -> Tensor:
    """Without a graph, and with nothing small left lying between two pieces."""
    first, *rest = pieces.of(len(x))
    part = run(x[first], first)
    z = part.new_empty((len(x), *part.shape[1:]))
    z[first] = part
    for rows in rest:
        z[rows] = run(x[rows], rows)
    return z


class _Again(torch.autograd.Function):
    """Pieces that leave no graph. A derivative of the gradient runs all of them at once."""

    @staticmethod
    def forward(ctx: Any, run: Run, again: Run, pieces: Pieces, x: Tensor, *values: Tensor) -> Tensor:
        ctx.again, ctx.pieces, ctx.values = again, pieces, values
        kind = x.device.type
        ctx.autocast = {
            "device_type": kind, "enabled": torch.is_autocast_enabled(kind), "dtype": torch.get_autocast_dtype(kind),
        }  # fmt: skip
        ctx.save_for_backward(x)
        return _gathered(run, x, pieces)

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        asked = [value for value, needed in zip(ctx.values, ctx.needs_input_grad[4:], strict=True) if needed]
        with torch.autocast(**ctx.autocast):
            walk = _whole_gradient if torch.is_grad_enabled() or is_wrapped(dz) else _gradient_in_pieces
            dx, found = walk(ctx, x, dz, asked)
        rest = iter(found)
        return None, None, None, dx, *(next(rest) if needed else None for needed in ctx.needs_input_grad[4:])


def _gradient_in_pieces(
    ctx: Any, x: Tensor, dz: Tensor, asked: list[Tensor]
) -> tuple[Tensor | None, list[Tensor | None]]:
    dx = torch.empty_like(x) if ctx.needs_input_grad[3] else None
    sums: list[Tensor | None] = [None] * len(asked)
    for rows in ctx.pieces.of(len(x)):
        part = x[rows].detach().requires_grad_(dx is not None)
        with torch.enable_grad():
            z = ctx.again(part, rows)
        sources = [*([part] if dx is not None else []), *asked]
        found = list(torch.autograd.grad(z, sources, dz[rows], allow_unused=True))
        if dx is not None:
            first = found.pop(0)
            dx[rows] = 0.0 if first is None else first
        sums = [
            one if more is None else more if one is None else one + more for one, more in zip(sums, found, strict=True)
        ]
    return dx, sums


def _sum(one: Tensor | None, more: Tensor | None) -> Tensor | None:
    return more if one is None else one if more is None else one + more


def _whole_gradient(ctx: Any, x: Tensor, dz: Tensor, asked: list[Tensor]) -> tuple[Tensor | None, list[Tensor | None]]:
    with torch.enable_grad():
        z = _together(ctx.again, x, ctx.pieces)
        sources = [*([x] if ctx.needs_input_grad[3] else []), *asked]
        found: list[Tensor | None] = list(torch.autograd.grad(z, sources, dz, allow_unused=True, create_graph=True))
    return (found.pop(0) if ctx.needs_input_grad[3] else None), found
