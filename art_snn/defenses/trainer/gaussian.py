r"""Gaussian-noise training: the baseline that every regularizer has to beat.

.. math:: L = \tfrac12 CE(f(x), y) + \tfrac12 CE(f(\mathrm{clip}(x + \sigma\, \mathcal N)), y)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.defenses.trainer.numbers import not_negative


def gaussian_noise(x: Tensor, sigma: float, clip: tuple[float, float], generator: torch.Generator) -> Tensor:
    r""":math:`\mathrm{clip}(x + \sigma\,\mathcal N)`: normal noise, not uniform, brought back into the range.

    :param sigma: standard deviation in the units of ``x``.
    :param clip: range of valid inputs.
    :param generator: source of the noise, on the CPU.

    >>> gaussian_noise(torch.ones(1, 2), 0.0, (0.0, 1.0), torch.Generator())
    tensor([[1., 1.]])
    """
    return (x + sigma * torch.randn(x.shape, generator=generator).to(x)).clamp(*clip)


class GaussianNoiseTrainer(ValidatedTrainer):
    r"""Half of the loss on clean inputs, half on inputs with normal noise; :math:`\sigma = 0` is plain training.

    Checkpoints are chosen on clean and noisy validation samples. Batch norm sees both passes.

    Noise of this size smooths the loss a little; robustness that it seems to give often goes with another surrogate.
    Adaptive recipe: ``adversarial-training``.

    :param sigma: standard deviation in input units.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises ValueError: for a negative standard deviation.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> GaussianNoiseTrainer(clf, sigma=0.1).fit(x, y, nb_epochs=1)
    """

    perturbs = True

    def __init__(self, classifier: Any, *, sigma: float = 8 / 255, **kwargs: Any) -> None:
        super().__init__(classifier, **kwargs)
        self.sigma = not_negative("sigma", sigma, "standard deviation", "8 / 255")

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Noisy inputs."""
        return gaussian_noise(x, self.sigma, self.clip, generator)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        clean = self.task_loss(self.logits(x), y)
        if not self.sigma:
            return clean
        return 0.5 * clean + 0.5 * self.task_loss(self.logits(self.perturbed(x, y)), y)
