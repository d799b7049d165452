r"""Smoothed spiking classifiers: a vote over random trains, with a certificate.

.. math:: g(x) = \arg\max_c P\bigl(f(Z(x)) = c\bigr)

Z is the network's own random code (:class:`~art_snn.coding.Poisson`, or a code in
:class:`~art_snn.coding.Transformed`), f its body and decoder. A first sample of draws chooses a class; a second one, of
its own, counts *that class*, whatever else may have won there, and gives the Clopper-Pearson bound :math:`p_A`. At
:math:`p_A \le \frac12` the classifier abstains. Each certificate is wrong with probability at most alpha.

Source: the scheme of Cohen et al., ICML 2019; the gradient of :meth:`SmoothedSNN.loss_gradient` is that of Salman et
al., NeurIPS 2019 (SmoothAdv).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from art.config import ART_NUMPY_DTYPE
from art.estimators.certification.randomized_smoothing.randomized_smoothing import RandomizedSmoothingMixin
from scipy.stats import binomtest
from torch import nn
from torch.nn import functional as F

from art_snn.coding.draws import SeededDraws, mixed, sample_ids
from art_snn.coding.perturb import check_binary
from art_snn.coding.poisson import poisson
from art_snn.coding.transform import SpikeTransform, Transformed
from art_snn.errors import explain
from art_snn.estimators.snn_classifier import SNNClassifier
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.threats.certificates import Certificate, certificate_of
from art_snn.threats.smoothing_bounds import clopper_pearson

ABSTAIN = -1
"""Prediction where the draws leave a doubt."""

_PREDICT, _CHOOSE, _ESTIMATE = range(3)
"""Domains of the draws: each stage has its own, so that the second sample knows nothing of the first."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Certified:
    """What the draws certify, per sample.

    ``prediction`` is a class or -1 (abstained), ``radius`` in ``unit`` (0 where abstained), ``p_lower`` the confidence
    bound of the chosen class, ``counts`` the second sample's votes ``[N, K]``, ``draws`` their number.

    :param prediction: ``[N]``.
    :param radius: ``[N]``.
    :param p_lower: ``[N]``, 0 to 1.
    :param alpha: probability that one certificate is wrong.
    :param unit: what a radius counts.

    >>> votes = np.array([[0, 100], [60, 40]])
    >>> found = Certified(np.array([1, ABSTAIN]), np.array([2, 0]), np.array([0.9, 0.4]), votes, 100, 0.001, "moves")
    >>> int((found.prediction != ABSTAIN).sum())
    1
    """

    prediction: Array
    radius: Array
    p_lower: Array
    counts: Array
    draws: int
    alpha: float
    unit: str


class SmoothedSNN(RandomizedSmoothingMixin, SNNClassifier):
    """ART's randomized smoothing on spike trains, with the certificate that belongs to the network's random code.

    :param model: a :class:`~art_snn.SpikingNetwork` whose encoder is ``Poisson``, or ``Transformed`` with
        ``SpikeJitter``, ``SpikeDropout`` or ``FrameDrop``. Training draws the same randomness (:meth:`fit`).
    :param sample_size: draws of :meth:`predict`, and of the first sample of :meth:`certify`.
    :param alpha: probability of error of one certificate.
    :param unit: for jitter: count ``moves`` (spikes moved by at most ``jitter`` steps), or ``delay`` (steps in all).
    :param jitter: see ``unit``.
    :param seed: seed of the draws that decide; they depend on it and on the sample's content alone.
    :param loss: the loss that :meth:`fit` and the gradients use.
    :param input_shape: shape of one sample.
    :param nb_classes: number of classes.
    :param optimizer: needed for :meth:`fit` only.
    :param channels_first: whether channels come before height and width.
    :param clip_values: range of valid inputs.
    :param preprocessing_defences: must be empty: the certificate knows nothing of them.
    :param postprocessing_defences: ART defenses that are applied to the logits.
    :param preprocessing: ``(mean, std)``; a spike code needs raw intensities, (0, 1).
    :param device_type: ``gpu`` where there is one, or ``cpu``.
    :raises ValueError: if the network is deterministic or its randomness has no known bound, a parameter is out of
        range, or preprocessing defences stand in front.

    The remaining parameters are those of :class:`~art_snn.estimators.SNNClassifier`.

    >>> from art_snn.coding import Latency, Transformed
    >>> from art_snn.coding.randomized import SpikeJitter
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10, encoder=Transformed(Latency(T=8), SpikeJitter(2)))
    >>> clf = SmoothedSNN(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> prediction, radius = clf.certify(np.zeros((2, 1, 8, 8), dtype=np.float32), n=200)
    >>> prediction.shape, radius.shape
    ((2,), (2,))
    """

    estimator_params = [*SNNClassifier.estimator_params, "sample_size", "alpha", "unit", "jitter", "seed"]  # noqa: RUF012

    def __init__(
        self, model: nn.Module, loss: nn.Module, input_shape: tuple[int, ...], nb_classes: int,
        optimizer: torch.optim.Optimizer | None = None, channels_first: bool = True, clip_values: Any = None,
        preprocessing_defences: Any = None, postprocessing_defences: Any = None, preprocessing: Any = (0.0, 1.0),
        device_type: str = "gpu", sample_size: int = 100, alpha: float = 0.001, unit: str = "moves", jitter: int = 1,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.unit, self.jitter, self.seed = unit, jitter, seed
        arguments: dict[str, Any] = {
            "model": model, "loss": loss, "input_shape": input_shape, "nb_classes": nb_classes, "optimizer": optimizer,
            "channels_first": channels_first, "clip_values": clip_values,
            "preprocessing_defences": preprocessing_defences, "postprocessing_defences": postprocessing_defences,
            "preprocessing": preprocessing, "device_type": device_type, "sample_size": sample_size, "alpha": alpha,
        }  # fmt: skip
        super().__init__(**arguments)
        self._check_smoothing()

    @property
    def certificate(self) -> Certificate:
        """What can be certified under the network's randomization."""
        return certificate_of(self.model.encoder, self.unit, self.jitter)

    def _check_smoothing(self) -> None:
        for name in ("sample_size", "seed"):
            value, least = getattr(self, name), 1 if name == "sample_size" else 0
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                fix = f"{name}={100 if name == 'sample_size' else 0}"
                raise ValueError(explain(f"{name}={value!r}", f"a whole number of at least {least}", fix))
        if isinstance(self.alpha, bool) or not 0 < self.alpha < 1:
            raise ValueError(explain(f"alpha={self.alpha!r}", "a probability of error in (0, 1)", "alpha=0.001"))
        if self.preprocessing_defences:
            fix = "apply the preprocessor to the data, or make it part of the network's body"
            raise ValueError(explain("preprocessors before the random code", "the attacked input itself", fix))
        _ = self.certificate

    def set_params(self, **kwargs: Any) -> None:
        """Set parameters as ART does, checked as when the classifier is built.

        :raises ValueError: for an unknown parameter or a value out of range.
        """
        before = {name: getattr(self, name) for name in kwargs if hasattr(self, name)}
        super().set_params(**kwargs)
        try:
            self._check_smoothing()
        except ValueError:
            super().set_params(**before)
            raise

    def predict(self, x: Any, batch_size: int = 512, training_mode: bool = False, **kwargs: Any) -> Any:
        """Shares of the votes of ``sample_size`` draws, ``[N, nb_classes]``.

        :param x: samples ``[N, *input_shape]``.
        :param batch_size: draws per forward pass; the result does not depend on it.
        :param training_mode: run in training mode. The mode stays set, as in ART.
        :param kwargs: ``is_abstain=True``: a row of zeros where the two best classes cannot be told apart at level
            alpha, as ART's smoothed classifiers do.
        :raises ValueError: for unusable samples.
        """
        x = self._input(x)
        n = int(self.sample_size)
        shares = [self._counts(one, n, _PREDICT, batch_size, training_mode) for one in np.asarray(x)]
        if kwargs.get("is_abstain"):
            shares = [counts * self._is_clear(counts) for counts in shares]
        return (np.stack(shares) / n).astype(ART_NUMPY_DTYPE)

    def _is_clear(self, counts: Array) -> bool:
        second, first = np.sort(counts)[-2:]
        return bool(binomtest(int(first), int(first + second)).pvalue <= self.alpha)

    def certify(self, x: Any, n: int = 10_000, batch_size: int = 512) -> tuple[Array, Array]:
        """Predicted classes (-1: abstained) and certified radii, in the unit of :attr:`certificate`.

        :param x: samples ``[N, *input_shape]``.
        :param n: draws of the second sample.
        :param batch_size: draws per forward pass; the result does not depend on it.
        :raises ValueError: for unusable samples, or trains that are not binary.
        """
        found = self.certified(x, n, batch_size)
        return found.prediction, found.radius

    def certified(self, x: Any, n: int = 10_000, batch_size: int = 512) -> Certified:
        """:meth:`certify`, with the counts and bounds behind it."""
        if isinstance(n, bool) or int(n) != n or n < 1:
            raise ValueError(explain(f"n={n!r}", "a whole number of draws, at least 1", "n=10_000"))
        x = np.asarray(self._input(x))
        certificate, rows = self.certificate, []
        for one in x:
            chosen = int(np.argmax(self._counts(one, int(self.sample_size), _CHOOSE, batch_size)))
            counts = self._counts(one, int(n), _ESTIMATE, batch_size)
            p = self._lower_confidence_bound(int(counts[chosen]), int(n))
            sure = p > 0.5
            rows.append((chosen if sure else ABSTAIN, certificate.radius(p) if sure else 0.0, p, counts))
        prediction, radius, p_lower, votes = zip(*rows, strict=True)
        return Certified(
            np.array(prediction), np.array(radius, dtype=float), np.array(p_lower), np.stack(votes), int(n), self.alpha,
            certificate.unit,
        )  # fmt: skip

    def _lower_confidence_bound(self, n_class_samples: int, n_total_samples: int) -> float:
        return clopper_pearson(n_class_samples, n_total_samples, self.alpha)

    def _counts(self, x: Array, n: int, stage: int, batch_size: int, training_mode: bool = False) -> Array:
        """Votes of n draws; the draws belong to the seed, the sample and the stage."""
        self._draws = SeededDraws(mixed(self.seed, sample_ids(torch.as_tensor(x)[None])[0], stage))
        return self._prediction_counts(x, n, batch_size, training_mode)

    def _prediction_counts(
        self, x: Array, n: int | None = None, batch_size: int = 512, training_mode: bool = False
    ) -> Array:
        left = int(self.sample_size if n is None else n)
        counts = np.zeros(self.nb_classes, dtype=np.int64)
        while left > 0:
            size = min(max(int(batch_size), 1), left)
            logits = self._predict_classifier(self._noisy_samples(x, size), size, training_mode)
            counts += np.bincount(logits.argmax(1), minlength=self.nb_classes)
            left -= size
        return counts

    def _noisy_samples(self, x: Array, n: int | None = None) -> Array:
        """Random trains ``[n, T, *]`` of one sample, batch first; drawn in float64, so that their law is exact."""
        net: SpikingNetwork = self.model
        n, code = int(self.sample_size if n is None else n), net.encoder
        image = self._prepared(x[None])
        image = image if code.domain is None else image.clamp(*code.domain)
        with torch.no_grad():
            if isinstance(code, Transformed):
                train = _clean_train(code, image)
                s = _drawn(code.transform, train.expand(-1, n, *train.shape[2:]), self._draws)
            else:
                s = poisson(image.double().expand(n, *image.shape[1:]), net.T, self._draws).to(image.dtype)
        return s.transpose(0, 1).cpu().numpy()

    def _predict_classifier(
        self, x: Any, batch_size: int, training_mode: bool, **kwargs: Any  # noqa: ARG002
    ) -> Array:  # fmt: skip
        """Logits of trains ``[n, T, *]`` that have been drawn."""
        net: SpikingNetwork = self.model
        self._model.train(mode=training_mode)
        trains = torch.as_tensor(x, device=self.device).split(batch_size)
        with torch.no_grad():
            z = torch.cat([net.decoder(net.simulate(train.transpose(0, 1))) for train in trains])
        logits: Array = z.float().cpu().numpy()
        return logits

    def fit(self, x: Any, y: Any, batch_size: int = 128, nb_epochs: int = 10, **kwargs: Any) -> None:
        """Train on random trains, fresh at each step; arguments as in :meth:`SNNClassifier.fit`."""
        SNNClassifier.fit(self, x, y, batch_size=batch_size, nb_epochs=nb_epochs, **kwargs)

    def loss_gradient(self, x: Any, y: Any, training_mode: bool = False, **kwargs: Any) -> Any:  # noqa: ARG002
        r"""Gradient of :math:`-\log \frac1m \sum_j \mathrm{softmax}(f(Z_j(x)))_y`, over m = ``model.eot`` draws.

        This is the loss of the expected softmax, not the expected loss: the attack on the smoothed classifier, through
        every ART attack that takes loss gradients.

        :param x: array or tensor of samples.
        :param y: index or one-hot labels.
        :raises ValueError: for unusable samples or labels.
        """
        x = self._input(x)
        y = self._labels(y, len(x))
        self._model.train(mode=training_mode)
        source, inputs, y = self._differentiable(x, y)
        labels = torch.as_tensor(self._rows(y), device=self.device).argmax(1)
        net: SpikingNetwork = self.model
        draws, net.eot = net.eot, 1
        try:
            logs = torch.stack([F.log_softmax(net(inputs), 1) for _ in range(draws)])
        finally:
            net.eot = draws
        loss = F.nll_loss(logs.logsumexp(0) - math.log(draws), labels)
        return self._delivered(x, self._input_gradient(loss, source))


def _drawn(transform: SpikeTransform, s: torch.Tensor, draws: SeededDraws) -> torch.Tensor:
    """The transform under another stream; its own stays where it is."""
    own, transform.draws = transform.draws, draws
    try:
        return transform.transform(s)
    finally:
        transform.draws = own


def _clean_train(encoder: Transformed, x: torch.Tensor) -> torch.Tensor:
    """The train before it is changed, ``[T, 1, *]``; binary, as the bounds require."""
    train = encoder.encoder(x)
    try:
        check_binary(train)
    except ValueError as error:
        fix = "certify binary trains: bin events with binary=True, or use a binary code"
        raise ValueError(explain(f"a train that is not binary ({error})", "zeros and ones", fix)) from error
    return train
