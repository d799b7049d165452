r"""SpikeFool: SparseFool on spike grids. DeepFool finds the boundary, a sparse linear solver crosses it in few cells.

Outer iteration, from the grid x of the last one, with :math:`j_0` the label:

1. *DeepFool* on real-valued grids: with :math:`w_j = \nabla z_j - \nabla z_{j_0}` and :math:`f_j = z_j - z_{j_0}`,
   take :math:`l = \arg\min_j |f_j| / \|w_j\|` and step :math:`\max(|f_l| / \|w_l\|, \text{floor})\, w_l / \|w_l\|`,
   until the label changes to some :math:`j'`; r is the sum of the steps.
2. :math:`n = \nabla (z_{j'} - z_{j_0})`, normalized, at the end point; :math:`x_B = x + \lambda r`.
3. *Linear solver*: move the cells of largest :math:`|n_d|`, one after another and each as far as it can go, until
   :math:`\langle n, x - x_B \rangle` changes its sign; then round to whole events.

A rounding that changes nothing three times in a row is kicked by random flips. After the label has changed, the flips
are applied again in order of :math:`|n_d|` until the model is fooled, and then none that is not needed stays.

Source: Buchel et al., Frontiers in Neuroscience 2022, arXiv 2110.02929; Modas et al., SparseFool, CVPR 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion import fewest
from art_snn.attacks.evasion.grid import GridAttack, allowed
from art_snn.attacks.evasion.search import Problem
from art_snn.attacks.evasion.trials import TrialAttack, Trials
from art_snn.attacks.evasion.victim import Victim, first_argmax
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope

_OVERSHOOT = 1.02
_PATIENCE = 3
_KICKS = 5


class SpikeFool(TrialAttack):
    """SpikeFool; see the module's text.

    :param max_iter: outer iterations.
    :param deepfool_iter: steps of DeepFool in each of them.
    :param lambda_: how far beyond the boundary the sparse solver aims, from 1 to 3 in the paper.
    :param floor: least length of a DeepFool step.
    :raises ValueError: for a parameter out of range, or ``targeted``.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`. Each DeepFool step takes
    one backward pass per class.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = SpikeFool(clf, k=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = ["deepfool_iter", "lambda_", "floor", *GridAttack.attack_params]  # noqa: RUF012 - ART's own idiom
    loss_types = ("margin",)

    def __init__(
        self, estimator: Any, k: float = 1000, max_iter: int = 20, deepfool_iter: int = 50, lambda_: float = 2.0,
        floor: float = 0.2, loss_type: str = "margin", **kwargs: Any,
    ) -> None:  # fmt: skip
        self.deepfool_iter = deepfool_iter
        self.lambda_ = lambda_
        self.floor = floor
        super().__init__(estimator, k, max_iter, loss_type=loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if self.targeted:
            raise ValueError(explain("targeted=True", "an untargeted attack", "use HammingFW or SparseEventAttack"))
        if not self.lambda_ >= 1:
            raise ValueError(explain(f"lambda_={self.lambda_}", "1 or more: the boundary itself", "lambda_=2.0"))
        if not self.floor > 0:
            raise ValueError(explain(f"floor={self.floor}", "a length above 0", "floor=0.2"))
        if isinstance(self.deepfool_iter, bool) or not int(self.deepfool_iter) >= 1:
            raise ValueError(explain(f"deepfool_iter={self.deepfool_iter}", "1 step or more", "deepfool_iter=50"))

    def _one(self, victim: Victim, problem: Problem, trials: Trials, start: Tensor, scope: AttackScope) -> None:  # noqa: ARG002
        clean, here = problem.x, problem.x + start
        worth, still = torch.zeros_like(clean), 0
        trials.look(start[None])
        for step in range(int(self.max_iter)):
            if trials.solved:
                break
            way, normal = self._deepfool(victim, problem, trials, here)
            worth = normal.abs()
            low, high = self._range(clean)
            moved = solve_sparse(here, allowed(problem, normal), here + self.lambda_ * way, low, high)
            after = problem.project(moved.round())
            still = still + 1 if torch.equal(after, here) else 0
            if still >= _PATIENCE:
                after, still = self._kicked(problem, here, step), 0
            here = after
            trials.look(here - clean)
        if trials.solved:
            self._prune(trials, (here - clean)[0], worth[0])

    def _prune(self, trials: Trials, change: Tensor, worth: Tensor) -> None:
        short = fewest.shortest_prefix(change, worth, trials.fools)
        if short is not None:
            trials.settle(fewest.without_the_needless(short, worth, trials.fools))

    def _range(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The fewest and the most events that a legal change leaves in each cell."""
        up, down = self.threat.moves(clean)
        return clean - down.to(clean), clean + up.to(clean)

    def _kicked(self, problem: Problem, here: Tensor, step: int) -> Tensor:
        """A few random cells moved by one event, within the budget."""
        order = problem.uniform(*here.shape[1:], salt=50 + step).flatten(1).argsort(1)[:, :_KICKS]
        kicked = here.flatten(1).clone()
        now = kicked.gather(1, order)
        kicked.scatter_(1, order, torch.where(now >= 1, now - 1, now + 1))
        return problem.project(kicked.view_as(here))

    def _deepfool(self, victim: Victim, problem: Problem, trials: Trials, here: Tensor) -> tuple[Tensor, Tensor]:
        """The way from ``here`` to the boundary, and the normalized gradient of the crossing, both ``[1, *]``."""
        way = torch.zeros_like(here)
        for _ in range(int(self.deepfool_iter)):
            z, grads = self._class_gradients(victim, problem, trials, here + _OVERSHOOT * way)
            now = int(first_argmax(z[None])[0])
            own = int(problem.y[0])
            if now != own:
                break
            w, f = grads - grads[own], z - z[own]
            length = w.flatten(1).norm(dim=1)
            ratio = f.abs() / length.clamp(min=1e-12)
            ratio[own] = torch.inf
            now = int(torch.where(length > 0, ratio, torch.inf).argmin())
            if float(length[now]) == 0:
                break
            way = way + max(float(ratio[now]), self.floor) * (w[now] / length[now])[None].to(way)
        normal = grads[now] - grads[own]
        return _OVERSHOOT * way, (normal / normal.norm().clamp(min=1e-12))[None].to(here)

    def _class_gradients(
        self, victim: Victim, problem: Problem, trials: Trials, point: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[K]`` and their gradients ``[K, *]`` at one point, in one batch of K copies."""
        classes = int(self.estimator.nb_classes)
        place = torch.arange(classes, device=point.device)
        many = point.expand(classes, *point.shape[1:])
        seen = victim.query(
            many, lambda z: z.gather(1, place[:, None])[:, 0], problem.ids * classes, trials.step, gradient=True
        )
        trials.ledger.forwards[problem.rows] += classes * victim.costs[0]
        trials.ledger.backwards[problem.rows] += classes * victim.costs[1]
        trials.step += 1
        return seen.logits[0], seen.ascent


def solve_sparse(x: Tensor, n: Tensor, goal: Tensor, low: Tensor, high: Tensor) -> Tensor:
    r"""Cross the plane :math:`\langle n, x' - goal \rangle = 0` from ``x`` in as few coordinates as possible.

    The coordinates move in order of :math:`|n_d|`, each towards ``sign(n_d)`` up to ``low`` or ``high``; the one that
    reaches the plane moves no further than that, and by a thousandth of the gap more. Shapes are ``[N, *]``.

    >>> x, n = torch.zeros(1, 3), torch.tensor([[0.2, -1.0, 0.8]])
    >>> solve_sparse(x, n, torch.full((1, 3), 1.0) * n, torch.zeros(1, 3), torch.ones(1, 3))
    tensor([[1., 0., 1.]])
    """
    rows, ways = x.flatten(1), n.flatten(1)
    gap = (ways * (goal.flatten(1) - rows)).sum(1, keepdim=True)
    need = gap.clamp(min=0) + 1e-3 * (gap > 0)
    room = torch.where(ways > 0, high.flatten(1) - rows, rows - low.flatten(1)).clamp(min=0)
    order = ways.abs().argsort(dim=1, descending=True, stable=True)
    size, space = ways.abs().gather(1, order), room.gather(1, order)
    before = (size * space).cumsum(1) - size * space
    far = ((need - before).clamp(min=0) / size.clamp(min=1e-12)).minimum(space)
    step = torch.zeros_like(rows).scatter(1, order, far)
    return (rows + ways.sign() * step).view_as(x)
