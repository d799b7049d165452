r"""Stochastic gate: spikes pass with a learned probability, :math:`s_t \odot m_t`, :math:`m_t \sim \mathrm{Ber}(h)`.

.. math:: h = \mathrm{clip}(P,\, 0.1,\, 1), \qquad m = 1[U < h], \quad U \sim U[0, 1)

with one draw per sample, neuron and step. At h = 1 the gate is the identity, bit for bit. Gradients reach P through the
relaxation :math:`\tilde m = \sigma((\mathrm{logit}\,h - \mathrm{logit}\,U)/\tau_c)`, :math:`\tau_c = 1/2`,

.. math:: \partial m / \partial h := \tilde m (1 - \tilde m) / (\tau_c\, h (1 - h)),

with h held below 1 - 1e-3 in the backward pass alone. Training adds :math:`\gamma \tfrac12 \|P\|^2` (:meth:`penalty`).

A random gate is a gradient-masking suspect by construction: attack it through the mean over draws, judge it by votes
on fresh draws, and attack its mean network (``gate.mean = True`` sets m := h) as well.

Source: StoG, Ding et al., AAAI 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from spikingjelly.activation_based import base
from torch import Tensor, nn

from art_snn.coding.draws import SeededDraws, mixed
from art_snn.coding.straight_through import clamp_straight_through
from art_snn.errors import explain

_TEMPERATURE = 0.5
_EDGE = 1e-3
_LEAST = 0.1


class _Bernoulli(torch.autograd.Function):
    """``m = 1[U < h]``, with the slope of its logistic relaxation."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, u: Tensor) -> Tensor:
        ctx.save_for_backward(h, u)
        return (u < h).to(u)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        h, u = ctx.saved_tensors
        h = h.clamp(max=1 - _EDGE)
        soft = torch.sigmoid((torch.logit(h) - torch.logit(u, eps=1e-6)) / _TEMPERATURE)
        slope = soft * (1 - soft) / (_TEMPERATURE * h * (1 - h))
        return (grads[0] * slope).sum_to_size(h.shape), None


class StochasticGate(nn.Module, base.StepModule):
    r"""A gate behind a spiking neuron.

    :param shape: shape of one sample's spikes.
    :param initial: P at the start, in (0, 1].
    :param seed: seed of the gate's own stream; :meth:`reseed` rewinds it.
    :param step_mode: ``m`` (default) or ``s``.
    :raises ValueError: if an argument is out of range, or, when called, the spikes have another shape.

    >>> gate = StochasticGate((3,))
    >>> s = torch.ones(2, 1, 3)
    >>> bool((gate(s) == s).all())
    True
    """

    def __init__(self, shape: Sequence[int], initial: float = 1.0, seed: int = 0, step_mode: str = "m") -> None:
        super().__init__()
        if not 0 < initial <= 1:
            fix = "StochasticGate(shape, initial=1.0)"
            raise ValueError(explain(f"initial={initial}", "a probability above 0 and up to 1", fix))
        self.shape, self.initial, self.seed = tuple(int(n) for n in shape), float(initial), int(seed)
        self.P = nn.Parameter(torch.full(self.shape, self.initial))
        self.step_mode = step_mode
        self.mean = False
        self.draws = SeededDraws(self.seed)

    @property
    def rate(self) -> Tensor:
        """Probability h that a spike passes, of the layer's shape."""
        return clamp_straight_through(self.P, _LEAST, 1.0)

    @property
    def is_stochastic(self) -> bool:
        """Whether two calls can differ."""
        return not self.mean and bool((self.P < 1).any())

    def reseed(self, seed: int | None = None) -> None:
        """Start the stream anew, from ``seed`` mixed with the gate's own, or from the latter."""
        self.draws.reseed(self.seed if seed is None else mixed(seed, self.seed))

    def penalty(self) -> Tensor:
        r""":math:`\tfrac12 \|P\|^2`, to be weighted with 5e-6, say, and added to the training loss."""
        return 0.5 * (self.P**2).sum()

    def forward(self, s: Tensor) -> Tensor:
        """Gated spikes, of the shape of ``s``."""
        several = self.step_mode == "m"
        per_sample = tuple(s.shape[2:] if several else s.shape[1:])
        if per_sample != self.shape:
            came = f"spikes of shape {list(per_sample)} per sample at a gate made for {list(self.shape)}"
            raise ValueError(explain(came, "one probability per neuron", f"StochasticGate({per_sample})"))
        h = self.rate
        if self.mean:
            return s * h
        like = s[0] if several else s
        u = self.draws.uniform(len(s) if several else 1, like.detach())
        m: Tensor = _Bernoulli.apply(h.expand(u.shape), u)
        return s * (m if several else m[0])

    def extra_repr(self) -> str:
        """Arguments."""
        return f"shape={self.shape}, initial={self.initial}, seed={self.seed}, step_mode={self.step_mode}"
