"""Watch an attack from outside: every point it asks about, and whether one of them had been a success."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, np.dtype[Any]]
_MATCH = 1e-6


class Watch:
    """Which samples were seen broken: a queried point counts for the one sample whose ball it lies in."""

    def __init__(self, x: Array, y: Array, eps: float) -> None:
        self.x = torch.as_tensor(x).flatten(1)
        self.y = torch.as_tensor(y)
        self.eps = eps
        self.broken = np.zeros(len(x), dtype=bool)
        self.points: Tensor | None = None

    def look(self, points: Tensor, logits: Tensor) -> None:
        """Note the rows of one forward pass."""
        flat, answer = points.detach().cpu().flatten(1), logits.detach().cpu()
        if flat.shape[1] != self.x.shape[1] or len(answer) != len(flat):
            return
        distance = torch.stack([(flat - one).abs().amax(1) for one in self.x], 1)
        inside = distance <= self.eps + _MATCH
        alone = inside.sum(1) == 1
        owner = inside.int().argmax(1)
        label = self.y[owner]
        best_other = answer.scatter(1, label[:, None], -torch.inf).amax(1)
        wrong = alone & (best_other > answer.gather(1, label[:, None])[:, 0] + _MATCH)
        self.broken[owner[wrong].numpy()] = True


@contextmanager
def watched(model: nn.Module, x: Array, y: Array, eps: float) -> Iterator[Watch]:
    """Watch every forward pass of ``model``; ART runs a plain ``nn.Sequential`` child by child, so its ends are
    watched.
    """
    chain = isinstance(model, nn.Sequential) and len(model) > 0
    first, last = (model[0], model[-1]) if chain else (model, model)  # type: ignore[index]
    watch = Watch(x, y, eps)

    def enter(module: nn.Module, args: Any) -> None:  # noqa: ARG001 - the hook's signature
        watch.points = args[0] if args and isinstance(args[0], Tensor) else None

    def leave(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
        if watch.points is not None and isinstance(output, Tensor) and output.dim() == 2:
            watch.look(watch.points, output)

    handles = [first.register_forward_pre_hook(enter), last.register_forward_hook(leave)]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()
