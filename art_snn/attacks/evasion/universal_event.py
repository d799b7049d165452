r"""One set of cells for all recordings: each cell of it is switched on, or off, wherever it stands in the other state.

.. math:: x'_i = v_i \text{ for } i \in Q, \quad x_i \text{ otherwise}, \qquad |Q| \le k,\; v_i \in \{0, 1\}

Iterated as :class:`~art_snn.attacks.evasion.HammingFW` is: with the gradients :math:`g_n` at the changed recordings,
the first-order gain of setting cell i to v is :math:`G_{i,v} = \sum_n g_{n,i} (v - x_{n,i})`, summed over recordings
that still stand; its momentum chooses the k cells of largest gain and their values. The Q that broke most is kept. A
recording never changes in more than k cells, and in fewer where it agrees with Q.

Source: universal perturbations on event grids (heat maps of flips) as published; the gradient form is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion import draws
from art_snn.attacks.evasion.grid import GridAttack, Standing, allowed
from art_snn.attacks.evasion.record import Ledger
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Victim
from art_snn.errors import explain
from art_snn.threats.projection import largest

Array = np.ndarray[Any, np.dtype[Any]]
_KEPT = 0.9


class UniversalEventPerturbation(GridAttack):
    """One pattern for all recordings of a batch; see the module's text. Binary grids only.

    :param k: number of cells of the pattern.
    :raises ValueError: for grids of counts, or ``targeted`` without one target class for all.

    After ``generate``, :attr:`pattern` holds the pattern and :meth:`apply` puts it on other recordings. A mask must be
    the same for every sample. The remaining parameters are those of
    :class:`~art_snn.attacks.evasion.grid.GridAttack`; the model must not be stochastic.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = UniversalEventPerturbation(clf, k=3, max_iter=3)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    attack_params = [name for name in GridAttack.attack_params if name != "most"]  # noqa: RUF012 - ART's own idiom
    loss_types = ("ce", "margin", "dlr")

    def __init__(self, estimator: Any, k: float = 20, max_iter: int = 30, **kwargs: Any) -> None:
        self._pattern: Tensor | None = None
        super().__init__(estimator, k, max_iter, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if self.most != 1:
            raise ValueError(explain(f"most={self.most}", "binary grids", "leave most=1"))
        if getattr(self.estimator.model, "is_stochastic", False):
            raise ValueError(explain("a stochastic model", "one that answers the same twice", "use HammingFW"))

    @property
    def pattern(self) -> Array:
        """+1 where the pattern switches on, -1 where it switches off, else 0; ``[T, *]``.

        :raises RuntimeError: before the first ``generate``.
        """
        if self._pattern is None:
            raise RuntimeError(explain("an attack that has not run", "a call of generate first", "generate(x, y)"))
        return self._pattern.cpu().numpy()

    def apply(self, x: Any) -> Array:
        """The pattern on other recordings, float32 of the shape of ``x``; they need not have been seen."""
        return put(torch.as_tensor(np.asarray(x, dtype=np.float32)), torch.as_tensor(self.pattern)).numpy()

    def _search(self, problem: Problem) -> Search:
        return Standing(problem, self._first_runs(problem))

    def _attack(self, victim: Victim, whole: Problem, ledger: Ledger, starts: Any) -> None:  # noqa: ARG002
        self._pattern = torch.zeros_like(whole.x[0])
        if whole.mask is not None and not bool((whole.mask == whole.mask[:1]).all()):
            raise ValueError(explain("a mask that differs between samples", "one mask for all", "mask=mask[0]"))
        standing = ledger.open()
        for restart in range(0 if self.threat.is_zero or len(standing) == 0 else int(self.nb_random_init)):
            self._learn(victim, whole.select(standing), ledger, restart)
        if bool((self._pattern != 0).any()):
            self._judge(victim, whole.select(standing), ledger)
        ledger.close_restart()

    def _learn(self, victim: Victim, problem: Problem, ledger: Ledger, restart: int) -> None:
        """Keep the pattern if it breaks more than the one known, at equal numbers with the higher mean loss."""
        pattern = torch.zeros_like(problem.x[0])
        if restart > 0:
            key = draws.key(self.seed, restart, 11)
            noise = draws.normal([key], problem.x.shape[1:], problem.x)
            pattern = self._best_cells(problem, torch.stack([noise[0], -noise[0]]))
        gains = torch.zeros_like(torch.stack([pattern, pattern]))
        best = self._score(victim, problem, ledger, torch.as_tensor(self.pattern).to(pattern), gradient=False)[:2]
        for _ in range(int(self.max_iter) + 1):
            broken, loss, gain = self._score(victim, problem, ledger, pattern, gradient=True)
            if (broken, loss) > best:
                best, self._pattern = (broken, loss), pattern
            gains = _KEPT * gains + gain / gain.abs().mean().clamp(min=1e-30)
            pattern = self._best_cells(problem, gains)

    def _score(
        self, victim: Victim, problem: Problem, ledger: Ledger, pattern: Tensor, *, gradient: bool
    ) -> tuple[int, float, Tensor]:
        """How many recordings a pattern breaks, their mean loss, and the gain of switching each cell on or off."""
        broken, total = 0, 0.0
        gain = torch.zeros_like(torch.stack([pattern, pattern]))
        for rows in torch.arange(len(problem), device=problem.x.device).split(self.batch_size):
            part = problem.select(rows)
            with victim.scope(part.rows.tolist()) as scope:
                seen = self._look(victim, part, put(part.x, pattern), ledger, 0, scope if gradient else None)
            hit = self._hit(seen.logits, part.y)
            broken, total = broken + int(hit.sum()), total + float(seen.loss.double().sum())
            if gradient:
                g = seen.ascent[~hit]
                gain += torch.stack([(g * (1 - part.x[~hit])).sum(0), -(g * part.x[~hit]).sum(0)])
        return broken, total / len(problem), gain

    def _best_cells(self, problem: Problem, gains: Tensor) -> Tensor:
        """The ``k`` cells of largest gain: +1 to switch on, -1 to switch off."""
        on = gains[0] if self.add else torch.full_like(gains[0], -torch.inf)
        off = gains[1] if self.delete else torch.full_like(gains[1], -torch.inf)
        first = problem.select(torch.zeros(1, dtype=torch.long, device=problem.x.device))
        worth = allowed(first, torch.maximum(on, off).clamp(min=0)[None])
        chosen = largest(worth.flatten(1), self.threat.k).view_as(on)
        return torch.where(chosen, torch.where(on >= off, 1.0, -1.0).to(on), torch.zeros_like(on))

    def _judge(self, victim: Victim, problem: Problem, ledger: Ledger) -> None:
        """The pattern as the answer for every recording that was right."""
        pattern = torch.as_tensor(self.pattern).to(problem.x)
        for rows in torch.arange(len(problem), device=problem.x.device).split(self.batch_size):
            part = problem.select(rows)
            point = put(part.x, pattern)
            seen = self._look(victim, part, point, ledger, 0, None)
            ledger.note(part.rows, point, seen.loss, self._hit(seen.logits, part.y), 0, 0)
            self._confirm(victim, part, ledger, 0)


def put(x: Tensor, pattern: Tensor) -> Tensor:
    """Recordings with the cells of ``pattern`` switched on (+1) and off (-1).

    >>> put(torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([1.0, -1.0, 0.0])).tolist()
    [[1.0, 0.0, 1.0]]
    """
    return torch.where(pattern > 0, torch.ones_like(x), torch.where(pattern < 0, torch.zeros_like(x), x))
