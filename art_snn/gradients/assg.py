r"""Adaptive sharpness: each neuron, step and sample has the sharpness that its own membrane calls for.

Over the iterations of one attack, with :math:`M` starting at 1 and :math:`D` at 0,

.. math:: M \leftarrow \beta_1 M + (1-\beta_1)|v|, \qquad D \leftarrow \beta_2 D + (1-\beta_2)\big||v| - M\big|, \qquad
    \alpha = \frac{w}{M + \xi D + 10^{-4}} .

:math:`w` solves :math:`G(w) = A` for the family of surrogates, :math:`G` its mass within :math:`\pm w` at sharpness 1:
:math:`A` bounds the expected vanishing degree :math:`E[G(\alpha|v|)]`, and is reached where :math:`|v|` stands still.

Notation: the paper quotes :math:`A/2`, and so does the first argument here. ``ASSG(0.45)`` is :math:`A/2 = 0.45`,
:math:`A = 0.9`, for the arctangent :math:`w = \frac2\pi\tan(0.45\pi) = 4.02`. Useful values lie between 0.35 and 0.49.

State lives in an attack scope only, per sample::

    with net.gradient(policy), policy.attack_scope(ids) as scope:  # doctest: +SKIP
        ...  # the forwards of an attack; scope.batch(survivors), scope.restart(), scope.frozen()

Outside of one, where two batches of the same shape cannot be told apart, sharpness is stateless,
:math:`\alpha = w/(|v| + 10^{-4})`, clearly weaker, with one warning.

Source: "Adaptive sharpness surrogate gradient", CVPR 2026, arXiv 2512.22522.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from art_snn.errors import GradientWarning, explain
from art_snn.gradients.base import AttackScope, GradientPolicy, Steered
from art_snn.gradients.families import FAMILIES
from art_snn.gradients.neurons import stepwise_followers, swapped
from art_snn.gradients.sample_state import SampleState
from art_snn.gradients.spike import Slope, spike

_FLOOR = 1e-4


class ASSG(GradientPolicy):
    r"""Adaptive sharpness surrogate gradient, for neurons that fire once in each step.

    :param half_degree: :math:`A/2` in (0, 0.5), half the bound on the expected vanishing degree.
    :param family: a family with a mass function: ``atan``, ``triangle``, ``rect``, ``sigmoid``, ``erf``,
        ``exponential`` or ``soft_sign``.
    :param spread: :math:`\xi`, weight of the deviation.
    :param beta1: decay of :math:`M`.
    :param beta2: decay of :math:`D`.
    :param storage: dtype of the state, two numbers per neuron, step and sample; ``None`` is the membrane's own,
        ``torch.float16`` halves it.
    :raises ValueError: for a parameter out of range.

    >>> policy = ASSG(0.45)
    >>> round(policy.w, 2), policy.degree
    (4.02, 0.9)
    """

    is_stateful = True

    def __init__(
        self,
        half_degree: float = 0.45,
        *,
        family: str = "atan",
        spread: float = 1.5,
        beta1: float = 0.9,
        beta2: float = 0.9,
        storage: torch.dtype | None = None,
    ) -> None:
        _check(half_degree, family, spread, beta1, beta2)
        self.half_degree = float(half_degree)
        self.family = family
        self.spread = spread
        self.beta1 = beta1
        self.beta2 = beta2
        self.storage = storage
        reach = FAMILIES[family].reach
        self.w = reach(self.degree) if reach is not None else 0.0
        self._scope: SampleState | None = None
        self._warned = False

    @property
    def degree(self) -> float:
        """:math:`A`, the bound on the expected vanishing degree."""
        return 2 * self.half_degree

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        stepwise_followers(net, repr(self))

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`; only the first draw of a forward moves the state."""
        nodes = stepwise_followers(net, repr(self)).values()
        scope = self._scope
        if scope is None:
            self._warn_once()
            return swapped({node: _AdaptiveSpike(self.family, self._stateless) for node in nodes})
        moves = draw == 0 and not scope.is_frozen
        return swapped({node: _AdaptiveSpike(self.family, self._rule(scope, node, moves)) for node in nodes})

    @contextmanager
    def attack_scope(self, ids: Sequence[int]) -> Iterator[AttackScope]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`; leaving the scope frees the state."""
        outer, self._scope = self._scope, SampleState(ids, initial=(1.0, 0.0), storage=self.storage)
        try:
            yield self._scope
        finally:
            self._scope = outer

    def _stateless(self, v: Tensor, step: int) -> Tensor:  # noqa: ARG002
        return self.w / (v.abs() + _FLOOR)

    def _rule(self, scope: SampleState, node: nn.Module, moves: bool) -> Callable[[Tensor, int], Tensor]:
        def sharpness(v: Tensor, step: int) -> Tensor:
            size = v.abs()
            mean, spread = scope.read((node, step), v)
            if moves:
                mean = self.beta1 * mean + (1 - self.beta1) * size
                spread = self.beta2 * spread + (1 - self.beta2) * (size - mean).abs()
                scope.write((node, step), (mean, spread))
            return self.w / (mean + self.spread * spread + _FLOOR)

        return sharpness

    def _warn_once(self) -> None:
        if self._warned:
            return
        self._warned = True
        came = f"a gradient under {self} outside an attack scope"
        fix = "use an attack of art_snn.attacks, or open policy.attack_scope(ids) around your own"
        message = explain(came, "a scope that says which sample is which; the weaker stateless form is used", fix)
        warnings.warn(message, GradientWarning, stacklevel=2)

    def __repr__(self) -> str:
        family = "" if self.family == "atan" else f", family={self.family!r}"
        return f"ASSG({self.half_degree}{family})"


class _AdaptiveSpike(nn.Module):
    """One layer during one run; counts its steps."""

    def __init__(self, family: str, sharpness: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.slope = FAMILIES[family].slope
        self.sharpness = sharpness
        self.step = 0

    def forward(self, v: Tensor) -> Tensor:
        return spike(v, self.slope, *self._alpha(v.detach()))

    def fusible(self) -> Slope:
        return Slope(self.slope, watch=self._alpha)

    def _alpha(self, v: Tensor) -> tuple[Tensor]:
        alpha = self.sharpness(v, self.step)
        self.step += 1
        return (alpha,)


def _check(half_degree: float, family: str, spread: float, beta1: float, beta2: float) -> None:
    if not 0 < half_degree < 0.5:
        came = f"half_degree={half_degree}"
        raise ValueError(explain(came, "A/2 in (0, 0.5), half the vanishing degree", "ASSG(0.45)"))
    if family not in FAMILIES or FAMILIES[family].reach is None:
        known = ", ".join(name for name, kind in FAMILIES.items() if kind.reach is not None)
        raise ValueError(explain(f"family={family!r}", f"one of {known}", "ASSG(0.45, family='atan')"))
    if not (spread >= 0 and 0 <= beta1 < 1 and 0 <= beta2 < 1):
        came = f"spread={spread}, beta1={beta1}, beta2={beta2}"
        raise ValueError(explain(came, "spread >= 0 and both betas in [0, 1)", "ASSG(0.45)"))
