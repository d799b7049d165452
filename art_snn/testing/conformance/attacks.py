"""Is this an ART attack whose result can be quoted?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators.estimator import BaseEstimator
from art.exceptions import EstimatorError

from art_snn.errors import explain
from art_snn.testing.conformance.contracts import Contracts, global_streams, raised

ATTACK = Contracts("attack")
"""What a conforming evasion attack keeps."""

Array = np.ndarray[Any, np.dtype[Any]]
_DUST = 1e-6


@dataclass
class AttackCase:
    """An attack under examination: ``build(estimator)`` makes it, for an estimator, samples and index labels."""

    build: Callable[[Any], Any]
    estimator: Any
    samples: Array
    labels: Array
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> Array:
        """A copy of the samples: an attack may spoil it."""
        return self.samples.copy()

    @property
    def y(self) -> Array:
        """A copy of the labels."""
        return self.labels.copy()

    def attack(self, **params: Any) -> Any:
        """A fresh attack, on a network whose random streams stand at their beginning."""
        if callable(getattr(self.estimator.model, "reseed", None)):
            self.estimator.model.reseed()
        made = self.build(self.estimator)
        if params:
            made.set_params(**params)
        return made

    @property
    def result(self) -> tuple[Any, Array]:
        """An attack that has run, and what it returned; it runs once."""
        if "result" not in self._kept:
            made = self.attack()
            self._kept["result"] = made, made.generate(self.x, self.y)
        kept: tuple[Any, Array] = self._kept["result"]
        return kept

    def wrong(self, x: Array) -> Array:
        """Where the classifier errs."""
        return np.asarray(self.estimator.predict(x).argmax(1) != self.y)


def check_attack(
    build: Callable[[Any], Any], estimator: Any, x: Array, y: Array, *, unless: Collection[str] = ()
) -> tuple[str, ...]:
    """Check every contract of an evasion attack.

    :param build: makes the attack for an estimator, with a budget that leaves some samples standing, say
        ``lambda estimator: SNNAutoPGD(estimator, eps=0.05, max_iter=5)``.
    :param estimator: a trained, deterministic ART classifier.
    :param x: a handful of samples ``[N, *]``, most of them classified correctly.
    :param y: their labels, indices.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``build`` makes no ART evasion attack.
    :raises ValueError: for an unknown name in ``unless``, or if no sample is right to begin with.

    >>> from art_snn import SNNAutoPGD
    >>> from art_snn.testing import tiny
    >>> x, y = tiny.samples(6)
    >>> build = lambda clf: SNNAutoPGD(clf, eps=0.05, max_iter=3)
    >>> "budget" in check_attack(build, tiny.classifier(tiny.direct()), x, y)
    True
    """
    made = build(estimator)
    if not isinstance(made, EvasionAttack):
        fix = "derive it from art.attacks.EvasionAttack, or from art_snn.attacks.evasion.NativeAttack"
        raise TypeError(explain(f"a {type(made).__name__}", "an ART EvasionAttack", fix))
    samples, labels = np.asarray(x, dtype=np.float32), np.asarray(y).reshape(-1).astype(np.int64)
    case = AttackCase(build, estimator, samples, labels)
    if case.wrong(samples).all():
        fix = "train the classifier, or choose samples that it gets right"
        raise ValueError(explain("a classifier that errs on every sample", "one that is right somewhere", fix))
    return ATTACK.check(case, type(made).__name__, unless)


def _claims(case: AttackCase, name: str) -> bool:
    return name in case.build(case.estimator).attack_params


@ATTACK.contract(
    "parameters", "every constructor argument in attack_params, and readable under its name",
    "attack_params = [..., *Parent.attack_params], and self.name = name in __init__",
)  # fmt: skip
def _parameters(case: AttackCase) -> str | None:
    attack = case.attack()
    names = [n for n in inspect.signature(type(attack).__init__).parameters if n not in ("self", "kwargs", "args")]
    aliases = ("estimator", "classifier", "detector", "summary_writer")
    missing = [n for n in names if n not in aliases and n not in attack.attack_params]
    unreadable = [n for n in attack.attack_params if not hasattr(attack, n)]
    if missing or unreadable:
        return f"arguments {missing} that are not in attack_params, and parameters {unreadable} that cannot be read"
    return None


@ATTACK.contract(
    "set_params", "set_params that takes every parameter, checks its value, and refuses an unknown one with ValueError",
    "leave ART's set_params as it is, and implement _check_params",
)  # fmt: skip
def _set_params(case: AttackCase) -> str | None:
    attack = case.attack()
    for name in attack.attack_params:
        attack.set_params(**{name: getattr(attack, name)})
    return raised(lambda: attack.set_params(no_such_parameter=1), ValueError) or _unchecked(case)


def _unchecked(case: AttackCase) -> str | None:
    for name in ("max_iter", "batch_size"):
        if _claims(case, name):
            wrong = raised(lambda name=name: case.attack(**{name: -1}), ValueError)  # type: ignore[misc]
            if wrong:
                return f"{wrong} for {name}=-1"
    return None


@ATTACK.contract("estimator", "an EstimatorError for an estimator that it cannot attack", "set _estimator_requirements")
def _estimator(case: AttackCase) -> str | None:
    return raised(lambda: case.build(_NoClassifier()), EstimatorError)


class _NoClassifier(BaseEstimator):
    """An estimator without classes and without gradients."""

    estimator_params: list[str] = []  # noqa: RUF012 - ART's own idiom
    model = None
    input_shape = (1,)
    nb_classes = 2
    clip_values = None

    def __init__(self) -> None:
        """Nothing that ART's base class would check."""

    def fit(self, x: Any, y: Any, **kwargs: Any) -> None:
        """Nothing to fit."""

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """Nothing to predict."""


@ATTACK.contract("pure", "samples and labels that are not modified", "copy before writing: x_adv = x.copy()")
def _pure(case: AttackCase) -> str | None:
    x, y = case.x, case.y
    case.attack().generate(x, y)
    return None if np.array_equal(x, case.x) and np.array_equal(y, case.y) else "samples or labels that changed"


@ATTACK.contract("shape", "a finite float32 array of the shape of x", "return x_adv.astype(np.float32)")
def _shape(case: AttackCase) -> str | None:
    x_adv = case.result[1]
    if not isinstance(x_adv, np.ndarray) or x_adv.shape != case.x.shape or x_adv.dtype != np.float32:
        return f"a {type(x_adv).__name__} of shape {np.shape(x_adv)}, {getattr(x_adv, 'dtype', None)}"
    return None if np.isfinite(x_adv).all() else "values that are not finite"


@ATTACK.contract("range", "values inside the classifier's clip values", "np.clip(x_adv, *estimator.clip_values)")
def _range(case: AttackCase) -> str | None:
    clip = case.estimator.clip_values
    if clip is None:
        return None
    x_adv = case.result[1].astype(np.float64)
    out = max(float((np.min(clip[0]) - x_adv).max()), float((x_adv - np.max(clip[1])).max()))
    return f"values {out:.2g} outside the clip values" if out > _DUST else None


@ATTACK.contract(
    "budget", "points inside the budget in float64, which some of them use",
    "project at the end of every step and after the random start: threat.project(x, x_adv)",
)  # fmt: skip
def _budget(case: AttackCase) -> str | None:
    attack, x_adv = case.result
    if np.array_equal(x_adv, case.x):
        return "samples that did not move at all"
    threat = getattr(attack, "threat", None)
    if threat is not None:
        outside = int((~np.asarray(threat.contains(case.x, x_adv))).sum())
        return f"{outside} points outside {threat!r}" if outside else None
    eps = getattr(attack, "eps", None)
    if eps is None:
        return None
    moved = (x_adv.astype(np.float64) - case.x).reshape(len(case.x), -1)
    order = getattr(attack, "norm", np.inf)
    most = float(np.linalg.norm(moved, ord=float(order), axis=1).max())
    return f"a distance of {most:.6g} under eps = {eps}" if most > float(eps) * (1 + _DUST) + _DUST else None


@ATTACK.contract(
    "success", "successes that a fresh prediction confirms, in last_run where there is one",
    "judge every success by a fresh forward pass of the unchanged model",
)  # fmt: skip
def _success(case: AttackCase) -> str | None:
    attack, x_adv = case.result
    run = getattr(attack, "last_run", None)
    claimed = getattr(run, "success", None)
    if claimed is None:
        return None
    before, after = case.wrong(case.x), case.wrong(x_adv)
    found = np.asarray(claimed, dtype=bool)
    return None if np.array_equal(found, after & ~before) else f"{int((found != (after & ~before)).sum())} wrong claims"


@ATTACK.contract(
    "best iterate", "a point of no lower loss than the clean sample, and errors that stay errors",
    "keep the best point seen, and return that one, not the last",
)  # fmt: skip
def _best(case: AttackCase) -> str | None:
    x_adv = case.result[1]
    if bool((case.wrong(case.x) & ~case.wrong(x_adv)).any()):
        return "samples that were wrong and are right after the attack"
    before, after = _margin(case, case.x), _margin(case, x_adv)
    worse = int((after < before - 1e-4 * (1 + np.abs(before))).sum())
    return f"{worse} samples that the attack left further from the border" if worse > len(case.x) // 4 else None


def _margin(case: AttackCase, x: Array) -> Array:
    """Best other logit minus that of the label."""
    z = np.asarray(case.estimator.predict(x), dtype=np.float64)
    own = z[np.arange(len(z)), case.y].copy()
    z[np.arange(len(z)), case.y] = -np.inf
    return np.asarray(z.max(1) - own)


@ATTACK.contract(
    "seeds", "the same points from the same seed, and global generators left alone",
    "draw from a generator of your own: np.random.default_rng(self.seed)",
)  # fmt: skip
def _seeds(case: AttackCase) -> str | None:
    before = global_streams()
    again = case.attack().generate(case.x, case.y)
    if global_streams() != before:
        return "a global generator that moved"
    return None if np.array_equal(again, case.result[1]) else "other points in a second run"


@ATTACK.contract(
    "batch size", "points that do not depend on batch_size, where it is a parameter",
    "make the random numbers of a sample depend on seed and sample alone (art_snn.attacks.evasion.draws)",
)  # fmt: skip
def _batch_size(case: AttackCase) -> str | None:
    if not _claims(case, "batch_size"):
        return None
    few, many = (case.attack(batch_size=size).generate(case.x, case.y) for size in (2, 4 * len(case.x)))
    moved = int((np.abs(few - many) > _DUST).reshape(len(few), -1).any(1).sum())
    return f"{moved} of {len(few)} samples with other points" if moved > len(few) // 10 else None


@ATTACK.contract(
    "labels", "the same points for index and one-hot labels, and predictions in their place where y is None",
    "reduce labels at the edge: art_snn.attacks.evasion.arguments.index_labels",
)  # fmt: skip
def _labels(case: AttackCase) -> str | None:
    rows = np.eye(int(case.estimator.nb_classes), dtype=np.float32)[case.y]
    if not np.array_equal(case.attack().generate(case.x, rows), case.result[1]):
        return "other points for one-hot labels"
    own = case.attack().generate(case.x)
    guessed = case.attack().generate(case.x, case.estimator.predict(case.x).argmax(1))
    return None if np.array_equal(own, guessed) else "other points for y=None than for the predicted labels"


@ATTACK.contract(
    "targeted", "targeted runs that need labels and do not lose ground, where targeted is a parameter",
    "turn the loss around for targeted=True, and refuse y=None with ValueError",
)  # fmt: skip
def _targeted(case: AttackCase) -> str | None:
    if not _claims(case, "targeted"):
        return None
    if case.attack().targeted is not False:
        return "targeted=True by default"
    try:
        attack = case.attack(targeted=True)
    except ValueError:
        return None
    targets = (case.estimator.predict(case.x).argmax(1) + 1) % int(case.estimator.nb_classes)
    x_adv = attack.generate(case.x, targets)
    aimed = AttackCase(case.build, case.estimator, case.x, targets)
    gained = float((_margin(aimed, case.x) - _margin(aimed, x_adv)).mean())
    if gained < -_DUST:
        return f"targets that moved away by {-gained:.3g} in the logits"
    return raised(lambda: case.attack(targeted=True).generate(case.x), ValueError)


@ATTACK.contract(
    "mask",
    "values that a mask forbids, as they were",
    "put forbidden values back after every step: where(mask, x_adv, x)",
)
def _mask(case: AttackCase) -> str | None:
    mask = np.zeros((1, *case.x.shape[1:]), dtype=np.float32)
    mask[..., case.x.shape[-1] // 2 :] = 1
    x_adv = case.attack().generate(case.x, case.y, mask=mask)
    forbidden = (x_adv != case.x) & (np.broadcast_to(mask, case.x.shape) == 0)
    return f"{int(forbidden.sum())} forbidden values that changed" if forbidden.any() else None


@ATTACK.contract(
    "left as found", "a classifier that is afterwards as it was: modes, weights, requires_grad, policies",
    "put everything back in finally (art_snn.attacks.evasion.victim.Victim.attached)",
)  # fmt: skip
def _left(case: AttackCase) -> str | None:
    model = case.estimator.model
    before = _state(model)
    case.attack().generate(case.x, case.y)
    after = _state(model)
    changed = [name for name in before if before[name] != after[name]]
    return f"{', '.join(changed)} not as before" if changed else None


def _state(model: torch.nn.Module) -> dict[str, Any]:
    return {
        "modes": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "weights": {name: value.tolist() for name, value in model.state_dict().items()},
        "policies": [id(policy) for policy in getattr(model, "policies", [])],
        "draws": (getattr(model, "eot", None), getattr(model, "votes", None)),
        "backward": getattr(getattr(model, "encoder", None), "backward", None),
    }
