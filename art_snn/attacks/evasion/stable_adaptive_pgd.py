r"""SA-PGD: sign-free PGD with momentum and a running scale of the gradient.

.. math::
   \hat g = \frac{g}{\mathrm{mean}|g| + 10^{-12}}, \quad \hat q = \frac{g^2}{\mathrm{mean}\,g^2 + 10^{-12}}, \quad
   m \leftarrow \tfrac12 m + \hat g, \quad v \leftarrow 0.8\, v + \hat q,

.. math:: x \leftarrow \Pi\bigl(x + \mathrm{clip}(\eta\, m / (\sqrt v + 10^{-12}), -\eta, \eta)\bigr),

with :math:`\eta = \epsilon`, halved at every check point of Auto-PGD. Means are per sample.

Source: ASSG and SA-PGD, CVPR 2026, arXiv 2512.22522.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.search import Problem, Search, across
from art_snn.attacks.evasion.snn_auto_pgd import CheckPoints
from art_snn.attacks.evasion.victim import Seen

_FIRST, _SECOND, _DUST = 0.5, 0.8, 1e-12


class StableAdaptivePGD(PixelAttack):
    """SA-PGD (L-infinity): see the module's text for the equations and :class:`PixelAttack` for the parameters.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> x = np.full((2, 1, 8, 8), 0.5, dtype=np.float32)
    >>> StableAdaptivePGD(clf, eps=0.1, max_iter=3).generate(x).shape
    (2, 1, 8, 8)
    """

    norms = (np.inf,)

    def _search(self, problem: Problem) -> Search:
        return _StableAscent(problem, int(self.max_iter))


class _StableAscent(BallSearch):
    def __init__(self, problem: Problem, steps: int) -> None:
        super().__init__(problem)
        self.plan = CheckPoints(steps)
        self.eta = self.reach()
        self.done = 0
        self.m = torch.zeros_like(problem.x)
        self.v = torch.zeros_like(problem.x)

    def next(self, point: Tensor, seen: Seen) -> Tensor:
        """See :class:`Search`."""
        grad = seen.ascent
        if self.done > 0 and self.plan.due(self.done):
            self.eta /= 2
        self.done += 1
        size = grad.abs().flatten(1)
        self.m = _FIRST * self.m + grad / (across(size.mean(1), grad) + _DUST)
        self.v = _SECOND * self.v + grad**2 / (across((size**2).mean(1), grad) + _DUST)
        return point + (self.eta * self.m / (self.v.sqrt() + _DUST)).clamp(-self.eta, self.eta)
