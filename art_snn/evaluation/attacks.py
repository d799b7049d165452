"""The attacks of the standard comparison: noise as the floor, ART's own where they are right, native ones elsewhere.

Every attack runs on the same samples, from a seed of its own, under the same L-infinity budget in input units. FGSM and
PGD are ART's; they draw from global generators, so they run inside
:func:`~art_snn.evaluation.seeding.seeded_globals`. APGD and Square are native: ART's APGD judges its last iterate only
and its difference-of-logits loss is 0/0 on tied logits; ART's Square asks twice per query and moves one window for the
whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from art_snn.attacks.evasion import LatencyPGD, NativeAttack, SNNAutoAttack, SNNAutoPGD, SNNSquare
from art_snn.attacks.evasion.ladder import PRESETS
from art_snn.attacks.evasion.latency_pgd import knows_timing
from art_snn.errors import suggest
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.gradients import Surrogate
from art_snn.networks import SpikingNetwork

Array = np.ndarray[Any, np.dtype[Any]]
Builder = Callable[[PyTorchClassifier, float, int, Mapping[str, Any]], Any]
ATTACK_DRAWS = 10
"""Draws averaged per query while a stochastic network is attacked (expectation over transformation)."""


@dataclass(frozen=True)
class Attack:
    """A named attack: ``build(classifier, eps, seed, parameters)`` gives an object with ART's ``generate(x, y)``.

    A native attack averages over a stochastic network's draws by itself; for the others the network does.
    """

    name: str
    title: str
    knowledge: str
    build: Builder
    parameters: Mapping[str, Any] = field(default_factory=dict)
    native: bool = False

    def generate(self, classifier: PyTorchClassifier, x: Array, y: Array, eps: float, seed: int = 0) -> Array:
        """Adversarial examples of ``x``, everything random from ``seed``; a budget of zero returns ``x``."""
        if eps == 0:
            return x.copy()
        draws = nullcontext() if self.native else averaged(classifier.model, ATTACK_DRAWS)
        with seeded_globals(seed), draws:
            return np.asarray(self.build(classifier, eps, seed, self.parameters).generate(x, y))


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


def _noise(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    return SignNoise(eps, classifier.clip_values)


def _fgsm(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    return FastGradientMethod(classifier, norm=np.inf, eps=eps, **parameters)


def _pgd(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    options = dict(parameters)
    step = eps * options.pop("step_share")
    return ProjectedGradientDescent(classifier, norm=np.inf, eps=eps, eps_step=step, verbose=False, **options)


def _apgd(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    return SNNAutoPGD(classifier, norm=np.inf, eps=eps, seed=seed, **parameters)


class InTurn:
    """Native attacks one after the other; each takes on what the ones before it left standing."""

    def __init__(self, attacks: Sequence[NativeAttack]) -> None:
        self.attacks = attacks

    def generate(self, x: Array, y: Array) -> Array:
        """The first success of each sample, or what the last attack returned."""
        x_adv = x.copy()
        open_rows = np.arange(len(x))
        for attack in self.attacks:
            if len(open_rows):
                x_adv[open_rows] = attack.generate(x[open_rows], y[open_rows])
                open_rows = open_rows[~attack.record.success]
        return x_adv


def _adaptive(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    options = dict(parameters)
    policy = Surrogate(options.pop("surrogate"), options.pop("sharpness"))
    options["policy"] = policy if _follows(classifier.model, policy) else None
    second = LatencyPGD if knows_timing(classifier.model) else SNNAutoPGD
    first = SNNAutoPGD(classifier, norm=np.inf, eps=eps, seed=seed, **options)
    return InTurn([first, second(classifier, norm=np.inf, eps=eps, seed=derived_seed(seed, "second"), **options)])


def _follows(model: Any, policy: Surrogate) -> bool:
    """Whether the model spikes through surrogates that the policy can replace."""
    try:
        policy.check(model)
    except (ValueError, AttributeError):
        return False
    return isinstance(model, SpikingNetwork)


def _square(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    return SNNSquare(classifier, norm=np.inf, eps=eps, seed=seed, **parameters)


_BATCH = {"batch_size": 64}
_SHARP = {"max_iter": 30, "surrogate": "atan", "sharpness": 8.0, **_BATCH}
"""A network masks its training surrogate; a sharper one sees more. A second run takes on the survivors: for a latency
code it moves spikes, for every other model it is a restart.
"""
ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack("noise", "sign noise", "none", _noise),
        Attack("fgsm", "FGSM", "white-box", _fgsm, _BATCH),
        Attack(
            "pgd", "PGD-20", "white-box", _pgd, {"max_iter": 20, "step_share": 0.25, "num_random_init": 1, **_BATCH}
        ),
        Attack("apgd-ce", "APGD-CE", "white-box", _apgd, {"max_iter": 30, "loss_type": "ce", **_BATCH}, native=True),
        Attack(
            "apgd-margin",
            "APGD-margin",
            "white-box",
            _apgd,
            {"max_iter": 30, "loss_type": "margin", **_BATCH},
            native=True,
        ),
        Attack("adaptive", "APGD-CE, sharp surrogate; spike-time PGD", "white-box", _adaptive, _SHARP, native=True),
        Attack("square", "Square", "black-box", _square, {"max_iter": 120, "batch_size": 256}, native=True),
    )
}
"""Attacks of the standard comparison by name."""


class Suite:
    """:class:`~art_snn.attacks.evasion.SNNAutoAttack`; samples it does not break come back at a corner of the ball.

    (Samples that stand where they stood would look like an attack that does not use its budget.)
    """

    def __init__(self, classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> None:
        self.attack = SNNAutoAttack(classifier, norm=np.inf, eps=eps, seed=seed, verbose=False, **parameters)
        self.corners = SignNoise(eps, classifier.clip_values)

    def generate(self, x: Array, y: Array) -> Array:
        """Adversarial examples, and corners."""
        x_adv = np.asarray(self.attack.generate(x, y))
        standing = (x_adv == x).reshape(len(x), -1).all(1)
        x_adv[standing] = self.corners.generate(x)[standing]
        return x_adv


def _suite(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    return Suite(classifier, eps, seed, parameters)


SUITES: dict[str, Attack] = {
    f"auto-{preset}": Attack(
        f"auto-{preset}", f"SNNAutoAttack, {preset}", "white-box", _suite, {"preset": preset}, native=True
    )
    for preset in PRESETS
}
"""Presets of SNNAutoAttack, run on request: they cost more than all the others together."""

UNBOUNDED = Attack(
    "unbounded", "PGD-40 with 2 starts, whole range", "white-box", _pgd,
    {"max_iter": 40, "step_share": 0.1, "num_random_init": 2, **_BATCH},
)  # fmt: skip
"""What flag E5 runs with a budget of the whole range: it has to break every model."""


def attack_named(name: str) -> Attack:
    """Look an attack up.

    :raises ValueError: for an unknown name; the message suggests the nearest one.
    """
    known = {**ATTACKS, **SUITES}
    if name not in known:
        raise ValueError(suggest(name, known, "attack"))
    return known[name]
