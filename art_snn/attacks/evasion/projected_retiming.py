r"""ProjectedRetiming: the published attack on spike times, as a baseline with exact budgets.

Every cell that can hold a packet has logits :math:`\phi` over its offsets u (:math:`|u| \le D`, or all targets inside
the recording), :math:`\pi = \mathrm{softmax}(\phi)`. The soft train and the gradient that it is given by the hard one,

.. math::
   \tilde x_t &= \sum_u \pi_{t-u, u}\, x_{t-u}, \qquad
   J = \langle g, \tilde x \rangle - 20\, \mathrm{mean}\bigl[(o - 1)_+^2\bigr] - R, \qquad
   g = \partial L/\partial x' \text{ at } x' = \Pi(\tilde x), \\
   R &= \frac{10}{B_1} \bigl(\textstyle\sum \pi |u| - B_1\bigr)_+ + \frac{5}{B_0} \bigl(\sum (1 - \pi_0) - B_0\bigr)_+,
   \qquad \phi \leftarrow \mathrm{clip}(\phi + \mathrm{sign}\, \partial J/\partial \phi, \pm 10),

with the expected occupancy o. The projection :math:`\Pi` is the exact linear step with gains :math:`\tilde x`, in the
loop as at the end, so that no relaxed train is ever judged; budgets hold for each sample, and any visited success
counts. With a jitter, :math:`\phi` begins at 4 for the offsets -1, 0 and 1, else at 0.

Source: "Time Is All It Takes: Spike-Retiming Attacks on Event-Driven Spiking Neural Networks", ICLR 2026.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.attacks.evasion.retiming import RetimingAttack, RetimingSearch, inside
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen

_NEAR, _BOUND = 4.0, 10.0
_CROWDED, _TOO_LATE, _TOO_MANY = 20.0, 10.0, 5.0


class ProjectedRetiming(RetimingAttack):
    """Offset logits with a projection in the loop; see the module's text.

    It has no random numbers but those of samples without gradient, so a second restart repeats the first. The
    parameters are those of :class:`~art_snn.attacks.evasion.retiming.RetimingAttack`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = ProjectedRetiming(clf, jitter=1, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    def _search(self, problem: Problem) -> Search:
        return _Logits(inside(problem))


class _Logits(RetimingSearch):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        T, threat = problem.x.shape[1], self.threat
        reach = T - 1 if threat.jitter is None else min(threat.jitter, T - 1)
        self.offsets = [u for u in range(-reach, reach + 1) if u >= 0 or not threat.causal]
        near = _NEAR if threat.jitter is not None else 0.0
        self.phi = torch.stack([torch.full_like(problem.x, near if abs(u) <= 1 else 0.0) for u in self.offsets], 1)

    def first(self) -> Tensor:
        """What the logits say before any gradient."""
        return self.step(self._soft(self.phi)[0])

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - the logits say where the point is
        """See :class:`Search`."""
        phi = self.phi.detach().requires_grad_()
        soft, shares = self._soft(phi)
        merit = (seen.ascent * soft).flatten(1).sum(1) - self._penalty(shares)
        (slope,) = torch.autograd.grad(merit.sum(), phi)
        self.phi = (self.phi + slope.sign()).clamp(-_BOUND, _BOUND)
        return self.step(self._soft(self.phi)[0])

    def _soft(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """The expected train ``[n, T, *]`` and the shares of the offsets ``[n, U, T, *]``."""
        T = phi.shape[2]
        target = torch.arange(T, device=phi.device) + torch.tensor(self.offsets, device=phi.device)[:, None]
        outside = ((target < 0) | (target >= T)).view(1, len(self.offsets), T, *[1] * (phi.dim() - 3))
        shares = phi.masked_fill(outside, -torch.inf).softmax(1)
        return self._moved(shares, self.problem.x), shares

    def _moved(self, shares: Tensor, x: Tensor) -> Tensor:
        T, out = x.shape[1], torch.zeros_like(x)
        for i, u in enumerate(self.offsets):
            part = shares[:, i] * x
            rest = torch.zeros_like(part[:, : abs(u)])
            moved = torch.cat([rest, part[:, : T - u]], 1) if u >= 0 else torch.cat([part[:, -u:], rest], 1)
            out = out + moved
        return out

    def _penalty(self, shares: Tensor) -> Tensor:
        packets = (self.problem.x != 0).to(shares)
        crowd = (self._moved(shares, packets) - 1).clamp(min=0).square().flatten(1).mean(1)
        total = _CROWDED * crowd
        size = torch.tensor(self.offsets).abs().to(shares).view(1, -1, *[1] * (shares.dim() - 2))
        if self.threat.delay is not None:
            expected = (shares * size * packets[:, None]).flatten(1).sum(1)
            total = total + _TOO_LATE * (expected - self.threat.delay).clamp(min=0) / self.threat.delay
        if self.threat.moves is not None:
            staying = shares[:, self.offsets.index(0)]
            expected = ((1 - staying) * packets).flatten(1).sum(1)
            total = total + _TOO_MANY * (expected - self.threat.moves).clamp(min=0) / self.threat.moves
        return total
