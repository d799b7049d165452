"""What an attack tells ART's summary writer: the curves of a run, for TensorBoard.

Per query and batch of samples, as ART's own attacks do: gradient norms and the estimator's loss of every sample (and
the indicators of attack failure that the writer asks for). Beside them ``attack/objective`` (mean of what the attack
maximizes, over samples still standing) and ``attack/success`` (share of the right samples that were broken before this
query; the last value is that of the finished attack, confirmed by votes where the model is random).
The writer changes nothing: its forward passes take no gradient and leave random streams as they were.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import torch
from art.summary_writer import SummaryWriter
from torch import Tensor

from art_snn.attacks.evasion.record import Ledger
from art_snn.attacks.evasion.search import Problem
from art_snn.attacks.evasion.victim import Seen
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork

Writer: TypeAlias = str | bool | SummaryWriter
"""``True`` writes to ART's folder ``runs``, a string to that folder, an ART ``SummaryWriter`` as it likes."""


def check_writer(summary_writer: Any) -> Any:
    """The argument, once the writer that it asks for can be made.

    :raises ImportError: if tensorboardX is missing.

    >>> check_writer(False)
    False
    """
    wanted = summary_writer is True or (isinstance(summary_writer, str) and summary_writer)
    if wanted and find_spec("tensorboardX") is None:
        came = f"summary_writer={summary_writer!r} without tensorboardX"
        raise ImportError(explain(came, "an installed writer", "pip install 'art-snn[tensorboard]'"))
    return summary_writer


class Diary:
    """Tells a writer what one ``generate`` does, query by query.

    :param writer: ART's.
    :param estimator: the model under attack.
    :param y: the labels of all samples ``[N]``.
    :param batch_size: samples per batch of the writer, in the order of the samples.
    :param targeted: whether labels are goals.
    """

    def __init__(self, writer: SummaryWriter, estimator: Any, y: Tensor, batch_size: int, targeted: bool) -> None:
        self.writer, self.estimator, self.targeted = writer, estimator, targeted
        self.y, self.batch_size = y.cpu().numpy(), batch_size
        self.steps: dict[int, int] = {}

    def note(self, problem: Problem, point: Tensor, seen: Seen, ledger: Ledger) -> None:
        """One query at ``point``; samples that are not among it are shown at their best point, without gradient."""
        asked = problem.rows.cpu().numpy()
        for batch in np.unique(asked // self.batch_size).tolist():
            rows = np.arange(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.y)))
            here = np.flatnonzero(asked // self.batch_size == batch)
            places = asked[here] - rows[0]
            x = ledger.best[rows].detach().cpu().numpy().copy()
            x[places] = point[here].detach().cpu().numpy()
            grad = None
            if seen.grad is not None:
                grad = np.full((len(rows), *seen.grad.shape[1:]), np.nan, dtype=np.float32)
                grad[places] = seen.grad[here].detach().cpu().numpy()
            self._write(batch, rows, x, grad, float(seen.loss[here].double().mean()), ledger)

    def _write(self, batch: int, rows: Any, x: Any, grad: Any, objective: float, ledger: Ledger) -> None:
        step = self.steps[batch] = self.steps.get(batch, -1) + 1
        labels = np.eye(self.estimator.nb_classes, dtype=np.float32)[self.y[rows]]
        model = self.estimator.model
        with torch.no_grad(), model.replay() if isinstance(model, SpikingNetwork) else nullcontext():
            self.writer.update(
                batch_id=batch, global_step=step, grad=grad, patch=None, estimator=self.estimator, x=x, y=labels,
                targeted=self.targeted,
            )  # fmt: skip
        self.writer.summary_writer.add_scalar(f"attack/objective/batch-{batch}", objective, global_step=step)
        self._success(batch, rows, step, ledger)

    def close(self, ledger: Ledger) -> None:
        """The end: what was broken at last. The writer then begins another folder, as ART's attacks have it."""
        for batch, step in self.steps.items():
            rows = np.arange(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.y)))
            self._success(batch, rows, step + 1, ledger)
        self.writer.reset()

    def _success(self, batch: int, rows: Any, step: int, ledger: Ledger) -> None:
        right = ~ledger.wrong[rows]
        broken = float(ledger.solved[rows][right].double().mean()) if bool(right.any()) else 0.0
        self.writer.summary_writer.add_scalar(f"attack/success/batch-{batch}", broken, global_step=step)
