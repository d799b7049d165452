r"""SpikeSponge: the input on which a spiking network spends the most synaptic operations.

.. math:: \max_{x' \in B(x)}\; \frac{E(x')}{E(x)} - \lambda\,\mathrm{ce}(z(x'), c_0), \qquad
          E(x) = \sum_l \sum_t \sum_i s_{l,t,i}\, f_{l,i}

with the spikes :math:`s` that enter layer :math:`l`, their fan-out :math:`f` (see :mod:`art_snn.networks.operations`)
and the label :math:`c_0`. A network on neuromorphic hardware pays for every one of them, so the attacker wins without
changing a single answer: while the label is to be kept, only points with :math:`\arg\max z = c_0` are accepted.

Each step, with :math:`g` the gradient of the objective:

.. math:: m \leftarrow 0.75\,m + \frac{g}{\mathrm{mean}|g|}, \qquad
          x' \leftarrow \Pi_x(x' + \eta\,\mathrm{step}(m)) \text{ on pixels}, \qquad
          x' \leftarrow \Pi_x(x + c\,m) \text{ on spike grids},

where :math:`\eta` is halved at the check points of Auto-PGD and :math:`c` is so large that the projection alone decides
which cells change: the linear maximization step of Frank and Wolfe. The first run starts at the clean sample, the
second at the baseline of :mod:`art_snn.attacks.evasion.brightening`, the others at random points. The accepted point of
highest energy is returned, measured on the network as it is.

Sources: Shumailov et al., "Sponge examples", EuroS&P 2021; Krithivasan et al., "SpikeAttack", DAC 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator, LossGradientsMixin
from torch import Tensor
from tqdm.auto import tqdm

from art_snn.attacks.evasion import draws, losses
from art_snn.attacks.evasion.arguments import check_whole, index_labels, masked, samples
from art_snn.attacks.evasion.brightening import brightened, with_random_events
from art_snn.attacks.evasion.search import across
from art_snn.attacks.evasion.snn_auto_pgd import CheckPoints
from art_snn.attacks.evasion.sponge_record import SpongeRun
from art_snn.attacks.evasion.victim import Victim
from art_snn.errors import GuardedInit, explain
from art_snn.gradients.base import GradientPolicy
from art_snn.networks.operations import OperationCounter, counting
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.threats import PixelBudget, pixel_budget

_MOMENTUM = 0.75
_FAR = 1e6


class SpikeSponge(GuardedInit, EvasionAttack):
    """Maximizes synaptic operations; see the module's text for the equations.

    :param estimator: a trained ``SNNClassifier``.
    :param norm: ``np.inf`` or 2, for images.
    :param eps: radius of the ball, for images.
    :param threat: any threat model in place of ``norm`` and ``eps``; for spike grids, ``SpikeFlips(k)``.
    :param max_iter: steps of one run.
    :param nb_random_init: runs per sample.
    :param keep_label: accept only points that keep the label.
    :param penalty: weight of the cross entropy to the label.
    :param policy: how gradients cross a spike; ``None`` is the network's own surrogate.
    :param batch_size: samples per forward pass; the result does not depend on it.
    :param seed: seed of every random number of the attack.
    :param eot: draws per gradient of a stochastic network; ``None`` is at least 10.
    :param votes: forward passes per decision and energy of a stochastic network; ``None`` is 10.
    :param verbose: show a progress bar.
    :raises TypeError: for an estimator whose model does not spike, or a policy that takes gradients at another forward.
    :raises ValueError: for a parameter out of range.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> attack = SpikeSponge(clf, eps=0.1, max_iter=3)
    >>> x_adv = attack.generate(np.full((2, 1, 8, 8), 0.5, dtype=np.float32))
    >>> bool((attack.record.adversarial >= attack.record.clean).all()), attack.record.label_kept.tolist()
    (True, [True, True])
    """

    attack_params = EvasionAttack.attack_params + [  # noqa: RUF005 - ART's own idiom
        "norm", "eps", "threat", "max_iter", "nb_random_init", "keep_label", "penalty", "policy", "batch_size", "seed",
        "eot", "votes", "verbose",
    ]  # fmt: skip
    _estimator_requirements = (BaseEstimator, LossGradientsMixin, ClassifierMixin)

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float = 8 / 255, threat: Any = None, max_iter: int = 40,
        nb_random_init: int = 2, keep_label: bool = True, penalty: float = 0.1, policy: GradientPolicy | None = None,
        batch_size: int = 64, seed: int = 0, eot: int | None = None, votes: int | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(estimator=estimator)
        self.norm = norm
        self.eps = eps
        self.threat = threat
        self.max_iter = max_iter
        self.nb_random_init = nb_random_init
        self.keep_label = keep_label
        self.penalty = penalty
        self.policy = policy
        self.batch_size = batch_size
        self.seed = seed
        self.eot = eot
        self.votes = votes
        self.verbose = verbose
        self.last_run: SpongeRun | None = None
        self._check_params()

    def _check_params(self) -> None:
        if not isinstance(self.estimator.model, SpikingNetwork):
            came = f"an estimator around a {type(self.estimator.model).__name__}"
            raise TypeError(explain(came, "a network that spikes", "attack an SNNClassifier"))
        if self.policy is not None and (not isinstance(self.policy, GradientPolicy) or self.policy.modifies_forward):
            came = f"policy={self.policy!r}"
            fix = "policy=Surrogate(surrogate.ATan(alpha=4.0))"
            raise TypeError(explain(came, "a policy that leaves every spike alone, or None", fix))
        if self.threat is None and self._budget.norm not in (np.inf, 2.0):
            raise ValueError(explain(f"norm={self.norm!r}", "np.inf or 2, or a threat of its own", "norm=np.inf"))
        for name, least in (("max_iter", 1), ("nb_random_init", 1), ("batch_size", 1), ("seed", 0)):
            check_whole(name, getattr(self, name), least)
        for name in ("eot", "votes"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        if not (np.isfinite(self.penalty) and self.penalty >= 0):
            raise ValueError(explain(f"penalty={self.penalty!r}", "a weight of 0 or more", "penalty=0.1"))

    @property
    def _budget(self) -> Any:
        return pixel_budget(self.norm, self.eps, self.estimator.clip_values) if self.threat is None else self.threat

    @property
    def record(self) -> SpongeRun:
        """The record of the last ``generate``.

        :raises RuntimeError: before the first one.
        """
        if self.last_run is None:
            raise RuntimeError(explain("an attack that has not run", "a call of generate first", "generate(x)"))
        return self.last_run

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Samples that cost the network more.

        :param x: clean samples ``[N, *]``; not modified.
        :param y: the labels to keep, index or one-hot; by default the network's own decisions. Samples that are wrong
            to begin with come back unchanged.
        :param kwargs: ``mask``: 1 where a value may change, of the shape of ``x`` or of one sample.
        :return: float32 array of the shape of ``x``.
        :raises ValueError: for unusable samples, labels or mask, or a sample on which the network spends nothing and
            could not spend more.
        :raises RuntimeError: if a point left the budget, which would be an error of the attack.
        """
        victim = Victim(self.estimator, self.policy, self.eot, self.votes, self.seed)
        clean = torch.as_tensor(samples(x, self.estimator), device=victim.device)
        mask = masked(kwargs.get("mask"), clean)
        ids = draws.sample_ids(clean)
        parts = []
        with victim.attached(), counting(self.estimator.model) as counter:
            pieces = torch.arange(len(clean)).split(self.batch_size)
            for piece in tqdm(pieces, desc=type(self).__name__, disable=not self.verbose):
                rows = piece.tolist()
                own = None if mask is None else mask[piece]
                labels = None if y is None else np.asarray(y)[rows]
                hunt = _Hunt(self, victim, counter, clean[piece], own, [ids[i] for i in rows], labels)
                hunt.run()
                parts.append(hunt)
        points = torch.cat([part.best for part in parts])
        usage = self._verified(clean, points)
        self.last_run = _reported(parts, usage, repr(self._budget), self.policy)
        return points.cpu().numpy()

    def _verified(self, clean: Tensor, points: Tensor) -> Any:
        threat = self._budget
        inside, usage = threat.contains(clean, points), threat.usage(clean, points)
        if not bool(inside.all()):
            came = f"{int((~inside).sum())} points outside {threat!r}"
            raise RuntimeError(explain(came, "points inside the budget", "report this: the attack forgot to project"))
        return {k: v.cpu().numpy() for k, v in usage.items()} if isinstance(usage, dict) else usage.cpu().numpy()


@dataclass
class _Measured:
    """One look at the network as it is."""

    energy: Tensor
    size: Tensor
    label: Tensor


class _Hunt:
    """The attack on one batch."""

    def __init__(
        self, attack: SpikeSponge, victim: Victim, counter: OperationCounter, clean: Tensor, mask: Tensor | None,
        ids: list[int], labels: Any,
    ) -> None:  # fmt: skip
        self.attack, self.victim, self.counter = attack, victim, counter
        self.clean, self.mask, self.ids = clean, mask, ids
        self.threat = attack._budget
        self.forwards, self.backwards = 0, 0
        self.zeros = torch.zeros(len(clean), dtype=torch.long, device=clean.device)
        self.start = self.measure(clean)
        self.labels = index_labels(labels, len(clean), attack.estimator.nb_classes, False, self.start.label)
        self.wrong = self.start.label != self.labels
        self.best, self.energy = clean.clone(), self.start.energy.clone()
        self.trace: list[Tensor] = []

    def run(self) -> None:
        """All restarts, then the baseline that the result is reported beside."""
        for restart in range(self.attack.nb_random_init):
            self._climb(self._first(restart), restart)
        self.end = self.measure(self.best)
        self.brighter = self.measure(self._baseline())

    def measure(self, x: Tensor) -> _Measured:
        """Energy and decision of the network as it is, by fresh forward passes."""
        self.counter.clear()
        label = self.victim.decide(x, self.ids)
        self.forwards += self.victim.votes
        return _Measured(self.counter.synops.detach(), self.counter.input_size, label)

    def _first(self, restart: int) -> Tensor:
        if restart == 0:
            return self.clean.clone()
        if restart == 1:
            return self._baseline()
        keys = [draws.key(self.attack.seed, restart, one) for one in self.ids]
        return self._stepped(self.clean, draws.normal(keys, self.clean.shape[1:], self.clean), self._reach())

    def _baseline(self) -> Tensor:
        if isinstance(self.threat, PixelBudget):
            return brightened(self.clean, self.threat, self.mask)
        inserted = (self.best - self.clean).clamp(min=0).flatten(1).sum(1)
        room = torch.where(inserted > 0, inserted, torch.full_like(inserted, self._room()))
        keys = [draws.key(self.attack.seed, -1, one) for one in self.ids]
        return with_random_events(self.clean, room, keys, self.threat, self.mask)

    def _room(self) -> float:
        """Events that a spike budget could add."""
        return float(min(getattr(self.threat, "k", 0.0), self.clean[0].numel()))

    def _reach(self) -> Tensor:
        """Length of a first step, per sample."""
        ball = self.threat.eps if isinstance(self.threat, PixelBudget) else 1.0
        return torch.full((len(self.clean),), float(ball)).to(self.clean)

    def _climb(self, point: Tensor, restart: int) -> None:
        steps = int(self.attack.max_iter)
        plan, eta, velocity = CheckPoints(steps), self._reach(), torch.zeros_like(self.clean)
        reference = self.energy.clone()
        with self.victim.scope(list(range(len(self.clean)))) as scope:
            for step in range(steps):
                velocity = _MOMENTUM * velocity + self._ascent(point, step + restart * steps, scope)
                point = self._stepped(point, velocity, eta)
                self._judge(point)
                if step > 0 and plan.due(step):
                    stuck = self.energy <= reference
                    eta = torch.where(stuck, eta / 2, eta)
                    reference = self.energy.clone()
                    if isinstance(self.threat, PixelBudget):
                        point = torch.where(stuck.view(-1, *[1] * (point.dim() - 1)), self.best, point)

    def _ascent(self, point: Tensor, step: int, scope: Any) -> Tensor:
        """Gradient of the objective, of mean size 1; random signs where there is none."""
        scale = self.start.energy.clamp(min=1.0)

        def objective(z: Tensor) -> Tensor:
            energy = self.counter.synops / scale
            self.counter.clear()
            return energy - self.attack.penalty * losses.ce(z.double(), self.labels)

        self.counter.clear()
        g = self.victim.query(point, objective, self.ids, step, gradient=True, scope=scope).ascent
        self.forwards, self.backwards = (
            a + b for a, b in zip((self.forwards, self.backwards), self.victim.costs, strict=True)
        )
        g = g if self.mask is None else torch.where(self.mask != 0, g, torch.zeros_like(g))
        flat = (g == 0).flatten(1).all(1)
        self.zeros += flat
        signs = draws.uniform([draws.key(self.attack.seed, step, one) for one in self.ids], g.shape[1:], g) - 0.5
        g = torch.where(flat.view(-1, *[1] * (g.dim() - 1)), signs.sign(), g)
        return g / across(g.abs().flatten(1).mean(1), g)

    def _stepped(self, point: Tensor, velocity: Tensor, eta: Tensor) -> Tensor:
        if not isinstance(self.threat, PixelBudget):
            top = across(velocity.abs().flatten(1).amax(1), velocity)
            ahead = self.clean + _FAR * velocity / top
        elif self.threat.norm == torch.inf:
            ahead = point + across(eta, point) * velocity.sign()
        else:
            ahead = point + across(eta, point) * velocity / across(velocity.flatten(1).norm(dim=1), velocity)
        if self.mask is not None:
            ahead = torch.where(self.mask != 0, ahead, self.clean)
        legal: Tensor = self.threat.project(self.clean, ahead)
        return legal

    def _judge(self, point: Tensor) -> None:
        """Accept points that cost more and keep the label, if it is to be kept."""
        seen = self.measure(point)
        accepted = (seen.energy > self.energy) & ~self.wrong
        if self.attack.keep_label:
            accepted &= seen.label == self.labels
        self.best[accepted], self.energy[accepted] = point[accepted], seen.energy[accepted]
        self.trace.append(self.energy.clone())


def _reported(parts: list[_Hunt], usage: Any, threat: str, policy: GradientPolicy | None) -> SpongeRun:
    def joined(values: list[Tensor], axis: int = 0) -> Any:
        return torch.cat(values, axis).cpu().numpy()

    counts = {
        name: np.concatenate([np.full(len(p.clean), getattr(p, name)) for p in parts])
        for name in ("forwards", "backwards")
    }
    return SpongeRun(
        clean=joined([p.start.energy for p in parts]), adversarial=joined([p.end.energy for p in parts]),
        baseline=joined([p.brighter.energy for p in parts]),
        label_kept=joined([p.end.label == p.labels for p in parts]),
        baseline_label_kept=joined([p.brighter.label == p.labels for p in parts]),
        per_event_clean=joined([p.start.energy / p.start.size.clamp(min=1e-12) for p in parts]),
        per_event=joined([p.end.energy / p.end.size.clamp(min=1e-12) for p in parts]),
        usage=usage, initially_wrong=joined([p.wrong for p in parts]),
        zero_gradients=joined([p.zeros for p in parts]), trace=joined([torch.stack(p.trace) for p in parts], 1),
        threat=threat, policy=None if policy is None else repr(policy), **counts,
    )  # fmt: skip
