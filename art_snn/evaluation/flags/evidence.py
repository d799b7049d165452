"""What the checks share: one model, a few fixed samples, and everything measured on them, each thing once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor

from art_snn.attacks.evasion import losses
from art_snn.evaluation.attacks import ATTACK_DRAWS, Attack, averaged
from art_snn.evaluation.deployed import deployed_logits, rewind
from art_snn.evaluation.flags.plan import DEFAULT, Plan
from art_snn.evaluation.flags.pool import pool_of, steered
from art_snn.evaluation.flags.rebuild import relu_twin
from art_snn.evaluation.flags.trials import Trial, ladder, unbounded
from art_snn.evaluation.flags.watch import watched
from art_snn.evaluation.seeding import derived_seed, seeded_globals
from art_snn.gradients import GradientPolicy
from art_snn.networks.replay import replayed
from art_snn.threats import Linf, ThreatModel

Array = np.ndarray[Any, np.dtype[Any]]
Builder = Callable[[PyTorchClassifier], Any]
FAILURES = (ValueError, RuntimeError, TypeError, NotImplementedError, AttributeError, LookupError)


class Evidence:
    """One model on a fixed choice of samples.

    :param classifier: any ART PyTorch classifier.
    :param x: samples ``[N, *]`` in input units.
    :param y: index labels ``[N]``.
    :param eps: the L-infinity budget in question.
    :param seed: seed of everything random.
    :param plan: sizes.
    :param attacks: attacks under test, which make an ART attack for a classifier, by name.
    :param trials: outcomes that exist already, with the one at full range under ``unbounded``; without them the attacks
        of the plan run on the subset.
    :param clean: outcomes without attack that go with ``trials``.
    :param all_labels: labels of all samples, where ``y`` holds only some.
    :param sources: other models of the same task, whose adversarial examples are tried on this one, by name.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> evidence = Evidence(tiny.classifier(mlp((1, 8, 8), 10, hidden=(8,))), *tiny.samples(4), eps=0.1)
    >>> evidence.z.shape, evidence.right.shape
    ((4, 10), (4,))
    """

    def __init__(
        self, classifier: PyTorchClassifier, x: Array, y: Array, eps: float, seed: int = 0, plan: Plan = DEFAULT,
        attacks: Mapping[str, Builder] | None = None, trials: Sequence[Trial] | None = None,
        clean: Array | None = None, all_labels: Array | None = None,
        sources: Mapping[str, PyTorchClassifier] | None = None,
    ) -> None:  # fmt: skip
        rows = np.random.default_rng(derived_seed(seed, "rows")).permutation(len(x))[: plan.probes]
        self.rows = rows
        self.classifier = classifier
        self.x = np.ascontiguousarray(x[rows], dtype=np.float32)
        self.y = np.asarray(y)[rows].astype(np.int64)
        self.labels = np.asarray(y) if all_labels is None else all_labels
        self.eps, self.seed, self.plan = float(eps), int(seed), plan
        self.attacks = dict(attacks or {})
        self.given = None if trials is None else list(trials)
        self.given_clean = clean
        self.sources = dict(sources or {})
        self._trials: dict[tuple[str, float], Trial] = {}
        self._made: dict[str, Any] = {}

    @property
    def model(self) -> Any:
        """The bare module."""
        return self.classifier.model

    @property
    def few(self) -> tuple[Array, Array]:
        """The subset of the expensive checks."""
        return self.x[: self.plan.samples], self.y[: self.plan.samples]

    @property
    def declared(self) -> bool:
        """Whether the model, or a preprocessor, says that it draws random numbers."""
        parts = [self.model, *self.classifier.preprocessing_operations]
        return any(bool(getattr(part, "is_stochastic", False)) for part in parts)

    @property
    def steps(self) -> int:
        """Steps of the attack whose convergence is in question."""
        return self.plan.random_steps if self.declared else self.plan.steps

    @cached_property
    def random(self) -> bool:
        """Whether the model answers differently from another seed, whether it says so or not."""
        first, other = (self.logits(self.x[:8], derived_seed(self.seed, "draw", i)) for i in (0, 1))
        return self.declared or not np.allclose(first, other, rtol=1e-4, atol=1e-4)

    @property
    def raw(self) -> bool:
        """Whether the module gets the input as it is: ART always puts a standardization in front, mostly of nothing."""
        return all(
            hasattr(part, "mean") and np.all(np.asarray(part.mean) == 0) and np.all(np.asarray(part.std) == 1)
            for part in self.classifier.preprocessing_operations
        )

    @property
    def span(self) -> float:
        """Width of the range of legal values."""
        clip = self.classifier.clip_values
        return 1.0 if clip is None else float(np.max(clip[1]) - np.min(clip[0]))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Leave modes, random streams and parameter flags of the model as they were."""
        modes = [(module, module.training) for module in self.model.modules()]
        asked = [(p, p.requires_grad) for p in self.model.parameters()]
        try:
            with replayed(self.model):
                yield
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, flag in asked:
                parameter.requires_grad_(flag)

    @contextmanager
    def drawing(self, seed: int, draws: int = 1) -> Iterator[None]:
        """Everything random from ``seed``, averaged over ``draws`` where the model can."""
        with seeded_globals(seed), averaged(self.model, draws):
            rewind(self.classifier, seed)
            yield

    def logits(self, x: Array, seed: int, draws: int = 1) -> Array:
        """The deployed rule on ``x``."""
        with seeded_globals(seed):
            return deployed_logits(self.classifier, x, seed, draws)

    @cached_property
    def z(self) -> Array:
        """Deployed logits of the probes, ``[N, K]``."""
        return self.logits(self.x, derived_seed(self.seed, "clean"), 20)

    @property
    def right(self) -> Array:
        """Probes that are classified correctly."""
        return np.asarray(self.z.argmax(1) == self.y)

    def inputs(self, x: Array) -> tuple[Tensor, Tensor]:
        """A leaf on which a gradient can be taken, and what the model gets for it."""
        classifier = self.classifier
        if classifier.all_framework_preprocessing:
            leaf = torch.tensor(x, device=classifier.device, requires_grad=True)
            prepared, _ = classifier._apply_preprocessing(leaf, y=None, fit=False, no_grad=False)
            return leaf, prepared
        prepared, _ = classifier._apply_preprocessing(x, y=None, fit=False, no_grad=True)
        leaf = torch.tensor(np.asarray(prepared, dtype=np.float32), device=classifier.device, requires_grad=True)
        return leaf, leaf

    def gradient(
        self, x: Array, y: Array, loss: str = "ce", policy: GradientPolicy | None = None, draws: int = ATTACK_DRAWS
    ) -> tuple[Array | None, Array]:
        """Input gradient of a loss (``None``: there is none) and the logits, in eval mode, at the module itself."""
        self.model.eval()
        labels = torch.as_tensor(y, device=self.classifier.device)
        with self.drawing(derived_seed(self.seed, "gradient"), draws), steered(self.model, policy):
            leaf, prepared = self.inputs(x)
            z = self.model(prepared)
            value = losses.LOSSES[loss](z, labels).sum()
            grad = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
        return (None if grad is None else grad.detach().cpu().numpy()), z.detach().cpu().numpy()

    @cached_property
    def pool(self) -> dict[str, GradientPolicy]:
        """Other gradients of this model, by name."""
        return pool_of(self.model)

    @cached_property
    def donors(self) -> dict[str, PyTorchClassifier]:
        """Models to transfer from: those at hand, and the ReLU network of the same weights where the model spikes."""
        twin = relu_twin(self.classifier)
        return {**({} if twin is None else {"its ReLU twin": twin}), **self.sources}

    @property
    def steady_pool(self) -> dict[str, GradientPolicy]:
        """Those of the pool that need no history: one gradient says it all."""
        return {name: policy for name, policy in self.pool.items() if not policy.is_stateful}

    def near(self, x: Array, radius: float, seed: int) -> Array:
        """A random point of each sample's ball, within the range."""
        noise = np.random.default_rng(seed).uniform(-radius, radius, size=x.shape)
        moved = (x + noise).astype(np.float32)
        clip = self.classifier.clip_values
        return moved if clip is None else np.clip(moved, *clip).astype(np.float32)

    def run(self, name: str, attack: Attack, eps: float) -> Trial:
        """An attack on the subset, judged by the deployed rule inside its ball."""
        key = (name, eps)
        if key not in self._trials:
            self._trials[key] = self._run(name, attack, eps)
        return self._trials[key]

    def _run(self, name: str, attack: Attack, eps: float) -> Trial:
        x, y = self.few
        seed = derived_seed(self.seed, "attack", name, eps)
        clean = self.right[: len(x)]
        watchable = eps < self.span and not self.random and self.raw
        rewind(self.classifier, seed)
        try:
            if watchable:
                with watched(self.model, x, y, eps) as watch:
                    x_adv = attack.generate(self.classifier, x, y, eps, seed)
                seen = watch.broken
            else:
                x_adv, seen = attack.generate(self.classifier, x, y, eps, seed), None
        except FAILURES as error:
            return Trial(name, attack.knowledge, eps, clean, error=" ".join(str(error).split())[:200])
        threat = threat_of(self._made.get(name))
        if threat is not None:
            return self._judged_by(threat, name, x_adv, seed)
        moved = np.abs(x_adv.astype(np.float64) - x.astype(np.float64))
        used = float(moved.max() / eps) if np.isfinite(x_adv).all() else float("inf")
        inside = np.clip(np.nan_to_num(x_adv), x - np.float32(eps), x + np.float32(eps)).astype(np.float32)
        correct = self.logits(inside, derived_seed(seed, "judge"), 20).argmax(1) == y
        missed = None if seen is None else int((seen & correct & clean).sum())
        details = {"moved_by": float(moved.max()) if np.isfinite(used) else None}
        return Trial(name, attack.knowledge, eps, np.asarray(correct & clean), used, missed, "", details)

    def _judged_by(self, threat: ThreatModel, name: str, x_adv: Array, seed: int) -> Trial:
        """The outcome of an attack that states its own threat model: on legal points, and how many were not."""
        x, y = self.few
        inside = np.asarray(threat.contains(x, x_adv), dtype=bool)
        legal = x_adv if inside.all() else np.where(_rows(inside, x), x_adv, threat.project(x, x_adv))
        correct = self.logits(np.asarray(legal, dtype=np.float32), derived_seed(seed, "judge"), 20).argmax(1) == y
        usage = threat.usage(x, x_adv)
        each = usage if isinstance(usage, Mapping) else {"usage": usage}
        details = {
            "threat": repr(threat), "outside": int((~inside).sum()),
            "usage": {key: min(float(np.max(value)), 1e9) for key, value in each.items()},
        }  # fmt: skip
        right = np.asarray(correct & self.right[: len(x)])
        return Trial(name, "yours", self.eps, right, 1.0 + float((~inside).mean()), None, "", details)

    def trials(self) -> list[Trial]:
        """Every attack at the budgets in question, without the unbounded one."""
        if self.given is not None:
            return [*(t for t in self.given if t.name != "unbounded"), *self.tested()]
        return [*(self.run(name, attack, self.eps) for name, attack in ladder(self).items()), *self.tested()]

    def tested(self) -> list[Trial]:
        """The attacks under test."""
        found = []
        for name, build in self.attacks.items():
            attack = Attack(name, name, "yours", partial(_build, build, self._made, name))
            found.append(self.run(name, attack, self.eps))
        return found

    def unbounded(self) -> Trial:
        """The attack over the whole range."""
        for trial in self.given or []:
            if trial.name == "unbounded":
                return trial
        return self.run("unbounded", unbounded(self), self.span)

    @property
    def clean(self) -> Array:
        """Outcomes without attack on the samples of :meth:`trials`."""
        return self.right[: self.plan.samples] if self.given_clean is None else self.given_clean

    @cached_property
    def survivors(self) -> Array:
        """Rows of the subset that withstand the gradient attacks of the plan."""
        standing = self.right[: len(self.few[0])].copy()
        for name in ("apgd-ce", "apgd-margin"):
            standing &= self.run(name, ladder(self)[name], self.eps).correct
        return np.flatnonzero(standing)

    def of_few(self, trial: Trial) -> Array:
        """Outcomes of a trial on the subset, boolean."""
        return trial.correct if len(trial.correct) == len(self.few[0]) else trial.correct[self.rows[: len(self.few[0])]]

    @property
    def unbroken(self) -> Array:
        """Rows of the subset that withstand every gradient attack that ran within the budget."""
        standing = np.zeros(len(self.few[0]), dtype=bool)
        standing[self.survivors] = True
        for trial in self.trials():
            if trial.knowledge == "white-box" and trial.eps <= self.eps:
                standing &= self.of_few(trial)
        return np.flatnonzero(standing)


def _build(
    make: Builder, made: dict[str, Any], name: str, classifier: PyTorchClassifier, eps: float, seed: int,  # noqa: ARG001
    options: Mapping[str, Any],  # noqa: ARG001
) -> Any:  # fmt: skip
    """An attack under test, in the form of the others; kept in ``made``, because it may state its threat model."""
    made[name] = make(classifier)
    return made[name]


def threat_of(attack: Any) -> ThreatModel | None:
    """The threat model that an attack states, where it is another one than the L-infinity ball in question."""
    threat = getattr(attack, "threat", None)
    return threat if isinstance(threat, ThreatModel) and not isinstance(threat, Linf) else None


def _rows(mask: Array, like: Array) -> Array:
    """A mask ``[N]`` that broadcasts over samples ``[N, *]``."""
    return mask.reshape(-1, *[1] * (like.ndim - 1))
