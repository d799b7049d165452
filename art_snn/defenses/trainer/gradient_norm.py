r"""NT: training with a penalty on the l1 norm of the input gradient of a regressor's output or a
classifier's margin.

A gradient-masking suspect by construction: what it shrinks is the *surrogate* gradient that a plain attack follows.
Adaptive recipe ``sparse-gradient``: several surrogates, ASSG, at least 100 steps of SA-PGD, Square, and transfer from
an unregularized twin, ``SNNAutoAttack(clf, eps=eps, preset="thorough", transfer=[plain, ann])``.

Batch norm's running statistics follow the clean pass alone, and a random network draws the same numbers in both.

Source: Liu et al., CVPR 2024.
"""

from __future__ import annotations

from typing import Any

from art.estimators.classification import PyTorchClassifier
from art.estimators.regression.pytorch import PyTorchRegressor
from torch import Tensor

from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.defenses.trainer.input_gradient import check_penalty, input_gradient_l1, margin, runner_up
from art_snn.defenses.trainer.passes import PairedPasses


class GradientNorm(ValidatedTrainer):
    r"""NT, norm-regularized training of a scalar output g.

    .. math:: L + \beta\, \tfrac12\, \mathrm{mean}_n \left(\frac{g(x + h v) - g(x)}{h}\right)^2,
       \qquad |g(x + \delta) - g(x)| \le \epsilon\, \|\nabla_x g\|_1 + o(\epsilon)

    g is the output of an ART ``PyTorchRegressor``, or the margin :math:`z_y - z_{j^*}` of a classifier. ``beta=0`` is
    plain training.

    **Masking warning** for spiking networks: the gradient that is made small is the surrogate's, so the bound above
    says nothing about spikes. Adaptive recipe: ``sparse-gradient``; for a regressor, the largest change of the score
    that a projected ascent finds, up and down.

    :param beta: weight of the penalty.
    :param h: step of the finite difference, in input units.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises ValueError: for a weight or step out of range.

    Source: Liu et al., CVPR 2024.

    >>> import numpy as np
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    >>> regressor = PyTorchRegressor(net, torch.nn.MSELoss(), (1, 4, 4), adam, clip_values=(0.0, 1.0))
    >>> x = np.random.default_rng(0).random((64, 1, 4, 4), dtype=np.float32)
    >>> trainer = GradientNorm(regressor, beta=1e-2)
    >>> trainer.fit(x, x.mean((1, 2, 3)), nb_epochs=2)
    >>> regressor.predict(x).shape
    (64, 1)
    """

    accepts = (PyTorchClassifier, PyTorchRegressor)

    def __init__(self, classifier: Any, *, beta: float = 1e-3, h: float = 0.01, **kwargs: Any) -> None:
        super().__init__(classifier, **kwargs)
        check_penalty(beta, h)
        self.beta, self.h = float(beta), float(h)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        if not self.beta:
            return self.task_loss(self.logits(x), y)
        passes = PairedPasses(self)

        def scalar(point: Tensor) -> Tensor:
            z = passes(point)
            if isinstance(self._classifier, PyTorchRegressor):
                return z.reshape(len(z), -1).sum(1)
            classes = y if y.dim() == 1 else y.argmax(1)
            return margin(z, classes, runner_up(passes.clean, classes))

        norm = input_gradient_l1(scalar, x, self.h, self.clip)
        return self.task_loss(passes.clean, y) + 0.5 * self.beta * (norm**2).mean()
