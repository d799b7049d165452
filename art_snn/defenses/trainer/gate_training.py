r"""StoG: adversarial training of a network with stochastic gates, whose rates are pulled down.

.. math:: L = CE(f(x'), y) + \gamma\, \tfrac12 \sum \|P\|^2

The rates P learn in the first half of the epochs and stay fixed in the second.

A random network is a gradient-masking suspect by construction. Adaptive recipe ``stochastic``: averaged gradients, at
least ten draws each, a majority of fresh votes as the judge, and the mean network (``gate.mean = True``) as well:
``SNNAutoAttack(clf, eps=eps, eot=20, votes=20)``.

Source: Ding et al., AAAI 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from art_snn.defenses.trainer.linf import LinfTrainer
from art_snn.defenses.trainer.numbers import not_negative
from art_snn.errors import explain
from art_snn.neurons import StochasticGate


class StochasticGateTrainer(LinfTrainer):
    r"""Training of gated networks; with ``eps=0`` and ``gamma=0`` the clean loss alone.

    **Masking warning**: see the module's text. Adaptive recipe: ``stochastic``.

    :param gamma: weight of the penalty on the rates.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`; one step by default, as
    in the source.

    :raises ValueError: for a network without gates, or a negative weight.

    Source: Ding et al., AAAI 2024.

    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,), neuron="gated")
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> StochasticGateTrainer(clf, eps=0.1, gamma=1e-2).fit(x, y, nb_epochs=2)
    """

    def __init__(self, classifier: Any, *, gamma: float = 5e-6, max_iter: int = 1, **kwargs: Any) -> None:
        super().__init__(classifier, max_iter=max_iter, **kwargs)
        self.gates = [m for m in self.model.modules() if isinstance(m, StochasticGate)]
        if not self.gates:
            fix = 'mlp(..., neuron="gated")'
            raise ValueError(explain("a network without stochastic gates", "a StochasticGate behind its neurons", fix))
        self.gamma = not_negative("gamma", gamma, "weight", "5e-6")

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the module's text; without a budget, the loss at the clean inputs."""
        loss = self.task_loss(self.logits(self.perturbed(x, y) if self.eps else x), y)
        return loss + self.gamma * sum(gate.penalty() for gate in self.gates) if self.gamma else loss

    def begin_epoch(self, epoch: int, nb_epochs: int) -> None:
        """Rates learn in the first half."""
        for gate in self.gates:
            gate.P.requires_grad_(2 * epoch < nb_epochs)

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Rates can learn again afterwards."""
        before = [gate.P.requires_grad for gate in self.gates]
        try:
            yield
        finally:
            for gate, learns in zip(self.gates, before, strict=True):
                gate.P.requires_grad_(learns)
