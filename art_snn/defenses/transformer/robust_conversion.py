"""Robust conversion as an ART transformer: an adversarially trained ReLU classifier in, a spiking one out.

``fit`` finds thresholds and fine-tunes, a call returns the classifier. The parts are
:func:`~art_snn.conversion.robust_convert` and :func:`~art_snn.conversion.fine_tune`.

Source: Özdenizci and Legenstein, "Adversarially robust spiking neural networks through conversion", TMLR 2024.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.defences.transformer import Transformer
from art.estimators.classification import PyTorchClassifier

from art_snn.conversion import fine_tune, mart_loss, robust_convert, trades_loss
from art_snn.errors import explain, suggest
from art_snn.estimators.checks import check_labels
from art_snn.estimators.snn_classifier import SNNClassifier

LOSSES = {"trades": trades_loss, "mart": mart_loss}


class RobustConversion(Transformer):
    """Convert an adversarially trained ReLU classifier, and fine-tune the spiking one adversarially.

    Its adaptive attack is the white-box one with several surrogates beside transfers from the source:
    ``SNNAutoAttack(snn, transfer=[classifier])``.

    :param classifier: an ART PyTorch classifier of a ReLU network, trained adversarially, with clip values and without
        preprocessing.
    :param T: steps of the result.
    :param eps: L-infinity budget of fine-tuning, in input units.
    :param loss: ``trades`` or ``mart``.
    :param beta: weight of the divergence.
    :param scale: factor of the measured thresholds.
    :param lr: learning rate of SGD with momentum .9 and weight decay 1e-3.
    :param seed: seed of order and random starts.
    :raises TypeError: if ``classifier`` is no PyTorch classifier.
    :raises ValueError: for an unknown loss, a negative budget, missing clip values, or preprocessing.

    >>> network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> source = PyTorchClassifier(network, torch.nn.CrossEntropyLoss(), (4,), 2, clip_values=(0.0, 1.0))
    >>> defense = RobustConversion(source, T=4, eps=0.1)
    >>> x, y = np.random.default_rng(0).random((32, 4), dtype=np.float32), np.arange(32) % 2
    >>> defense.fit(x, y, nb_epochs=1)
    >>> defense(x).predict(x).shape
    (32, 2)
    """

    params = ["T", "eps", "loss", "beta", "scale", "lr", "seed"]  # noqa: RUF012 - ART's own idiom

    def __init__(
        self, classifier: PyTorchClassifier, T: int = 8, eps: float = 2 / 255, loss: str = "trades", beta: float = 2.0,
        scale: float = 0.3, lr: float = 1e-3, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(classifier)
        self.T, self.eps, self.loss, self.beta, self.scale, self.lr, self.seed = T, eps, loss, beta, scale, lr, seed
        self.transformed: SNNClassifier | None = None
        self._check_params()

    def _check_params(self) -> None:
        source = self.classifier
        if not isinstance(source, PyTorchClassifier):
            raise TypeError(explain(f"a {type(source).__name__}", "an ART PyTorchClassifier", "PyTorchClassifier(net)"))
        if self.loss not in LOSSES:
            raise ValueError(suggest(str(self.loss), LOSSES, "loss"))
        if not self.eps >= 0:
            raise ValueError(explain(f"eps = {self.eps}", "a budget of at least 0", "eps=2 / 255"))
        if source.clip_values is None:
            raise ValueError(explain("a classifier without clip values", "their range", "clip_values=(0.0, 1.0)"))
        mean, std = getattr(source.preprocessing, "mean", 0.0), getattr(source.preprocessing, "std", 1.0)
        if not (np.all(np.asarray(mean) == 0) and np.all(np.asarray(std) == 1)):
            fix = "put the standardization into the network, as its first operation"
            raise ValueError(explain(f"preprocessing with mean={mean}, std={std}", "a network on raw inputs", fix))

    def fit(self, x: Any, y: Any = None, batch_size: int = 128, nb_epochs: int = 10, **kwargs: Any) -> None:  # noqa: ARG002
        """Find thresholds on the first eleven batches, and fine-tune on all of them.

        :param x: training samples; keep validation data apart to choose ``nb_epochs``.
        :param y: index or one-hot labels.
        :raises ValueError: without labels, or for a network that cannot be converted.
        """
        if y is None:
            raise ValueError(explain("no labels", "index or one-hot labels", "fit(x_train, y_train)"))
        source = self.classifier
        samples = torch.as_tensor(np.asarray(x, dtype=np.float32))
        rows = np.asarray(check_labels(y, len(samples), source.nb_classes))
        labels = torch.as_tensor(rows.argmax(1) if rows.ndim == 2 and rows.shape[1] > 1 else rows.reshape(-1)).long()
        net = robust_convert(source.model, self.T, list(samples.split(batch_size)[:11]), scale=self.scale)
        optimizer = torch.optim.SGD(net.parameters(), lr=self.lr, momentum=0.9, weight_decay=1e-3)
        low, high = (float(np.asarray(value).flat[0]) for value in source.clip_values)
        generator = torch.Generator().manual_seed(self.seed)
        for epoch in range(nb_epochs):
            order = torch.randperm(len(samples), generator=generator).split(batch_size)
            fine_tune(
                net, [(samples[b].to(source.device), labels[b].to(source.device)) for b in order], optimizer,
                eps=self.eps, loss=LOSSES[self.loss], beta=self.beta, clip=(low, high), seed=self.seed + epoch,
            )  # fmt: skip
        self.transformed = SNNClassifier(
            net, source.loss, source.input_shape, source.nb_classes, optimizer, clip_values=source.clip_values,
            device_type=source.device_type,
        )  # fmt: skip
        self._is_fitted = True

    def __call__(self, x: Any = None, transformed_classifier: Any = None) -> SNNClassifier:  # noqa: ARG002 - ART's words
        """The spiking classifier.

        :param x: unused; conversion has seen its data in :meth:`fit`.
        :param transformed_classifier: unused; the architecture is that of the source.
        :raises ValueError: before :meth:`fit`.
        """
        if self.transformed is None:
            raise ValueError(explain("a conversion that was not fitted", "fit first", "defense.fit(x_train, y_train)"))
        return self.transformed
