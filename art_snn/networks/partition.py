"""Pieces of a batch that draw what they would have drawn within the whole batch.

A stream hands out its numbers sample by sample, so pieces one after the other get what the whole batch gets, as long
as each stream is asked once in a run; with keys, in any case. Whether that is so is found out by running one sample
twice with the same key. Where an output of any module differs between the two, random numbers come from elsewhere,
and a batch stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch
from torch import Tensor, nn

from art_snn.coding.draws import keyed_draws
from art_snn.networks.memory import Run
from art_snn.networks.replay import remembered, streams_of

NEVER, WITH_KEYS, ALWAYS = range(3)
"""When a stochastic network can be parted."""


def when_parted(net: nn.Module, run: Callable[[], object]) -> int:
    """When the batches of ``net`` can be parted: see the module's text.

    :param run: runs one sample; called where nobody notices.
    """
    seen: tuple[list[Tensor], list[Tensor]] = [], []
    most = 0
    for outputs in seen:
        with torch.no_grad(), _heard(net, outputs), keyed_draws(net, [0]):
            run()
            most = max((stream.calls for stream in streams_of(net)), default=0)
    if not all(torch.equal(one, other) for one, other in zip(*seen, strict=True)):
        return NEVER
    return ALWAYS if most < 2 else WITH_KEYS


@contextmanager
def _heard(net: nn.Module, outputs: list[Tensor]) -> Iterator[None]:
    """Inside, what the modules put out is added to ``outputs``."""

    def hear(module: nn.Module, args: object, output: object) -> None:  # noqa: ARG001
        if isinstance(output, Tensor):
            outputs.append(output.clone())

    with ExitStack() as hooks:
        for module in net.modules():
            hooks.callback(module.register_forward_hook(hear).remove)
        yield


def parts_now(net: nn.Module, when: int, device: torch.device) -> bool:
    """Whether a batch can be parted as the streams are now; elsewhere than on a CPU, pieces need keys."""
    if when == ALWAYS and device.type == "cpu":
        return True
    return when != NEVER and all(stream.has_keys for stream in streams_of(net))


class Drawing:
    """Runs of the pieces of one batch, and the same once more, with the same random numbers.

    :param net: the network, whose streams are asked in the order of the pieces.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self._places: dict[int, Callable[[], AbstractContextManager[None]]] = {}

    def once(self, run: Callable[[Tensor], Tensor], *, noted: bool) -> Run:
        """``run`` for a piece, from where the streams are; the place is remembered for :meth:`again` if ``noted``."""

        def drawn(part: Tensor, rows: slice) -> Tensor:
            with ExitStack() as stack:
                for stream in streams_of(self.net):
                    stack.enter_context(stream.part(rows))
                if noted:
                    self._places[rows.start] = remembered(self.net)
                return run(part)

        return drawn

    def again(self, run: Callable[[Tensor], Tensor]) -> Run:
        """``run`` for a piece, from the place that was noted; streams stay where they are."""

        def repeated(part: Tensor, rows: slice) -> Tensor:
            with self._places[rows.start]():
                return run(part)

        return repeated
