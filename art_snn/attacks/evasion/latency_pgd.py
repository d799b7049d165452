r"""LatencyPGD: an attack that knows the latency code. It moves spikes in time and returns the pixels that do it.

Within the ball a pixel can reach the bins :math:`\tau^-..\tau^+`, those of its largest and its smallest legal value.
With the gradient :math:`g_t = \partial L/\partial s_t` at *every* bin of the spike train, empty ones included, moving
the spike from :math:`\tau` to :math:`\tau'` gains :math:`g_{\tau'} - g_\tau` to first order, where a silent pixel
counts 0. Each step

.. math:: m \leftarrow 0.9\, m + \frac{g}{\mathrm{mean}|g|}, \qquad
          \tau_p \leftarrow \arg\max_{\tau' \in [\tau^-_p, \tau^+_p]} m_{\tau'}

for the share of pixels with the largest gain; the share is halved, from the best point, at every check point of
Auto-PGD that saw no better loss. A pixel takes a value in the middle of what its bin and the ball have in common, or
its clean value if it keeps its bin. No estimate of the code's derivative is involved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.pixel import PixelAttack
from art_snn.attacks.evasion.record import Ledger, column
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.snn_auto_pgd import CheckPoints
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.coding import Latency
from art_snn.coding.timing import Timing, spike_bin
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope
from art_snn.networks.spiking_network import SpikingNetwork

_KEPT = 0.9
_CONVENTIONS = ("floor", "linear", "log")


def knows_timing(net: Any) -> bool:
    """Whether the network has a latency code whose bins this attack can turn back into pixels.

    >>> from art_snn.networks import mlp
    >>> [knows_timing(mlp((1, 8, 8), 10, encoder=code)) for code in (Latency(4), Latency(4, polarity="dark_first"))]
    [True, False]
    """
    code = net.encoder if isinstance(net, SpikingNetwork) else None
    if not isinstance(code, Latency) or code.convention not in _CONVENTIONS:
        return False
    return code.timing == Timing(code.T, code.convention)


class LatencyPGD(PixelAttack):
    """Moves the spikes of a :class:`~art_snn.coding.Latency` code (L-infinity on pixels); see the module's text.

    :raises ValueError: if the network has another code, or a latency code of another polarity or convention, or
        preprocessing that changes intensities.

    The parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10, encoder=Latency(T=8)), nn.CrossEntropyLoss(), (1, 8, 8), 10,
    ...                     clip_values=(0.0, 1.0))
    >>> x = np.full((2, 1, 8, 8), 0.5, dtype=np.float32)
    >>> bool(np.abs(LatencyPGD(clf, eps=0.2, max_iter=3).generate(x) - x).max() <= 0.2)
    True
    """

    norms = (np.inf,)
    loss_types = ("ce", "margin", "dlr")

    def _check_params(self) -> None:
        super()._check_params()
        net = self.estimator.model
        if not knows_timing(net):
            came = repr(getattr(net, "encoder", type(net).__name__))
            expected = f"a Latency code of convention {', '.join(_CONVENTIONS)}, with the convention's own polarity"
            raise ValueError(explain(came, expected, "use SNNAutoPGD for other codes"))
        if self.estimator.preprocessing_defences:
            fix = "attack the classifier without its preprocessors, or use SNNAutoPGD"
            raise ValueError(explain("preprocessors before the code", "raw intensities", fix))

    def _victim(self) -> Victim:
        self._at_spikes = Victim(self.estimator.at_spikes(), self.policy, self.eot, self.votes, self.seed)
        return Victim(self.estimator, None, self.eot, self.votes, self.seed)

    def _scope(self, victim: Victim, rows: list[int]) -> AbstractContextManager[AttackScope]:  # noqa: ARG002
        return self._at_spikes.scope(rows)

    @contextmanager
    def _waiting(self, victim: Victim) -> Iterator[None]:
        with super()._waiting(victim), super()._waiting(self._at_spikes):
            yield

    def _settle_queries(self, victim: Victim) -> None:
        super()._settle_queries(victim)
        with self._at_spikes.attached():
            super()._settle_queries(self._at_spikes)

    def _search(self, problem: Problem) -> Search:
        code: Latency = self.estimator.model.encoder
        return _SpikeMoves(problem, int(self.max_iter), code.T, code.convention)

    def _see(
        self, victim: Victim, problem: Problem, point: Tensor, ledger: Ledger, step: int, scope: AttackScope | None
    ) -> Seen:
        """One query at the spike edge: the logits are those of the pixels, the gradient has every bin."""
        with torch.no_grad():
            train = self.estimator.model.encode(point).transpose(0, 1)
        wanted = scope is not None
        with self._at_spikes.attached():
            seen = self._at_spikes.query(
                train, lambda z: self._loss(z, problem), problem.ids, step, gradient=wanted, scope=scope
            )
        forwards, backwards = self._at_spikes.costs if wanted else (victim.eot, 0)
        ledger.forwards[problem.rows] += forwards
        ledger.backwards[problem.rows] += backwards
        return seen


def bin_edges(tau: Tensor, T: int, convention: str) -> tuple[Tensor, Tensor]:
    """Smallest and largest intensity that fire in bin ``tau``, up to rounding; float64.

    >>> bin_edges(torch.tensor([0, 2]), 2, "floor")
    (tensor([ 0.5000, -0.5000], dtype=torch.float64), tensor([1., 0.], dtype=torch.float64))
    """
    tau = tau.double()
    if convention == "floor":
        return 1 - (tau + 1) / T, 1 - tau / T
    if convention == "linear" or T == 1:
        return 1 - (tau + 0.5) / max(T - 1, 1), 1 - (tau - 0.5) / max(T - 1, 1)
    scale = math.expm1(T - 1)
    return torch.expm1(T - 1 - tau - 0.5) / scale, torch.expm1(T - 1 - tau + 0.5) / scale


class _SpikeMoves(Search):
    def __init__(self, problem: Problem, steps: int, T: int, convention: str) -> None:
        super().__init__(problem)
        self.T, self.convention, self.done = T, convention, 0
        self.plan = CheckPoints(steps)
        threat = problem.threat
        self.lowest = threat.project(problem.x, torch.full_like(problem.x, -math.inf))
        self.highest = threat.project(problem.x, torch.full_like(problem.x, math.inf))
        self.home = spike_bin(problem.x.clamp(0, 1), T, convention)
        self.first_bin = spike_bin(self.highest.clamp(0, 1), T, convention)
        self.last_bin = spike_bin(self.lowest.clamp(0, 1), T, convention)
        self.bins = self.home.clone()
        self.momentum: Tensor | None = None
        self.share = torch.ones(len(problem)).to(problem.x)
        self.best_loss = torch.full_like(self.share, -torch.inf)
        self.best_at_check = self.best_loss.clone()
        self.best_bins = self.home.clone()

    def first(self) -> Tensor:
        """A random reachable bin for every pixel."""
        room = (self.last_bin - self.first_bin + 1).to(self.share)
        drawn = (self.problem.uniform(*self.problem.x.shape[1:]) * room).floor().long()
        self.bins = torch.minimum(self.first_bin + drawn, self.last_bin)
        return self._pixels()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - the bins say where the point is
        """See :class:`Search`."""
        better = column(seen.loss > self.best_loss, self.bins)
        self.best_bins = torch.where(better, self.bins, self.best_bins)
        self.best_loss = torch.maximum(self.best_loss, seen.loss)
        grad = seen.ascent
        scaled = grad / across(grad.abs().flatten(1).mean(1), grad)
        self.momentum = scaled if self.momentum is None else _KEPT * self.momentum + scaled
        if self.done and self.plan.due(self.done):
            self._review()
        self.done += 1
        self._move(self.momentum)
        return self._pixels()

    def _review(self) -> None:
        stuck = self.best_loss <= self.best_at_check
        self.best_at_check = self.best_loss.clone()
        self.share = torch.where(stuck, self.share / 2, self.share)
        self.bins = torch.where(column(stuck, self.bins), self.best_bins, self.bins)

    def _move(self, worth: Tensor) -> None:
        """The best reachable bin, for the share of pixels that gain most; ``worth`` is ``[n, T, *]``."""
        silence = torch.zeros_like(worth[:, :1])
        padded = torch.cat([worth, silence], 1)
        slots = torch.arange(self.T + 1, device=worth.device).view(1, -1, *[1] * (worth.dim() - 2))
        reachable = (slots >= self.first_bin[:, None]) & (slots <= self.last_bin[:, None])
        best, where = padded.masked_fill(~reachable, -torch.inf).max(1)
        gain = (best - padded.gather(1, self.bins[:, None])[:, 0]).flatten(1)
        kept = (self.share * gain.shape[1]).ceil().long().clamp(1, gain.shape[1])
        least = gain.sort(1, descending=True).values.gather(1, (kept - 1)[:, None])
        moved = ((gain >= least) & (gain > 0)).view_as(self.bins)
        self.bins = torch.where(moved, where, self.bins)

    def _pixels(self) -> Tensor:
        """Intensities whose spikes fall into the chosen bins."""
        low, high = bin_edges(self.bins, self.T, self.convention)
        low, high = torch.maximum(low, self.lowest.double()), torch.minimum(high, self.highest.double())
        middle = ((low + high) / 2).to(self.problem.x)
        return torch.where(self.bins == self.home, self.problem.x, middle)
