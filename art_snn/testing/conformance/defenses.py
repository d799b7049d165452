"""Is this a defense whose robustness can be judged?"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators.classification import PyTorchClassifier

from art_snn.errors import explain
from art_snn.evaluation.flags.rebuild import rebuilt
from art_snn.testing.conformance.contracts import Contracts, global_streams
from art_snn.testing.conformance.estimators import rewound, sample_inputs

DEFENSE = Contracts("defense")
"""What a conforming defense keeps."""

Array = np.ndarray[Any, np.dtype[Any]]
_SAMPLES = 8
_REACHED = 0.5


@dataclass
class DefenseCase:
    """A defense under examination.

    ``build(seed)`` makes the defended classifier and ``without(seed)`` the same without the defense; ``adaptive`` makes
    the attack that knows about it.
    """

    build: Callable[[int], Any]
    without: Callable[[int], Any]
    adaptive: Callable[[Any], Any]
    x: Array
    y: Array

    def fresh(self, seed: int = 0) -> Any:
        """A defended classifier whose random streams stand at their beginning."""
        return rewound(self.build(seed))


def check_defense(
    build: Callable[[int], Any], without: Callable[[int], Any], adaptive: Callable[[Any], Any], x: Array | None = None,
    y: Array | None = None, *, unless: Collection[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Check every contract of a defense, trained or not.

    :param build: makes the defended ART classifier from a seed.
    :param without: makes the classifier without the defense, for the same input and classes, from a seed.
    :param adaptive: makes the attack that knows about the defense for a classifier, with a small budget.
    :param x: samples ``[N, *]``; random ones within the clip values by default.
    :param y: their labels, indices; random by default.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``build`` makes no PyTorch classifier.
    :raises ValueError: for an unknown name in ``unless``.

    See ``tests/testing/conformance/test_defenses.py`` for every defense of this package.

    >>> from art_snn.attacks import SNNAutoPGD
    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> make = lambda seed: tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,), seed=seed))
    >>> check_defense(make, make, lambda clf: SNNAutoPGD(clf, eps=0.05, max_iter=2))
    ('clean forward', 'gradient', 'randomness', 'seeds', 'removable', 'rebuilt', 'adaptive attack')
    """
    made = build(0)
    if not isinstance(made, PyTorchClassifier):
        fix = "wrap the defended network: SNNClassifier(net, ...)"
        raise TypeError(explain(f"a {type(made).__name__}", "an ART PyTorchClassifier", fix))
    inputs = sample_inputs(made, _SAMPLES) if x is None else np.asarray(x, dtype=np.float32)
    labels = np.random.default_rng(1).integers(0, made.nb_classes, len(inputs)) if y is None else np.asarray(y)
    return DEFENSE.check(DefenseCase(build, without, adaptive, inputs, labels), type(made.model).__name__, unless)


@DEFENSE.contract(
    "clean forward", "finite logits that differ from sample to sample, the same ones at the second call",
    "reset states, and do not let a filter erase the input",
)  # fmt: skip
def _clean_forward(case: DefenseCase) -> str | None:
    clf = case.fresh()
    z = clf.predict(case.x)
    if z.shape != (len(case.x), clf.nb_classes) or not np.isfinite(z).all():
        return f"logits of shape {z.shape}, {int((~np.isfinite(z)).sum())} not finite"
    if np.ptp(z, axis=0).max() == 0:
        return "the same logits for every sample"
    return (
        None if np.allclose(rewound(clf).predict(case.x), z, rtol=1e-4, atol=1e-5) else "other logits at a second call"
    )


@DEFENSE.contract(
    "gradient", "a gradient that is finite and reaches the input, or a part that names its backward as hiding it",
    "give the defense a backward pass (spike_transform(backward='identity')), or obfuscates = True",
)  # fmt: skip
def _gradient(case: DefenseCase) -> str | None:
    clf = case.fresh()
    if any(bool(getattr(part, "obfuscates", False)) for part in _parts(clf)):
        return None
    grad = clf.loss_gradient(case.x, case.y)
    if not np.isfinite(grad).all():
        return "a gradient that is not finite"
    reached = (grad != 0).reshape(len(grad), -1).any(1)
    return f"{int((~reached).sum())} of {len(grad)} samples without gradient" if reached.mean() <= _REACHED else None


def _parts(clf: Any) -> list[Any]:
    """What could hide a gradient: modules of the network, and preprocessors."""
    return [*clf.model.modules(), *(clf.preprocessing_operations or [])]


@DEFENSE.contract(
    "randomness", "randomness that is declared (is_stochastic, reseed), and none otherwise",
    "draw from SeededDraws, set is_stochastic = True and give the module a reseed method",
)  # fmt: skip
def _randomness(case: DefenseCase) -> str | None:
    clf = case.fresh()
    first, second = clf.predict(case.x), clf.predict(case.x)
    declared = any(bool(getattr(part, "is_stochastic", False)) for part in _parts(clf))
    return (
        "calls that differ although nothing says that it is random"
        if not declared and not np.array_equal(first, second)
        else None
    )


@DEFENSE.contract(
    "seeds", "the same weights and logits from the same seed, and global generators left alone",
    "hand the seed to every part: weights, draws, training",
)  # fmt: skip
def _seeds(case: DefenseCase) -> str | None:
    one, two = case.fresh(3), case.fresh(3)
    weights = [m.model.state_dict() for m in (one, two)]
    if any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0]):
        return "other weights from the same seed"
    before = global_streams()
    z = one.predict(case.x)
    one.loss_gradient(case.x, case.y)
    if global_streams() != before:
        return "a global generator that moved"
    return None if np.array_equal(z, two.predict(case.x)) else "other logits from the same seed"


@DEFENSE.contract(
    "removable", "a classifier without the defense for the same input and classes, which hides and draws nothing",
    "keep the undefended twin buildable; it is what the defense is compared with",
)  # fmt: skip
def _removable(case: DefenseCase) -> str | None:
    defended, bare = case.build(0), case.without(0)
    for name in ("input_shape", "nb_classes", "clip_values"):
        if not np.array_equal(getattr(bare, name), getattr(defended, name)):
            return f"{name} = {getattr(bare, name)} for {getattr(defended, name)}"
    if any(bool(getattr(part, "is_stochastic", False) or getattr(part, "obfuscates", False)) for part in _parts(bare)):
        return "a bare classifier that draws random numbers or hides its gradient"
    return None if bare.predict(case.x).shape == defended.predict(case.x).shape else "logits of another shape"


@DEFENSE.contract(
    "rebuilt", "a defense that attacks cannot lose: inside the network, or an ART preprocessor",
    "put it behind the code: SpikingNetwork(Transformed(code, transform), body)",
)  # fmt: skip
def _rebuilt(case: DefenseCase) -> str | None:
    clf = case.fresh()
    plain = rebuilt(clf)
    z = clf.predict(case.x)
    return None if np.allclose(rewound(plain).predict(case.x), z, rtol=1e-4, atol=1e-5) else "other logits when rebuilt"


@DEFENSE.contract(
    "adaptive attack", "an attack that knows about it, runs on it and stays inside its budget",
    "ship one: SNNAutoAttack(clf, eps=...) with opened backward passes and enough draws, or an attack of its own",
)  # fmt: skip
def _adaptive(case: DefenseCase) -> str | None:
    attack = case.adaptive(case.fresh())
    if not isinstance(attack, EvasionAttack):
        return f"a {type(attack).__name__}"
    x_adv = attack.generate(case.x, case.y)
    if x_adv.shape != case.x.shape or not np.isfinite(x_adv).all():
        return f"points of shape {np.shape(x_adv)}"
    threat = getattr(attack, "threat", None)
    if threat is not None and not bool(np.asarray(threat.contains(case.x, x_adv)).all()):
        return f"points outside {threat!r}"
    return None
