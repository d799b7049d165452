"""The attacks of the standard comparison: noise as the floor, then ART's own, weakest first.

Every attack runs on the same samples, from a seed of its own, under the same L-infinity budget in input units. ART's
attacks keep drawing from global generators, so they run inside :func:`~art_snn.evaluation.seeding.seeded_globals`. The
difference-of-logits loss of ART's APGD has no floor and is 0/0 on tied logits; here the second APGD maximizes the
margin instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from art.attacks.evasion import (
    AutoProjectedGradientDescent,
    FastGradientMethod,
    ProjectedGradientDescent,
    SquareAttack,
)
from art.estimators.classification import PyTorchClassifier

from art_snn.errors import suggest
from art_snn.evaluation.losses import MarginLoss

Array = np.ndarray[Any, np.dtype[Any]]
ATTACK_DRAWS = 10
"""Draws averaged per query while a stochastic network is attacked (expectation over transformation)."""


@dataclass(frozen=True)
class Attack:
    """A named attack: ``build(classifier, eps, parameters)`` gives an object with ART's ``generate(x, y)``."""

    name: str
    title: str
    knowledge: str
    build: Callable[[PyTorchClassifier, float, Mapping[str, Any]], Any]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def generate(self, classifier: PyTorchClassifier, x: Array, y: Array, eps: float) -> Array:
        """Adversarial examples of ``x``; a budget of zero returns ``x``."""
        if eps == 0:
            return x.copy()
        with averaged(classifier.model, ATTACK_DRAWS):
            return np.asarray(self.build(classifier, eps, self.parameters).generate(x, y))


@contextmanager
def averaged(model: Any, draws: int) -> Iterator[None]:
    """Average a stochastic network over ``draws`` inside the context; others are left alone."""
    if not getattr(model, "is_stochastic", False):
        yield
        return
    before = model.eot, model.votes
    model.eot = model.votes = draws
    try:
        yield
    finally:
        model.eot, model.votes = before


class SignNoise:
    """Random corners of the ball: the floor that any attack must beat. One draw per sample, no search."""

    def __init__(self, eps: float, clip_values: Any) -> None:
        self.eps = eps
        self.clip_values = clip_values

    def generate(self, x: Array, y: Array | None = None) -> Array:  # noqa: ARG002 - ART's signature
        """``x`` plus or minus ``eps`` in every value, clipped."""
        signs = np.random.choice(np.array([-1.0, 1.0], dtype=np.float32), size=x.shape)  # noqa: NPY002 - seeded by the caller
        moved = x + np.float32(self.eps) * signs
        return moved if self.clip_values is None else np.clip(moved, *self.clip_values).astype(np.float32)


def with_loss(classifier: PyTorchClassifier, loss: Any) -> PyTorchClassifier:
    """The same model under another loss, rebuilt as ART's own attacks rebuild it."""
    return PyTorchClassifier(
        model=classifier.model, loss=loss, input_shape=classifier.input_shape, nb_classes=classifier.nb_classes,
        channels_first=classifier.channels_first, clip_values=classifier.clip_values,
        preprocessing_defences=classifier.preprocessing_defences,
        postprocessing_defences=classifier.postprocessing_defences, preprocessing=classifier.preprocessing,
        device_type=str(classifier.device),
    )  # fmt: skip


def _noise(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    return SignNoise(eps, classifier.clip_values)


def _fgsm(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:
    return FastGradientMethod(classifier, norm=np.inf, eps=eps, **parameters)


def _pgd(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:
    options = dict(parameters)
    step = eps * options.pop("step_share")
    return ProjectedGradientDescent(classifier, norm=np.inf, eps=eps, eps_step=step, verbose=False, **options)


def _apgd_ce(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:
    return AutoProjectedGradientDescent(
        classifier, norm=np.inf, eps=eps, eps_step=2 * eps, loss_type="cross_entropy", verbose=False, **parameters
    )


def _apgd_margin(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:
    target = with_loss(classifier, MarginLoss())
    return AutoProjectedGradientDescent(
        target, norm=np.inf, eps=eps, eps_step=2 * eps, loss_type=None, verbose=False, **parameters
    )


def _square(classifier: PyTorchClassifier, eps: float, parameters: Mapping[str, Any]) -> Any:
    return SquareAttack(classifier, norm=np.inf, eps=eps, verbose=False, **parameters)


_BATCH = {"batch_size": 64}
ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack("noise", "sign noise", "none", _noise),
        Attack("fgsm", "FGSM", "white-box", _fgsm, _BATCH),
        Attack(
            "pgd", "PGD-20", "white-box", _pgd, {"max_iter": 20, "step_share": 0.25, "num_random_init": 1, **_BATCH}
        ),
        Attack("apgd-ce", "APGD-CE", "white-box", _apgd_ce, {"max_iter": 40, "nb_random_init": 1, **_BATCH}),
        Attack(
            "apgd-margin", "APGD-margin", "white-box", _apgd_margin, {"max_iter": 40, "nb_random_init": 1, **_BATCH}
        ),
        Attack("square", "Square", "black-box", _square, {"max_iter": 200, "nb_restarts": 1, "batch_size": 256}),
    )
}


def attack_named(name: str) -> Attack:
    """Look an attack up.

    :raises ValueError: for an unknown name; the message suggests the nearest one.
    """
    if name not in ATTACKS:
        raise ValueError(suggest(name, ATTACKS, "attack"))
    return ATTACKS[name]
