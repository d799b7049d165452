r"""Adversarial training against moved spikes.

.. math:: \min E\, \max_{s' \in \mathrm{Retiming}(s)} L(f(s'), y)

with the maximum by :class:`~art_snn.attacks.evasion.spike_retiming.SpikeRetiming`: the same spikes at other times,
under budgets of shift, total shift and number of moved spikes. Expect a part of the robustness and less clean accuracy:
the source reports 22 to 48 % clean.

Adaptive recipe ``retiming``: ``SpikeRetiming`` of at least ten times the steps of training, several restarts, policies
and losses, on the same budgets and on larger ones.

Source: "Time Is All It Takes: Spike-Retiming Attacks on Event-Driven Spiking Neural Networks", ICLR 2026.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.attacks.evasion.spike_retiming import SpikeRetiming
from art_snn.coding import EventFrames
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.errors import explain
from art_snn.estimators.snn_classifier import SNNClassifier


class RetimingAdversarialTrainer(ValidatedTrainer):
    """Adversarial training on event grids or binary spike codes; a share of the batch may stay clean.

    A classifier of event frames is attacked at its input. One with an encoder is attacked at its spikes: the encoder
    runs first, and what is trained is the body behind it. Samples whose spikes have no room to move stay clean.

    :param jitter: most time steps that a spike may move; ``None``: any number.
    :param delay: most time steps that all spikes of a sample may move together; ``None``: any number.
    :param moves: most spikes of a sample that may move; ``None``: any number.
    :param max_iter: steps of the attack while training.
    :param clean_share: weight of the clean loss, in [0, 1]; 1 is plain training.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises TypeError: if the classifier is no ``SNNClassifier``.
    :raises ValueError: for no budget, a share outside [0, 1], or a code that is not binary.

    Source: see the module's text. Adaptive recipe: ``retiming``.

    >>> from art_snn.networks import mlp
    >>> x = (np.random.default_rng(0).random((48, 5, 2, 4, 4)) < 0.3).astype("float32")
    >>> y = np.arange(48) % 3
    >>> net = mlp((2, 4, 4), 3, hidden=(16,), encoder=EventFrames(5))
    >>> adam = torch.optim.Adam(net.parameters(), lr=5e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, adam)
    >>> trainer = RetimingAdversarialTrainer(clf, jitter=1, max_iter=2)
    >>> trainer.fit(x, y, nb_epochs=1)
    >>> "validation_robust" in trainer.history[0]
    True
    """

    accepts = (SNNClassifier,)
    perturbs = True

    def __init__(
        self,
        classifier: Any,
        *,
        jitter: int | None = 1,
        delay: int | None = None,
        moves: int | None = None,
        max_iter: int = 5,
        clean_share: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(classifier, **kwargs)
        if not 0 <= clean_share <= 1:
            raise ValueError(explain(f"clean_share={clean_share}", "a weight in [0, 1]", "clean_share=0.5"))
        self.at_input = isinstance(self.model.encoder, EventFrames)
        if not self.at_input and not self.model.encoder.is_binary:
            came = f"the analog code {self.model.encoder!r}, which has no spikes to move"
            raise ValueError(explain(came, "event frames or a binary code", "use Latency or Poisson"))
        self.clean_share = float(clean_share)
        self.edge: SNNClassifier = classifier if self.at_input else classifier.at_spikes()
        self.attack = SpikeRetiming(self.edge, jitter, delay, moves, max_iter=max_iter, nb_random_init=1)

    def spikes(self, x: Tensor) -> Tensor:
        """What the attack moves, ``[N, T, *]``."""
        if self.at_input:
            return x
        inputs, _ = self._classifier._apply_preprocessing(x, y=None, fit=False, no_grad=False)
        return self.model.encode(inputs).transpose(0, 1).detach()

    def logits(self, x: Tensor) -> Tensor:
        """Outputs for inputs, or for spike trains where these are attacked behind an encoder."""
        if not self.at_input and tuple(x.shape[1:]) == tuple(self.edge.input_shape):
            z: Tensor = self.edge.model(x)
            return z
        return super().logits(x)

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Retimed spikes."""
        trains = self.spikes(x)
        room = (((trains != 0).any(1)) & ((trains == 0).any(1))).flatten(1).any(1)
        if not bool(room.any()):
            return trains
        self.attack.set_params(seed=int(torch.randint(2**31 - 1, (1,), generator=generator)), batch_size=len(trains))
        classes = y if y.dim() == 1 else y.argmax(1)
        moved = self.attack.generate(trains[room].cpu().numpy(), np.asarray(classes[room].cpu()))
        out = trains.clone()
        out[room] = torch.as_tensor(moved).to(out)
        return out

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        if self.clean_share == 1:
            return self.task_loss(self.logits(x), y)
        loss = self.task_loss(self.logits(self.perturbed(x, y)), y)
        if not self.clean_share:
            return loss
        return self.clean_share * self.task_loss(self.logits(x), y) + (1 - self.clean_share) * loss
