r"""Membership inference by dropping inputs: members keep a low loss when parts of them are missing.

.. math:: \ell_j = -\log \mathrm{softmax}\bigl(f(x \odot b_j)\bigr)_y, \quad b_j \sim \mathrm{Bernoulli}(1-p),
          \quad j = 1..m, \qquad a(x) = -\mathrm{mean}_j\,\ell_j - \beta\,\mathrm{std}_j\,\ell_j

and a sample is called a member if :math:`a(x)` is above a threshold that known members and non-members set (the one of
best balanced accuracy among them). A spiking network answers in multiples of a spike, so its confidence on the sample
itself says little; the dropped versions bring back what is hidden between two spikes. With :math:`p = 0` and
:math:`m = 1` it is the plain attack on the loss.

Source: input-dropout membership inference on spiking networks, arXiv 2502.13191, in a form of our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from art.attacks.attack import MembershipInferenceAttack
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator

from art_snn.attacks.evasion.arguments import check_whole
from art_snn.errors import explain
from art_snn.estimators.checks import check_labels

Array = np.ndarray[Any, np.dtype[Any]]


def dropout_losses(
    classifier: Any, x: Any, y: Any, *, drop: float = 0.1, queries: int = 16, seed: int = 0, batch_size: int = 256
) -> Array:
    """Losses ``[queries, N]`` of each sample under random masks, float64.

    Sample and query decide the mask, not the batch: row ``i`` of query ``j`` is drawn from ``(seed, i, j)``.

    :param classifier: an ART classifier that predicts logits.
    :param x: samples ``[N, *]``; values are dropped to 0.
    :param y: class indices or one-hot rows.
    :param drop: probability that a value is dropped.
    :param queries: number of masks, 1 or more.
    :param seed: of the masks.
    :param batch_size: samples per forward pass; the result does not depend on it.
    :raises ValueError: for a probability out of range.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(10)
    >>> dropout_losses(tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), x, y, queries=4).shape
    (4, 10)
    """
    if not 0 <= drop < 1:
        raise ValueError(explain(f"drop={drop!r}", "a probability from 0 to below 1", "drop=0.1"))
    x = np.asarray(x, dtype=np.float32)
    labels = check_labels(y, len(x), classifier.nb_classes)
    labels = labels.argmax(1) if labels.ndim == 2 else labels
    losses = np.empty((queries, len(x)))
    for j in range(queries):
        kept = np.stack([np.random.default_rng([seed, i, j]).random(x.shape[1:]) >= drop for i in range(len(x))])
        losses[j] = _cross_entropy(classifier.predict(x * kept, batch_size=batch_size), labels)
    return losses


def _cross_entropy(z: Array, y: Array) -> Array:
    z = z.astype(np.float64)
    top = z.max(1)
    values: Array = top + np.log(np.exp(z - top[:, None]).sum(1)) - z[np.arange(len(z)), y]
    return values


class InputDropoutMIA(MembershipInferenceAttack):
    """Membership inference from losses under input dropout; see the module's text.

    :param estimator: a trained classifier that predicts logits, spiking or not.
    :param drop: probability that an input value is dropped.
    :param queries: masks per sample.
    :param spread: weight of the standard deviation over the masks.
    :param seed: seed of the masks.
    :param batch_size: samples per forward pass.
    :raises ValueError: for a parameter out of range.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> x, y = np.random.default_rng(0).random((8, 1, 8, 8), dtype=np.float32), np.arange(8)
    >>> attack = InputDropoutMIA(clf, queries=2)
    >>> attack.fit(x[:4], y[:4], x[4:], y[4:])
    >>> attack.infer(x, y).shape
    (8,)
    """

    attack_params = MembershipInferenceAttack.attack_params + [  # noqa: RUF005 - ART's own idiom
        "drop", "queries", "spread", "seed", "batch_size",
    ]  # fmt: skip
    _estimator_requirements = (BaseEstimator, ClassifierMixin)

    def __init__(
        self, estimator: Any, drop: float = 0.1, queries: int = 16, spread: float = 0.0, seed: int = 0,
        batch_size: int = 256,
    ) -> None:  # fmt: skip
        super().__init__(estimator=estimator)
        self.drop = drop
        self.queries = queries
        self.spread = spread
        self.seed = seed
        self.batch_size = batch_size
        self.threshold: float | None = None
        self._check_params()

    def _check_params(self) -> None:
        if not 0 <= self.drop < 1:
            raise ValueError(explain(f"drop={self.drop!r}", "a probability from 0 to below 1", "drop=0.1"))
        if not np.isfinite(self.spread):
            raise ValueError(explain(f"spread={self.spread!r}", "a finite weight", "spread=0.0"))
        for name, least in (("queries", 1), ("batch_size", 1), ("seed", 0)):
            check_whole(name, getattr(self, name), least)

    def score(self, x: Any, y: Any) -> Array:
        """:math:`a(x)` of each sample, ``[N]``: higher says member."""
        losses = dropout_losses(
            self.estimator, x, y, drop=self.drop, queries=self.queries, seed=self.seed, batch_size=self.batch_size
        )
        scores: Array = -losses.mean(0) - self.spread * losses.std(0)
        return scores

    def fit(self, x: Any, y: Any, test_x: Any, test_y: Any) -> None:
        """Set the threshold.

        :param x: known members, and ``y`` their labels.
        :param test_x: known non-members, and ``test_y`` their labels.
        """
        members, others = self.score(x, y), self.score(test_x, test_y)
        values = np.unique(np.concatenate([members, others]))
        cuts = np.concatenate([[-np.inf], (values[:-1] + values[1:]) / 2, [np.inf]])
        found = [(members > cut).mean() + (others <= cut).mean() for cut in cuts]
        self.threshold = float(cuts[int(np.argmax(found))])

    def infer(self, x: Any, y: Any = None, **kwargs: Any) -> Array:
        """1 for samples taken for members, 0 for others; scores with ``probabilities=True`` as in ART's attacks.

        :param x: samples to judge.
        :param y: their true labels; needed.
        :param kwargs: ``probabilities``: return ``[N, 2]``, the share of trust in non-member and member, from the
            logistic function of the distance to the threshold.
        :raises ValueError: without labels.
        :raises RuntimeError: before :meth:`fit`.
        """
        if y is None:
            raise ValueError(explain("infer without labels", "the true labels", "infer(x, y)"))
        if self.threshold is None:
            fix = "fit(x_members, y_members, x_others, y_others)"
            raise RuntimeError(explain("an attack without a threshold", "a call of fit first", fix))
        above = self.score(x, y) - self.threshold
        if kwargs.get("probabilities"):
            trust = 1 / (1 + np.exp(-np.clip(above, -500, 500)))
            return np.stack([1 - trust, trust], 1)
        decided: Array = (above > 0).astype(int)
        return decided
