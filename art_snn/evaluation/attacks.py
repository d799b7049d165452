"""The attacks of the standard comparison: noise as the floor, ART's own where they are right, native ones elsewhere.

Every attack runs on the same samples, from a seed of its own, under the same budget in input units, in the L-infinity
norm unless its parameters name another (:func:`attack_named`). FGSM and
PGD are ART's; they draw from global generators, so they run inside
:func:`~art_snn.evaluation.seeding.seeded_globals`. APGD and Square are native: ART's APGD judges its last iterate only
and its difference-of-logits loss is 0/0 on tied logits; ART's Square asks twice per query and moves one window for the
whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from art_snn.attacks.evasion import LatencyPGD, NativeAttack, SNNAutoAttack, SNNAutoPGD, SNNSquare
from art_snn.attacks.evasion.ladder import PRESETS
from art_snn.attacks.evasion.latency_pgd import knows_timing
from art_snn.errors import explain, suggest
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.gradients import Surrogate
from art_snn.networks import SpikingNetwork
from art_snn.threats import L1, L2, Linf, PixelBudget

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
    r"""Random corners of the ball: the floor that any attack must beat. One draw per sample, no search.

    In an Lp norm every value moves by :math:`\epsilon / D^{1/p}`, inwards where there is no room outwards, so that the
    budget is used whole.
    """

    def __init__(self, eps: float, clip_values: Any, norm: float = np.inf) -> None:
        self.eps = eps
        self.clip_values = clip_values
        self.norm = norm

    def generate(self, x: Array, y: Array | None = None) -> Array:  # noqa: ARG002 - ART's signature
        """``x`` plus or minus the same amount in every value, clipped."""
        signs = np.random.choice(np.array([-1.0, 1.0], dtype=np.float32), size=x.shape)  # noqa: NPY002 - seeded by the caller
        size = np.float32(inscribed(self.eps, self.norm, x[0].size))
        if self.clip_values is None:
            return x + size * signs
        low, high = self.clip_values
        if self.norm != np.inf:
            signs = np.where((x + size * signs < low) | (x + size * signs > high), -signs, signs)
        return np.clip(x + size * signs, low, high).astype(np.float32)


def inscribed(eps: float, norm: float, size: int) -> float:
    """Radius of the L-infinity ball whose corners lie on the Lp ball of radius ``eps`` in ``size`` dimensions.

    >>> inscribed(1.0, 2.0, 64), inscribed(1.0, np.inf, 64)
    (0.125, 1.0)
    """
    return float(eps / size ** (0.0 if norm == np.inf else 1 / norm))


def _noise(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    return SignNoise(eps, classifier.clip_values, **parameters)


def _fgsm(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    return FastGradientMethod(classifier, eps=eps, **{**_LINF, **parameters})


def _pgd(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:  # noqa: ARG001
    options = {**_LINF, **parameters}
    step = eps * options.pop("step_share")
    return ProjectedGradientDescent(classifier, eps=eps, eps_step=step, verbose=False, **options)


def _apgd(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    return SNNAutoPGD(classifier, eps=eps, seed=seed, **{**_LINF, **parameters})


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
    options = {**_LINF, **parameters}
    policy = Surrogate(options.pop("surrogate"), options.pop("sharpness"))
    options["policy"] = policy if _follows(classifier.model, policy) else None
    timed = options["norm"] in LatencyPGD.norms and knows_timing(classifier.model)
    second = LatencyPGD if timed else SNNAutoPGD
    first = SNNAutoPGD(classifier, eps=eps, seed=seed, **options)
    return InTurn([first, second(classifier, eps=eps, seed=derived_seed(seed, "second"), **options)])


def _follows(model: Any, policy: Surrogate) -> bool:
    """Whether the model spikes through surrogates that the policy can replace."""
    try:
        policy.check(model)
    except (ValueError, AttributeError):
        return False
    return isinstance(model, SpikingNetwork)


def _square(classifier: PyTorchClassifier, eps: float, seed: int, parameters: Mapping[str, Any]) -> Any:
    return SNNSquare(classifier, eps=eps, seed=seed, **{**_LINF, **parameters})


_LINF: dict[str, Any] = {"norm": np.inf}
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
        options = {**_LINF, **parameters}
        self.attack = SNNAutoAttack(classifier, eps=eps, seed=seed, verbose=False, **options)
        self.corners = SignNoise(eps, classifier.clip_values, options["norm"])

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


NORMS: dict[float, type[PixelBudget]] = {np.inf: Linf, 2.0: L2, 1.0: L1}
"""Norms that every attack of the comparison has a form for, and their threat models."""


def attack_named(name: str, norm: float = np.inf) -> Attack:
    """Look an attack up.

    :param norm: of its budget, a key of :data:`NORMS`.
    :raises ValueError: for an unknown name (the message suggests the nearest one), or another norm.
    """
    known = {**ATTACKS, **SUITES}
    if name not in known:
        raise ValueError(suggest(name, known, "attack"))
    if norm not in NORMS:
        raise ValueError(explain(f"norm={norm!r}", "inf, 2 or 1", "norm=np.inf"))
    found = known[name]
    return found if norm == np.inf else replace(found, parameters={**found.parameters, "norm": norm})
