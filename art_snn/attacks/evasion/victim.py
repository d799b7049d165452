"""The model under attack: an ART classifier as a function on tensors, with one fused pass for loss and gradient.

The gradient is taken for the input alone. Stochastic models get ``eot`` keyed draws per gradient, whose *losses* are
averaged, and ``votes`` fresh predictions per decision, of which the majority counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.attacks.evasion.culprit import culprit
from art_snn.attacks.evasion.draws import key
from art_snn.coding.draws import keyed_draws
from art_snn.errors import explain
from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.trust import trusted

MIN_DRAWS = 10
"""Draws per gradient and votes per decision of a stochastic model, where the caller names no number."""

_DECIDE, _SEARCH = 0, 1
"""Domains of the keys: an attack never sees the draws that judge it."""

Objective = Callable[[Tensor], Tensor]
"""Logits ``[n, K]`` to the value that the attack maximizes, ``[n]``."""


@dataclass
class Seen:
    """What one query showed: per sample the loss, its gradient (``None`` if not asked for), and the logits."""

    loss: Tensor
    grad: Tensor | None
    logits: Tensor

    @property
    def ascent(self) -> Tensor:
        """The gradient, for a search that asked for it.

        :raises ValueError: if it was not asked for.
        """
        if self.grad is None:
            raise ValueError(explain("a query without gradient", "one with", "query(..., gradient=True)"))
        return self.grad

    def select(self, index: Tensor) -> Seen:
        """The same for some of the samples."""
        grad = None if self.grad is None else self.grad[index]
        return Seen(self.loss[index], grad, self.logits[index])


class Victim:
    """The hard model of an ART PyTorch classifier.

    :param estimator: an ART classifier whose ``model`` is a torch module.
    :param policy: how gradients cross a spike; needs a :class:`~art_snn.SpikingNetwork`.
    :param eot: draws per gradient; ``None`` takes 1, or at least 10 for a stochastic model.
    :param votes: predictions per decision; ``None`` likewise.
    :param seed: seed of the draws of a stochastic model.
    :raises TypeError: if there is no torch module, or a policy for a network that has no spikes.
    :raises ValueError: if the preprocessing is not differentiable.
    """

    def __init__(
        self, estimator: Any, policy: GradientPolicy | None = None, eot: int | None = None,
        votes: int | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.model: nn.Module = estimator.model
        if not isinstance(self.model, nn.Module):
            came = f"an estimator whose model is a {type(self.model).__name__}"
            raise TypeError(explain(came, "a torch module", "attack an SNNClassifier or a PyTorchClassifier"))
        if policy is not None and not isinstance(self.model, SpikingNetwork):
            came = f"policy={policy!r} for a {type(self.model).__name__}"
            raise TypeError(explain(came, "a SpikingNetwork", "leave policy=None for a network without spikes"))
        if not estimator.all_framework_preprocessing:
            fix = "use preprocessors of the PyTorch kind"
            raise ValueError(explain("numpy preprocessing", "preprocessing with a gradient", fix))
        self.policy = policy
        self.random = [
            part.transform for part in estimator.preprocessing_operations if getattr(part, "is_stochastic", False)
        ]
        self.is_stochastic = bool(getattr(self.model, "is_stochastic", False)) or bool(self.random)
        self.eot = _draws(eot, self.is_stochastic, int(getattr(self.model, "eot", 1)))
        self.votes = _draws(votes, self.is_stochastic, 1)
        self.seed = seed
        self._doubts: list[tuple[Tensor, Callable[[], ValueError]]] | None = None

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return torch.device(self.estimator.device)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Eval mode, gradients for the input only; everything is put back at the end, whatever happens."""
        modes = [(module, module.training) for module in self.model.modules()]
        asked = [(p, p.requires_grad) for p in self.model.parameters()]
        eot = getattr(self.model, "eot", None)
        try:
            self.model.eval()
            for parameter, _ in asked:
                parameter.requires_grad_(False)
            if isinstance(self.model, SpikingNetwork):
                self.model.eot = 1
            yield
        finally:
            for parameter, flag in asked:
                parameter.requires_grad_(flag)
            for module, mode in modes:
                module.training = mode
            if isinstance(self.model, SpikingNetwork):
                self.model.eot = int(eot or 1)

    @contextmanager
    def unasked(self) -> Iterator[None]:
        """Inside, nothing is read back from the device: queries are judged by the next :meth:`settle`."""
        self._doubts = []
        try:
            with trusted():
                yield
        finally:
            self._doubts = None

    @property
    def is_asked(self) -> bool:
        """Whether every query waits for its answer."""
        return self._doubts is None

    def settle(self) -> None:
        """Judge the queries since the last call, by one look at the device.

        :raises ValueError: if a loss or a gradient was not a number.
        """
        doubts, self._doubts = self._doubts, None if self._doubts is None else []
        if not doubts:
            return
        for fine, complaint in zip(torch.stack([fine for fine, _ in doubts]).tolist(), doubts, strict=True):
            if not fine:
                raise complaint[1]()

    @property
    def costs(self) -> tuple[int, int]:
        """Forward and backward passes of one query with gradient."""
        passes = self.eot * len(getattr(self.policy, "members", [None]))
        return passes + (self.eot if self._bends else 0), passes

    @property
    def _bends(self) -> bool:
        return self.policy is not None and self.policy.modifies_forward

    def query(
        self, x: Tensor, objective: Objective, ids: Sequence[int], step: int, *, gradient: bool,
        scope: AttackScope | None = None,
    ) -> Seen:  # fmt: skip
        """One look at the model: mean loss over the draws, its gradient, and the mean logits.

        Loss and logits are those of the model as it is, also under a policy whose gradients come from another forward.

        :param x: points ``[n, *]``.
        :param objective: logits to the value to maximize.
        :param ids: key of each sample.
        :param step: number of this query; each has draws of its own.
        :param gradient: whether the gradient is needed.
        :param scope: state of the policy, which moves with the first draw only.
        :raises ValueError: if loss or gradient is not a number.
        """
        draws = []
        for i in range(self.eot):
            keys = self._keys(ids, _SEARCH, step, i)
            with nullcontext() if scope is None or i == 0 else scope.frozen():
                seen = self._look(x, objective, keys, gradient)
            if gradient and self._bends:
                hard = self._look(x, objective, keys, gradient=False)
                seen = Seen(hard.loss, seen.grad, hard.logits)
            draws.append(seen)
        loss, logits = _mean([d.loss for d in draws]), _mean([d.logits for d in draws])
        grads = [d.grad for d in draws if d.grad is not None]
        grad = _mean(grads) if grads else None

        def complaint() -> ValueError:
            layer = culprit(self.model, lambda: self._look(x, objective, self._keys(ids, _SEARCH, step, 0), gradient))
            return ValueError(self._complaint(grad if bool(_finite(loss)) else None, layer))

        fine = _finite(loss, grad)
        if self._doubts is not None:
            self._doubts.append((fine, complaint))
        elif not bool(fine):
            raise complaint()
        return Seen(loss, grad, logits)

    def _look(self, x: Tensor, objective: Objective, keys: list[int], gradient: bool) -> Seen:
        steered = gradient and self.policy is not None
        policy = self.policy.applied(self.model) if steered else nullcontext()  # type: ignore[union-attr, arg-type]
        with self._drawing(keys), policy, torch.set_grad_enabled(gradient):
            point = x.detach().requires_grad_(gradient)
            logits = self._logits(point)
            loss = objective(logits)
            grad = torch.autograd.grad(loss.sum(), point)[0] if gradient else None
        return Seen(loss.detach(), grad, logits.detach())

    def decide(self, x: Tensor, ids: Sequence[int], salt: int = 0) -> Tensor:
        """Predicted class of each sample, ``[n]``: the lowest of the largest logits, or the majority of the votes."""
        with torch.no_grad():
            ballots = []
            for i in range(self.votes):
                with self._drawing(self._keys(ids, _DECIDE, salt, i)):
                    ballots.append(first_argmax(self._logits(x)))
        if self.votes == 1:
            return ballots[0]
        classes = int(self.estimator.nb_classes)
        return first_argmax(nn.functional.one_hot(torch.stack(ballots), classes).sum(0))

    def logits(self, x: Tensor, ids: Sequence[int]) -> Tensor:
        """Logits without gradient; of one draw for a stochastic model."""
        with torch.no_grad(), self._drawing(self._keys(ids, _SEARCH, -1, 0)):
            return self._logits(x).detach()

    def scope(self, rows: Sequence[int]) -> AbstractContextManager[AttackScope]:
        """State of a stateful policy, bound to these samples, which need distinct numbers."""
        return nullcontext(AttackScope()) if self.policy is None else self.policy.attack_scope(rows)

    def _logits(self, x: Tensor) -> Tensor:
        inputs, _ = self.estimator._apply_preprocessing(x, y=None, fit=False, no_grad=not x.requires_grad)
        z: Tensor = self.model(inputs)
        return z

    def _keys(self, ids: Sequence[int], domain: int, step: int, draw: int) -> list[int]:
        return [key(self.seed, domain, one, step, draw) for one in ids] if self.is_stochastic else []

    def _drawing(self, keys: list[int]) -> AbstractContextManager[None]:
        if not self.is_stochastic:
            return nullcontext()
        return keyed_draws(nn.ModuleList([self.model, *self.random]), keys)

    def _complaint(self, grad: Tensor | None, layer: str) -> str:
        name = "the network's own surrogate" if self.policy is None else repr(self.policy)
        if grad is None:
            fix = "repair the network: its own forward pass is not finite"
            return explain(f"a loss that is not a number, first seen in {layer}", "finite logits", fix)
        rows = int((~torch.isfinite(grad)).flatten(1).any(1).sum())
        came = f"a gradient that is not a number in {rows} of {len(grad)} samples, under {name}, first seen in {layer}"
        return explain(came, "finite gradients", "choose another policy, or a less sharp surrogate")


def _finite(*values: Tensor | None) -> Tensor:
    """Whether everything is a number, as one flag where the values are."""
    return torch.stack([torch.isfinite(v).all() for v in values if v is not None]).all()


def _draws(asked: int | None, stochastic: bool, own: int) -> int:
    if asked is not None:
        return int(asked)
    return max(own, MIN_DRAWS) if stochastic else 1


def _mean(values: list[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(values).mean(0)


def first_argmax(z: Tensor) -> Tensor:
    """Class of each row of ``z [n, K]`` as numpy decides: the lowest index among equals."""
    index = torch.arange(z.shape[1], device=z.device)
    return torch.where(z == z.amax(1, keepdim=True), index, z.shape[1] - 1).amin(1)
