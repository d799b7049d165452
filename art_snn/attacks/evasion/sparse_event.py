r"""The fewest spike flips that fool: gradients propose, finite differences decide, and what is not needed is undone.

With the margin :math:`h = z_y - \max_{j \ne y} z_j` and a growing set S of flips, iteration n

1. takes the gradient at the grid with S flipped, and ranks the cells outside S whose legal flip lowers h to first
   order (cells without gradient come last, in random order);
2. tries each of the first 10 n flips alone, :math:`\Delta_i = h(\text{flip}_i) - h`, and adds those with
   :math:`\Delta_i \le 0` to S, the strongest first where the budget does not hold them all;
3. stops at the first misclassified grid, whether it is S or a single trial.

Then the longest run of flips with the smallest :math:`|\Delta_i|` is undone by bisection, and single flips are undone
until removing any of them would restore the label. The cost grows with the square of the number of iterations.

Source: Sparse Dynamic Attack, CVPR 2025, arXiv 2503.03272; batches, budget, add-only and delete-only, and the last
reduction are ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion import fewest
from art_snn.attacks.evasion.grid import GridAttack, allowed
from art_snn.attacks.evasion.sea import flip_gain
from art_snn.attacks.evasion.search import Problem
from art_snn.attacks.evasion.trials import TrialAttack, Trials
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope
from art_snn.threats.flips import SpikeFlips
from art_snn.threats.projection import largest

_MORE = 10
_TINY = 1e-12


class SparseEventAttack(TrialAttack):
    """The fewest flips that fool, at most ``k``; see the module's text.

    :param reduce: undo what is not needed after a success.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`. On failure the grid of
    highest loss is returned, flagged in ``last_run.success``. For a stochastic model nothing is undone: the best grids
    are put to the vote.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = SparseEventAttack(clf, k=3, max_iter=2)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["reduce", *GridAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    loss_types = ("margin", "ce", "dlr")

    def __init__(
        self, estimator: Any, k: float = 200, max_iter: int = 50, reduce: bool = True, loss_type: str = "margin",
        **kwargs: Any,
    ) -> None:  # fmt: skip
        self.reduce = reduce
        super().__init__(estimator, k, max_iter, loss_type=loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if not isinstance(self.reduce, bool):
            raise ValueError(explain(f"reduce={self.reduce!r}", "True or False", "reduce=True"))

    def _one(self, victim: Victim, problem: Problem, trials: Trials, start: Tensor, scope: AttackScope) -> None:
        change, worth = self._grow(victim, problem, trials, start, scope)
        if self.reduce and trials.solved:
            change = fewest.without_the_weakest(change, worth, trials.fools)
            trials.settle(fewest.without_the_needless(change, worth, trials.fools))

    def _grow(
        self, victim: Victim, problem: Problem, trials: Trials, change: Tensor, scope: AttackScope
    ) -> tuple[Tensor, Tensor]:
        """Add flips until the model is fooled, the budget is spent, or nothing helps; ``[*]`` and their worth."""
        threat: SpikeFlips = self.threat
        worth = torch.zeros_like(change)
        here, hit = trials.look(change[None])
        for step in range(1, int(self.max_iter) + 1):
            room = threat.k - int((change != 0).sum())
            if bool(hit.all()) or room < 1:
                break
            seen = self._look(victim, problem, problem.x + change, trials.ledger, trials.step, scope)
            singles = self._candidates(problem, seen, change, _MORE * step)
            places = singles.flatten().nonzero()[:, 0]
            if len(places) == 0:
                break
            each = torch.zeros(len(places), change.numel()).to(change)
            each[torch.arange(len(places)), places] = singles.flatten()[places]
            each = each.view(-1, *change.shape)
            loss, found = trials.look(change + each)
            gain = loss - here
            if bool(found.any()):
                best = int((gain + torch.where(found, torch.inf, 0.0)).argmax())
                return change + each[best], worth + each[best].abs() * float(gain[best].abs())
            useful = largest((gain + torch.where(gain >= 0, 1.0, -torch.inf))[None].clamp(min=0), room)[0]
            change = change + each[useful].sum(0)
            worth.view(-1)[places[useful]] = gain[useful].abs().to(worth)
            here, hit = trials.look(change[None])
        return change, worth

    def _candidates(self, problem: Problem, seen: Seen, change: Tensor, count: int) -> Tensor:
        """The most promising single flips outside ``change``, as a tensor of +1, -1 and 0, ``[*]``."""
        grad = seen.ascent
        draw = problem.uniform(*grad.shape[1:], salt=int((change != 0).sum()) + 1)
        up, _ = self.threat.moves(problem.x)
        tiny = torch.where(up, draw, -draw) * _TINY
        gain = flip_gain(problem.x, allowed(problem, torch.where(grad == 0, tiny, grad)), self.threat)
        gain = torch.where(change[None] != 0, torch.zeros_like(gain), gain)
        chosen = largest(gain.flatten(1), count).view_as(gain)
        sign = torch.where(grad == 0, tiny, grad).sign()
        return torch.where(chosen, sign, torch.zeros_like(sign))[0].to(problem.x)
