"""Several forward passes per training step, without side effects on each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from art_snn.coding.draws import keyed_draws
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.errors import explain


@contextmanager
def frozen_statistics(net: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalizes by its batch as ever, and leaves its running statistics alone."""
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@contextmanager
def repeatable(net: nn.Module, samples: int, seed: int) -> Iterator[None]:
    """Inside, a random network draws numbers that depend on ``seed`` alone: two passes in two contexts draw the same.

    A difference between two passes would otherwise measure the draws. The streams themselves stay where they are.

    :param samples: size of the batches that follow.
    :param seed: a number that changes from batch to batch.
    """
    with torch.random.fork_rng(), keyed_draws(net, range(seed, seed + samples)):
        torch.manual_seed(seed)
        yield


class PairedPasses:
    """Passes of a trainer's network that differ in their input alone.

    The first one is the clean pass: its outputs are kept, and batch norm learns from no other. A random network draws
    the same numbers in all of them.

    :param trainer: whose network is called, and whose generator names the draws.
    """

    def __init__(self, trainer: ValidatedTrainer) -> None:
        self.trainer = trainer
        self.seed = int(torch.randint(2**31 - 1, (1,), generator=trainer.generator))
        self._clean: Tensor | None = None

    @property
    def clean(self) -> Tensor:
        """Outputs of the first pass.

        :raises RuntimeError: before it.
        """
        if self._clean is None:
            raise RuntimeError(explain("no pass yet", "the clean pass first", "passes(x)"))
        return self._clean

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs for ``x``."""
        net = self.trainer.model
        with nullcontext() if self._clean is None else frozen_statistics(net), repeatable(net, len(x), self.seed):
            z = self.trainer.logits(x)
        self._clean = z if self._clean is None else self._clean
        return z
