r"""Adversarial training against a projected L-infinity ascent: Madry's, TRADES and MART.

ART's own trainers (``AdversarialTrainer``, ``AdversarialTrainerMadryPGD``, TRADES, AWP, FBF, OAAT) run unchanged on an
``SNNClassifier``. These do the same work with a validation split, a seed, and gradients that pass tensors instead of
arrays; the losses are those of :mod:`art_snn.conversion.robust_training`.

Adaptive recipe ``adversarial-training``: a pool of surrogates with Auto-PGD on cross entropy and targeted margins, at
least ten times the steps of training: ``SNNAutoAttack(clf, eps=eps, preset="standard")``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from art_snn.conversion.robust_training import divergence, mart_loss, trades_loss
from art_snn.defenses.trainer.linf import LinfTrainer
from art_snn.defenses.trainer.numbers import not_negative


class PGDTrainer(LinfTrainer):
    r"""Madry's adversarial training, :math:`\min E\, \max_{\|\delta\|_\infty \le \epsilon} L(f(x + \delta), y)`.

    Batch norm sees the perturbed inputs alone. The parameters are those of
    :class:`~art_snn.defenses.trainer.linf.LinfTrainer`.

    Source: Madry et al., ICLR 2018. Adaptive recipe: ``adversarial-training``.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> trainer = PGDTrainer(clf, eps=0.1, max_iter=2)
    >>> trainer.fit(x, y, nb_epochs=1)
    >>> trainer.get_classifier().predict(x).shape
    (64, 10)
    """

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss at the perturbed inputs."""
        return self.task_loss(self.logits(self.perturbed(x, y)), y)


class TRADESTrainer(LinfTrainer):
    r"""TRADES, :math:`CE(f(x), y) + \beta\, KL(f(x) \| f(x'))`, with x' an ascent on the divergence.

    Batch norm sees the clean inputs and the perturbed ones in turn. :math:`\beta = 0` is plain training.

    :param beta: weight of the divergence.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`.

    :raises ValueError: for a negative weight.

    Source: Zhang et al., ICML 2019. Adaptive recipe: ``adversarial-training``.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> TRADESTrainer(clf, eps=0.1, max_iter=2, beta=6.0).fit(x, y, nb_epochs=1)
    """

    def __init__(self, classifier: Any, *, beta: float = 6.0, **kwargs: Any) -> None:
        super().__init__(classifier, **kwargs)
        self.beta = not_negative("beta", beta, "weight", "6.0")

    def objective(self, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG002
        """Divergence from the clean outputs."""
        with torch.no_grad():
            calm = self.logits(x)
        return lambda point: divergence(calm, self.logits(point))

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        return trades_loss(self.logits, x, self.perturbed(x, y) if self.beta else x, y, self.beta)


class MARTTrainer(LinfTrainer):
    r"""MART: boosted cross entropy at x', and the divergence of samples as far as they are misread.

    .. math:: CE(f(x'), y) - \log(1.0001 - \max_{k \ne y} p'_k) + \beta\, \mathrm{mean}[KL(p \| p')(1 - p_y)]

    Batch norm sees the clean inputs and the perturbed ones in turn.

    :param beta: weight of the divergence.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`.

    :raises ValueError: for a negative weight.

    Source: Wang et al., ICLR 2020. Adaptive recipe: ``adversarial-training``.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> MARTTrainer(clf, eps=0.1, max_iter=2, beta=4.0).fit(x, y, nb_epochs=1)
    """

    def __init__(self, classifier: Any, *, beta: float = 4.0, **kwargs: Any) -> None:
        super().__init__(classifier, **kwargs)
        self.beta = not_negative("beta", beta, "weight", "4.0")

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        return mart_loss(self.logits, x, self.perturbed(x, y), y, self.beta)
