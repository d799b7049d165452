r"""Adversarial fine-tuning of a converted network, with its thresholds.

The loss and the one-step attack are those of :mod:`art_snn.conversion.robust_training`; this trainer adds a validation
split and the best checkpoint. :class:`~art_snn.defenses.transformer.RobustConversion` does conversion and fine-tuning
in one go, without them.

Source: Özdenizci and Legenstein, TMLR 2024.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.conversion.robust_training import clamp_thresholds, mart_loss, rfgsm, trades_loss
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.errors import explain, suggest

_LOSSES = {"trades": trades_loss, "mart": mart_loss}


class RobustFineTuning(ValidatedTrainer):
    r"""Fine-tuning by TRADES or MART with one projected step from random signs; thresholds stay at 0.03 or above.

    Use it on what :func:`~art_snn.conversion.robust_convert` returns for an adversarially trained ReLU network. With
    ``loss="trades"``, :math:`\beta = 0` is plain training. Adaptive recipe: ``adversarial-training``, with
    ``transfer=[source]``.

    :param eps: L-infinity budget in input units.
    :param alpha: size of the random start; half of ``eps`` by default.
    :param loss: ``trades`` or ``mart``.
    :param beta: weight of the divergence.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises ValueError: for an unknown loss, or a budget or weight out of range.

    Source: Özdenizci and Legenstein, TMLR 2024.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.conversion import robust_convert
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> ann = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    >>> net = robust_convert(ann, T=4, calibration=torch.tensor(x))
    >>> sgd = torch.optim.SGD(net.parameters(), lr=1e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, sgd, clip_values=(0.0, 1.0))
    >>> RobustFineTuning(clf, eps=0.1).fit(x, y, nb_epochs=1)
    """

    perturbs = True

    def __init__(
        self,
        classifier: Any,
        *,
        eps: float = 2 / 255,
        alpha: float | None = None,
        loss: str = "trades",
        beta: float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(classifier, **kwargs)
        start = eps / 2 if alpha is None else alpha
        if loss not in _LOSSES:
            raise ValueError(suggest(loss, _LOSSES, "loss"))
        if not (0 <= start <= eps and beta >= 0):
            came = f"eps={eps}, alpha={start}, beta={beta}"
            raise ValueError(explain(came, "0 <= alpha <= eps and beta >= 0", "eps=2 / 255, beta=2.0"))
        self.eps, self.alpha, self.beta, self.form = float(eps), float(start), float(beta), loss

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """One step on the divergence."""
        return rfgsm(self.logits, x, self.eps, self.alpha, self.clip, generator)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        needed = self.beta or self.form == "mart"
        return _LOSSES[self.form](self.logits, x, self.perturbed(x, y) if needed else x, y, self.beta)

    def after_step(self) -> None:
        """Keep thresholds from vanishing."""
        clamp_thresholds(self.model)
