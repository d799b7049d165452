"""Run a network again with the same random numbers, and use none of them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from art_snn.coding.draws import SeededDraws


@contextmanager
def replayed(net: nn.Module) -> Iterator[None]:
    """Leave every random stream that ``net`` draws from, and its buffers in training mode, as they were at entry.

    Streams are the :class:`~art_snn.coding.draws.SeededDraws` and generators that modules own as attributes, and
    torch's global generators, which dropout uses.
    """
    rewinds = [rewind for m in net.modules() for value in vars(m).values() for rewind in _rewind(value)]
    kept = [(m, dict(m._buffers)) for m in net.modules() if m.training and m._buffers]
    for module, buffers in kept:
        module._buffers.update({name: None if b is None else b.clone() for name, b in buffers.items()})
    devices = {p.device.index for p in net.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=sorted(devices)):
            yield
    finally:
        for rewind in rewinds:
            rewind()
        for module, buffers in kept:
            module._buffers.update(buffers)


def _rewind(value: Any) -> list[Callable[[], Any]]:
    if isinstance(value, SeededDraws):
        return [partial(value.__setstate__, value.__getstate__())]
    if isinstance(value, torch.Generator):
        return [partial(value.set_state, value.get_state())]
    return []


def streams_of(net: nn.Module) -> list[SeededDraws]:
    """The seeded streams that modules of ``net`` own, each once."""
    found = {id(value): value for m in net.modules() for value in vars(m).values() if isinstance(value, SeededDraws)}
    return list(found.values())


def remembered(net: nn.Module) -> Callable[[], AbstractContextManager[None]]:
    """Note where the streams of ``net`` are; inside the contexts that this returns they are there again."""
    noted = [(stream, stream.__getstate__()) for stream in streams_of(net)]

    @contextmanager
    def again() -> Iterator[None]:
        with replayed(net):
            for stream, state in noted:
                stream.__setstate__(state)
            yield

    return again
