"""Transfer: gradients of another model, success judged on the one under attack.

At every step of Auto-PGD on the source the target is asked once, so any visited point counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from art_snn.attacks.evasion.losses import LOSSES
from art_snn.attacks.evasion.pixel import BallSearch, PixelAttack
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.snn_auto_pgd import ascent
from art_snn.attacks.evasion.victim import Seen, Victim
from art_snn.conversion.encoders import check_same_encoder
from art_snn.errors import explain


class Transfer(PixelAttack):
    """Auto-PGD on ``source``, judged on ``estimator``.

    :param source: an ART PyTorch classifier with inputs and classes of the same shape; gradients are its own.
    :raises ValueError: if ``source`` has other inputs or classes, or the attack is targeted.
    :warns EncoderWarning: if ``source`` is the network of ``estimator`` behind another spike code.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.pixel.PixelAttack`; ``policy`` steers the
    gradients of the source.

    >>> import torch
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(8)
    >>> attack = Transfer(tiny.classifier(tiny.direct()), tiny.classifier(tiny.analog()), eps=0.1, max_iter=5)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x, y))).all())
    True
    """

    attack_params = PixelAttack.attack_params + ["source"]  # noqa: RUF005 - ART's own idiom
    loss_types = ("ce", "margin", "dlr")

    def __init__(
        self, estimator: Any, source: Any, norm: float | str = np.inf, eps: float = 8 / 255, max_iter: int = 100,
        nb_random_init: int = 1, loss_type: str = "ce", **kwargs: Any,
    ) -> None:  # fmt: skip
        self.source = source
        super().__init__(estimator, norm, eps, max_iter, nb_random_init, loss_type, **kwargs)

    def _check_params(self) -> None:
        super()._check_params()
        if self.targeted:
            raise ValueError(explain("targeted=True", "an untargeted transfer", "leave targeted=False"))
        ours, theirs = ((tuple(one.input_shape), int(one.nb_classes)) for one in (self.estimator, self.source))
        if ours != theirs:
            came = f"a source with inputs and classes {theirs}"
            raise ValueError(explain(came, f"{ours}, as the model under attack", "train the source on the same data"))
        check_same_encoder(self.source, self.estimator, stacklevel=5)

    def _victim(self) -> Victim:
        return Victim(self.estimator, None, self.eot, self.votes, self.seed)

    def _search(self, problem: Problem) -> Search:
        source = Victim(self.source, self.policy, self.eot, None, self.seed)
        return _Borrowed(problem, int(self.max_iter), source, self.loss_type)


class _Borrowed(BallSearch):
    wants_gradient = False

    def __init__(self, problem: Problem, steps: int, source: Victim, loss: str) -> None:
        super().__init__(problem)
        self.source, self.loss, self.done = source, LOSSES[loss], 0
        self.inner = ascent(problem, steps)
        self.extra = source.costs

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - only the source shows its gradient
        """See :class:`Search`."""
        y = self.problem.y
        with self.source.attached():
            borrowed = self.source.query(point, lambda z: self.loss(z, y), self.problem.ids, self.done, gradient=True)
        self.done += 1
        return self.inner.next(point, borrowed)

    def keep(self, index: Tensor) -> None:
        """See :class:`Search`."""
        super().keep(index)
        self.inner.keep(index)
