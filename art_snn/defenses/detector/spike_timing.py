r"""SpikeTimingDetector: does the network spike as it does on clean samples of the class that it names?

The score of a sample is the squared Mahalanobis distance of its timing features
(:mod:`art_snn.defenses.detector.features`) to the clean samples of the *predicted* class
(:mod:`art_snn.defenses.detector.gaussian`), divided by the number of features. Half of the samples fit the Gaussians,
the other half set the threshold: the :math:`\lceil (m+1)(1-\mathrm{fpr}) \rceil`-th smallest of its m scores, so that
a fresh clean sample is flagged with probability at most ``fpr``.

A detector that is not attacked proves nothing: :class:`~art_snn.attacks.evasion.DetectorAwarePGD` knows this one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from art.defences.detector.evasion.evasion_detector import EvasionDetector
from torch import Tensor

from art_snn.coding.draws import keyed_draws, sample_ids
from art_snn.defenses.detector.features import timing_features
from art_snn.defenses.detector.gaussian import ClassGaussians, fit_gaussians
from art_snn.defenses.detector.roc import DetectionCurve, detection_curve
from art_snn.errors import explain
from art_snn.estimators.snn_classifier import SNNClassifier
from art_snn.networks.recording import recorded

Array = np.ndarray[Any, np.dtype[Any]]


class SpikeTimingDetector(EvasionDetector):
    """Flags samples on which the network spikes unlike on clean samples of the class it predicts.

    :param classifier: a trained :class:`~art_snn.SNNClassifier`.
    :param fpr: share of clean samples that may be flagged, in (0, 1).
    :param seed: seed of the split between fitting and threshold.
    :raises TypeError: if ``classifier`` is no ``SNNClassifier``.
    :raises ValueError: if ``fpr`` is out of range.

    >>> from torch import nn
    >>> from art_snn.coding import Latency
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 4, 4), 2, hidden=(8,), encoder=Latency(T=4))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 2, clip_values=(0.0, 1.0))
    >>> x = np.random.default_rng(0).random((200, 1, 4, 4)).astype(np.float32)
    >>> detector = SpikeTimingDetector(clf, fpr=0.1)
    >>> detector.fit(x, clf.predict(x).argmax(1))
    >>> report, flagged = detector.detect(x[:5])
    >>> flagged.shape, sorted(report)
    ((5,), ['predicted', 'scores', 'threshold'])
    """

    defence_params = ["fpr", "seed"]  # noqa: RUF012 - ART's own idiom

    def __init__(self, classifier: SNNClassifier, fpr: float = 0.05, seed: int = 0) -> None:
        super().__init__()
        if not isinstance(classifier, SNNClassifier):
            fix = "SpikeTimingDetector(SNNClassifier(net, ...))"
            raise TypeError(explain(f"a {type(classifier).__name__}", "an SNNClassifier", fix))
        self.classifier = classifier
        self.fpr = fpr
        self.seed = seed
        self._gaussians: ClassGaussians | None = None
        self._threshold = math.inf
        self._check_params()

    def _check_params(self) -> None:
        if isinstance(self.fpr, bool) or not 0 < self.fpr < 1:
            raise ValueError(explain(f"fpr={self.fpr!r}", "a rate in (0, 1)", "fpr=0.05"))

    @property
    def threshold(self) -> float:
        """Scores above it are flagged.

        :raises RuntimeError: before :meth:`fit`.
        """
        self._fitted()
        return self._threshold

    def fit(self, x: Any, y: Any, batch_size: int = 128, nb_epochs: int = 1, **kwargs: Any) -> None:  # noqa: ARG002
        """Learn what clean samples look like, and set the threshold on samples that were held out.

        :param x: clean samples ``[N, *]``, best none that the network was trained on.
        :param y: their labels, indices or one-hot; samples that the network gets wrong fit no Gaussian.
        :param batch_size: samples per forward pass.
        :param nb_epochs: ART's parameter; there is nothing to iterate.
        :raises ValueError: if a class has too few right predictions, or there are too few samples for ``fpr``.
        """
        features, predicted = self._features(x, batch_size)
        labels = np.asarray(y)
        labels = labels.argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)
        order = np.random.default_rng(self.seed).permutation(len(features))
        first, held = np.array_split(order, 2)
        rank = math.ceil((len(held) + 1) * (1 - self.fpr))
        if rank > len(held):
            came = f"{len(features)} samples for fpr={self.fpr}"
            fix = f"fit on at least {2 * math.ceil(1 / self.fpr)} clean samples, or raise fpr"
            raise ValueError(explain(came, "a threshold inside the held-out scores", fix))
        right = first[predicted.cpu().numpy()[first] == labels[first]]
        rows = torch.as_tensor(right, device=features.device)
        gaussians = fit_gaussians(features[rows], predicted[rows], self.classifier.nb_classes)
        rest = torch.as_tensor(held, device=features.device)
        scores = gaussians.distance(features[rest], predicted[rest]).sort().values
        self._gaussians, self._threshold = gaussians, float(scores[rank - 1])

    def detect(self, x: Any, batch_size: int = 128, **kwargs: Any) -> tuple[dict[str, Any], Array]:  # noqa: ARG002
        """Score samples.

        :param x: samples ``[N, *]``.
        :param batch_size: samples per forward pass; the result does not depend on it beyond rounding.
        :return: ``{"scores", "predicted", "threshold"}``, and whether each sample is flagged, bool ``[N]``.
        :raises RuntimeError: before :meth:`fit`.
        """
        gaussians = self._fitted()
        features, predicted = self._features(x, batch_size)
        scores = gaussians.distance(features, predicted).cpu().numpy()
        report = {"scores": scores, "predicted": predicted.cpu().numpy(), "threshold": self._threshold}
        return report, scores > self._threshold

    def scores(self, x: Any, batch_size: int = 128) -> Array:
        """Scores alone, ``[N]``."""
        found: Array = self.detect(x, batch_size)[0]["scores"]
        return found

    def curve(self, x: Any, x_adv: Any, batch_size: int = 128) -> DetectionCurve:
        """ROC on clean and attacked samples; pass those attacked samples that are misclassified."""
        return detection_curve(self.scores(x, batch_size), self.scores(x_adv, batch_size))

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and squared distances to every class, each ``[N, K]``, with gradient: what an attack that knows the
        detector sees. The score is the distance to the predicted class.

        :param x: a batch before preprocessing.
        :raises RuntimeError: before :meth:`fit`.
        """
        gaussians = self._fitted()
        features, logits = self._watch(x)
        every = [gaussians.distance(features, torch.full_like(logits[:, 0], c).long()) for c in range(logits.shape[1])]
        return logits, torch.stack(every, 1)

    def _fitted(self) -> ClassGaussians:
        if self._gaussians is None:
            raise RuntimeError(explain("a detector that was not fitted", "a call of fit first", "detector.fit(x, y)"))
        return self._gaussians

    def _watch(self, x: Tensor) -> tuple[Tensor, Tensor]:
        net = self.classifier.model
        inputs, _ = self.classifier._apply_preprocessing(x, y=None, fit=False, no_grad=not x.requires_grad)
        seen = recorded(net, inputs)
        return timing_features(seen, with_code=net.encoder.is_binary and not net.is_stochastic), seen.logits

    def _features(self, x: Any, batch_size: int) -> tuple[Tensor, Tensor]:
        """Features and predicted classes; a stochastic network draws by the content of each sample."""
        net = self.classifier.model
        net.eval()
        found = []
        with torch.no_grad():
            samples = torch.as_tensor(np.ascontiguousarray(self.classifier._input(x)))
            for batch in samples.split(max(int(batch_size), 1)):
                with keyed_draws(net, sample_ids(batch)):
                    features, logits = self._watch(batch.to(self.classifier.device))
                found.append((features, logits.argmax(1)))
        return torch.cat([one for one, _ in found]), torch.cat([label for _, label in found])
