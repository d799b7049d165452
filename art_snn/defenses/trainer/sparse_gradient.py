r"""SR: training with a penalty on the input gradient of the probability of the label against the runner-up.

A gradient-masking suspect by construction: what it shrinks is the *surrogate* gradient that a plain attack follows.
Adaptive recipe ``sparse-gradient``: several surrogates, ASSG, at least 100 steps of SA-PGD, Square, and transfer from
an unregularized twin, ``SNNAutoAttack(clf, eps=eps, preset="thorough", transfer=[plain, ann])``.

Batch norm's running statistics follow the clean pass alone, and a random network draws the same numbers in both.

Source: Liu et al., ICML 2024.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from art_snn.defenses.trainer.input_gradient import check_penalty, confidence, input_gradient_l1, runner_up
from art_snn.defenses.trainer.linf import LinfTrainer
from art_snn.defenses.trainer.passes import PairedPasses


class SparseGradient(LinfTrainer):
    r"""SR, sparse-gradient regularization.

    .. math:: f_y(x) = \sigma(z_y - z_{j^*}), \quad
       R = \mathrm{mean}_n \left(\frac{f_y(x + h v) - f_y(x)}{h}\right)^2, \quad L = CE + \beta R

    with :math:`v = \mathrm{sign} \nabla_x f_y(x)` and :math:`j^*` the runner-up of the clean pass. ``beta=0`` is plain
    training. With ``adversarial=True`` inputs are perturbed first (SR* of the paper).

    **Masking warning**: it makes the gradient of the surrogate sparse, so an attack along that gradient stalls whether
    or not adversarial samples became rarer. Believe no number of a single surrogate. Adaptive recipe:
    ``sparse-gradient``.

    :param beta: weight of the penalty; the source gives none. The norm sums over all pixels: on digits, a network
        trained with 0.01 kept its accuracy and one with 1 fell to chance, so watch ``history`` when raising it.
    :param h: step of the finite difference, in input units.
    :param adversarial: train on inputs perturbed within ``eps``.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`; the budget is used only
    with ``adversarial=True``.

    :raises ValueError: for a weight or step out of range.

    Source: Liu et al., ICML 2024.

    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> SparseGradient(clf, beta=0.01).fit(x, y, nb_epochs=1)
    """

    def __init__(
        self, classifier: Any, *, beta: float = 0.01, h: float = 0.01, adversarial: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(classifier, **kwargs)
        check_penalty(beta, h)
        self.beta, self.h, self.perturbs = float(beta), float(h), adversarial

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        x = self.perturbed(x, y) if self.perturbs else x
        if not self.beta:
            return self.task_loss(self.logits(x), y)
        passes, classes = PairedPasses(self), y if y.dim() == 1 else y.argmax(1)

        def share(point: Tensor) -> Tensor:
            z = passes(point)
            return confidence(z, classes, runner_up(passes.clean, classes))

        norm = input_gradient_l1(share, x, self.h, self.clip)
        return self.task_loss(passes.clean, y) + self.beta * (norm**2).mean()
