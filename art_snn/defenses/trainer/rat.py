r"""RAT, regularized adversarial training: adversarial training, and weights kept near orthogonal.

After each step of the optimizer, :math:`W \leftarrow (1+\beta) W - \beta W W^\top W`
(:mod:`art_snn.defenses.trainer.orthogonal`), so that no layer amplifies a perturbation. A layer in front of a batch
norm is rescaled by it, so there the Lipschitz bound does not hold to the letter.

Source: Ding et al., NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from art_snn.defenses.trainer.linf import LinfTrainer
from art_snn.defenses.trainer.orthogonal import Retraction


class RAT(LinfTrainer):
    """Adversarial training on the perturbed inputs alone, with a retraction after each step.

    Weight decay is off while it trains. With ``beta=0`` and no weight decay it is
    :class:`~art_snn.defenses.trainer.PGDTrainer`.

    :param beta: rate of the retraction.
    :param layers: dotted names of the layers to retract; all linear and convolution layers by default.
    :param simplex: dotted names of parameters that weigh convex combinations (residual sums).
    :param generator: source of the random rows of large linear layers; made from ``seed`` at each ``fit`` by default.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`.

    :raises ValueError: for an unknown layer or a rate out of range; while training, if a weight would diverge.

    Source: Ding et al., NeurIPS 2022. Adaptive recipe: ``adversarial-training``.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> RAT(clf, eps=0.1, max_iter=2, beta=0.004, layers=["body.1", "body.3"]).fit(x, y, nb_epochs=1)
    """

    def __init__(
        self,
        classifier: Any,
        *,
        beta: float = 0.004,
        layers: Sequence[str] | None = None,
        simplex: Sequence[str] = (),
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classifier, **kwargs)
        self.rows = generator
        self.retraction = Retraction(self.model, beta, layers, simplex, generator)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss at the perturbed inputs."""
        return self.task_loss(self.logits(self.perturbed(x, y)), y)

    def after_step(self) -> None:
        """Retract."""
        self.retraction()

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Without weight decay."""
        if self.rows is None:
            self.retraction.generator = torch.Generator().manual_seed(self.seed + 3)
        groups = self.optimizer.param_groups
        before = [group.get("weight_decay", 0.0) for group in groups]
        for group in groups:
            group["weight_decay"] = 0.0
        try:
            yield
        finally:
            for group, decay in zip(groups, before, strict=True):
                group["weight_decay"] = decay
