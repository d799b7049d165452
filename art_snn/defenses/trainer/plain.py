"""Training without a defense: the row that every other one is compared with."""

from __future__ import annotations

from art_snn.defenses.trainer.base import ValidatedTrainer


class PlainTrainer(ValidatedTrainer):
    """Descent on the classifier's own loss; every trainer here turns into it, weight for weight, where its idea is off.

    The parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> trainer = PlainTrainer(clf)
    >>> trainer.fit(x, y, nb_epochs=2)
    >>> sorted(trainer.history[0])
    ['epoch', 'loss', 'validation_clean']
    """
