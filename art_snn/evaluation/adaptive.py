"""Does a defense survive an attacker who knows it?

:func:`judge` runs two evaluations of a defended model and its undefended twin on the same samples: a *customary* one,
as most papers report it (ART's PGD-7, one start, last iterate, the defense's own gradients), and an *adaptive* one:
attacks of your choice (:class:`~art_snn.attacks.SNNAutoAttack` by default) with hidden gradients opened, each honest
backward pass of a filter tried, gradients averaged over the defense's draws, and examples transferred from the
undefended twin. A sample is robust if it withstands all of them. The verdict compares paired outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from art_snn.attacks.evasion import SNNAutoAttack
from art_snn.attacks.evasion.candidates import code_parts
from art_snn.coding.base import HIDING
from art_snn.errors import explain
from art_snn.evaluation.cells import Subject
from art_snn.evaluation.paired import Difference, difference
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.evaluation.statistics import Proportion, proportion
from art_snn.networks.spiking_network import SpikingNetwork

Array = np.ndarray[Any, np.dtype[Any]]
AttackBuilder = Callable[[PyTorchClassifier], Any]
"""Makes an ART attack, with ``generate(x, y)``, for a classifier."""

_PARTLY = 0.5


@dataclass(frozen=True)
class Outcomes:
    """What one model got right: without attack, and in the worst case of each evaluation, booleans ``[N]``.

    :param clean: right without attack.
    :param customary: right under the customary attack as well.
    :param adaptive: right under the adaptive attack as well.

    >>> right = np.array([True, True])
    >>> Outcomes(right, right, np.array([True, False])).adaptive.mean().item()
    0.5
    """

    clean: Array
    customary: Array
    adaptive: Array


KINDS = tuple(Outcomes.__dataclass_fields__)


@dataclass(frozen=True)
class Judgement:
    """Outcomes of a defended model and its twin, booleans ``[S, N]`` over training seeds and samples.

    The gains are those of the defended model over its twin, in accuracy under the same kind of evaluation.

    :param clean: the defended model without attack.
    :param customary: it under the attack that the defense's authors use.
    :param adaptive: it under the attack that knows the defense.
    :param twin_clean: the undefended twin without attack.
    :param twin_customary: the twin under the customary attack.
    :param twin_adaptive: the twin under the adaptive attack.

    >>> right, broken = np.ones((1, 200), dtype=bool), np.zeros((1, 200), dtype=bool)
    >>> Judgement(right, right, broken, right, broken, broken).verdict
    'masks gradients'
    """

    clean: Array
    customary: Array
    adaptive: Array
    twin_clean: Array
    twin_customary: Array
    twin_adaptive: Array

    @property
    def gain(self) -> Difference:
        """What the defense is worth against the adaptive attacker."""
        return difference(self.adaptive, self.twin_adaptive)

    @property
    def apparent_gain(self) -> Difference:
        """What it seems to be worth in the customary evaluation."""
        return difference(self.customary, self.twin_customary)

    @property
    def verdict(self) -> str:
        """``survives``, ``partly`` (less than half of the apparent gain), ``masks gradients``, or ``no gain``."""
        real, apparent = self.gain, self.apparent_gain
        if real.shown and real.value > 0:
            return "partly" if apparent.shown and real.value < _PARTLY * apparent.value else "survives"
        return "masks gradients" if apparent.shown and apparent.value > 0 else "no gain"

    def accuracy(self, kind: str) -> Proportion:
        """Accuracy over all seeds: ``clean``, ``customary``, ``adaptive``, or ``twin_`` and one of these."""
        return proportion(getattr(self, kind).ravel())

    def __str__(self) -> str:
        rows = [
            f"{title:<20}{self.accuracy(kind)!s:>22}{self.accuracy('twin_' + kind)!s:>22}"
            for title, kind in (("clean", "clean"), ("customary attack", "customary"), ("adaptive attack", "adaptive"))
        ]
        head = f"{'accuracy, %':<20}{'defended':>22}{'undefended':>22}"
        return "\n".join([head, *rows, f"apparent gain {self.apparent_gain}, gain {self.gain}: {self.verdict}"])


def judge(
    pairs: tuple[PyTorchClassifier, PyTorchClassifier] | Sequence[tuple[PyTorchClassifier, PyTorchClassifier]],
    x: Array,
    y: Array,
    eps: float,
    *,
    customary: AttackBuilder | None = None,
    adaptive: Sequence[AttackBuilder] | None = None,
    transfer: Callable[[PyTorchClassifier], Any] | None = None,
    seed: int = 0,
) -> Judgement:
    """Judge a defense by its customary and by its adaptive evaluation.

    :param pairs: ``(defended, undefended)``, or one such pair per training seed. One pair speaks of these two networks.
    :param x: samples ``[N, *]``, of the test set.
    :param y: index labels ``[N]``.
    :param eps: L-infinity budget of the default attacks, in input units.
    :param customary: the authors' style of attack; ART's PGD-7 by default.
    :param adaptive: attacks on the defended model and on its twin; ``SNNAutoAttack(preset="fast")`` by default.
    :param transfer: attack on the twin whose examples are tried on the defended model; the first of ``adaptive`` by
        default.
    :param seed: seed of everything random.
    :raises ValueError: if there is no pair.

    See ``examples/prototype_defense.py``.

    >>> from art.attacks.evasion import FastGradientMethod
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> clf, (x, y) = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), tiny.samples(8)
    >>> judge((clf, clf), x, y, eps=0.1, adaptive=[lambda clf: FastGradientMethod(clf, eps=0.1)]).verdict
    'no gain'
    """
    listed = [pairs] if isinstance(pairs, tuple) else list(pairs)
    if not listed:
        raise ValueError(explain("no models", "(defended, undefended)", "judge((defended, undefended), x, y, eps)"))
    plan = {"customary": customary, "adaptive": adaptive}
    found = []
    for number, (defended, twin) in enumerate(listed):
        here = derived_seed(seed, "judge", number)
        other = endure(twin, x, y, eps, seed=here, **plan)  # type: ignore[arg-type]
        crafted = craft(twin, x, y, transfer or _strong(eps, adaptive, here)[0], here)
        found.append((endure(defended, x, y, eps, seed=here, crafted=crafted, **plan), other))  # type: ignore[arg-type]
    columns = [np.stack([getattr(pair[side], kind) for pair in found]) for side in (0, 1) for kind in KINDS]
    return Judgement(*columns)


def endure(
    classifier: PyTorchClassifier, x: Array, y: Array, eps: float, *, customary: AttackBuilder | None = None,
    adaptive: Sequence[AttackBuilder] | None = None, crafted: Array | None = None, seed: int = 0,
) -> Outcomes:  # fmt: skip
    """What one model withstands: :func:`judge` for a single classifier.

    :param crafted: examples of another model, ``[N, *]``, that are tried as well.
    :param classifier: the model.
    :param x: samples ``[N, *]``, of the test set.
    :param y: index labels ``[N]``.
    :param eps: L-infinity budget of the default attacks, in input units.
    :param customary: the authors' style of attack; ART's PGD-7 by default.
    :param adaptive: attacks that know the defense; ``SNNAutoAttack(preset="fast")`` by default.
    :param seed: seed of everything random.

    The remaining parameters are those of :func:`judge`.

    >>> from art.attacks.evasion import FastGradientMethod
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> clf, (x, y) = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), tiny.samples(8)
    >>> seen = endure(clf, x, y, eps=0.1, adaptive=[lambda clf: FastGradientMethod(clf, eps=0.1)])
    >>> bool((seen.adaptive <= seen.clean).all())
    True
    """
    subject = Subject("model", classifier)
    usual = customary or (lambda clf: _pgd(clf, eps))
    return Outcomes(
        _right(subject, x, y, seed),
        _withstands(subject, [usual], x, y, seed),
        _adaptive(subject, _strong(eps, adaptive, seed), x, y, seed, crafted),
    )


def craft(classifier: PyTorchClassifier, x: Array, y: Array, build: AttackBuilder, seed: int = 0) -> Array:
    """Adversarial examples of a classifier by one attack, everything random from ``seed``.

    :param classifier: the model that is attacked.
    :param x: samples ``[N, *]``.
    :param y: index labels ``[N]``.
    :param build: makes the attack for a classifier.
    :param seed: seed of everything random.

    >>> from art.attacks.evasion import FastGradientMethod
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(4)
    >>> clf = tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,)))
    >>> bool(np.abs(craft(clf, x, y, lambda clf: FastGradientMethod(clf, eps=0.1)) - x).max() <= 0.1 + 1e-6)
    True
    """
    with seeded_globals(seed):
        return np.asarray(build(classifier).generate(x, y))


def _strong(eps: float, adaptive: Sequence[AttackBuilder] | None, seed: int) -> list[AttackBuilder]:
    return list(adaptive) if adaptive is not None else [lambda clf: _suite(clf, eps, seed)]


def _pgd(classifier: PyTorchClassifier, eps: float) -> Any:
    return ProjectedGradientDescent(classifier, eps=eps, eps_step=eps / 4, max_iter=7, batch_size=64, verbose=False)


def _suite(classifier: PyTorchClassifier, eps: float, seed: int) -> Any:
    return SNNAutoAttack(classifier, eps=eps, preset="fast", seed=seed, verbose=False)


def _right(subject: Subject, x: Array, y: Array, seed: int) -> Array:
    return subject.predict(x, derived_seed(seed, "judge")).argmax(1) == y


def _withstands(subject: Subject, attacks: Sequence[AttackBuilder], x: Array, y: Array, seed: int) -> Array:
    """Samples that are right without attack and under each of these, by the defense's own gradients."""
    standing = _right(subject, x, y, seed)
    for build in attacks:
        rows = np.flatnonzero(standing)
        if len(rows):
            subject.rewind(seed)
            x_adv = craft(subject.classifier, x[rows], y[rows], build, seed)
            standing[rows] &= _right(subject, x_adv, y[rows], derived_seed(seed, "fresh"))
    return standing


def _adaptive(
    subject: Subject, attacks: Sequence[AttackBuilder], x: Array, y: Array, seed: int, crafted: Array | None = None
) -> Array:
    standing = _right(subject, x, y, seed)
    if crafted is not None:
        standing &= _right(subject, crafted, y, derived_seed(seed, "transfer"))
    for names in _honest(subject.classifier):
        with _opened(subject.classifier, names):
            rows = np.flatnonzero(standing)
            if len(rows):
                standing[rows] &= _withstands(subject, attacks, x[rows], y[rows], seed)
    return standing


def _parts(classifier: PyTorchClassifier) -> list[Any]:
    """Everything in front of the body that chooses how gradients cross it."""
    edge = [op.transform for op in classifier.preprocessing_operations if hasattr(op, "transform")]
    model = classifier.model
    return edge + (code_parts(model.encoder) if isinstance(model, SpikingNetwork) else [])


def _honest(classifier: PyTorchClassifier) -> Iterator[list[str]]:
    """Backward passes to try: the default of each part first, then each alternative of a transform on its own."""
    parts = _parts(classifier)
    first = [part.backward if part.backward not in HIDING else part.backwards[0] for part in parts]
    yield first
    for place, part in enumerate(parts):
        if hasattr(part, "transform"):
            for name in part.backwards:
                if name not in (*HIDING, first[place]):
                    yield [*first[:place], name, *first[place + 1 :]]


@contextmanager
def _opened(classifier: PyTorchClassifier, names: Sequence[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for part, name in zip(_parts(classifier), names, strict=True):
            stack.callback(setattr, part, "backward", part.backward)
            part.backward = name
        yield
