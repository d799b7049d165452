r"""Randomized leak: a LIF neuron whose leak is drawn anew, per sample and neuron, at every call.

.. math:: \lambda_i = \mathrm{clip}(\lambda + \sigma \sqrt 3\,(2 U_i - 1),\, 0,\, 1), \qquad U_i \sim U[0, 1)

so that the spread is :math:`\sigma` before clipping; with :math:`\sigma = 0` it is a LIF neuron. A randomized network
is attacked through the mean over draws, and judged on draws that no attack has seen; one whose draws are frozen is
another, deterministic network.

Source: the idea of RandHet-SNN (iScience 2025); written from its abstract, not a reproduction.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.coding.draws import SeededDraws, mixed
from art_snn.errors import explain
from art_snn.neurons.varying_lif import Value, VaryingLIF


class RandomLeak(VaryingLIF):
    r"""LIF with a random leak per sample and neuron.

    :param tau: sets the mean leak 1 - 1/tau.
    :param sigma: :math:`\sigma`, 0 or more.
    :param seed: seed of the neuron's own stream; :meth:`reseed` rewinds it.

    The remaining parameters are those of :class:`~art_snn.neurons.varying_lif.VaryingLIF`.

    :raises ValueError: if an argument is out of range.

    >>> RandomLeak(tau=2.0, sigma=0.0)(torch.tensor([0.75, 0.75]).view(2, 1)).flatten().tolist()
    [0.0, 1.0]
    """

    def __init__(self, tau: float = 2.0, sigma: float = 0.1, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(tau, **kwargs)
        if not sigma >= 0:
            raise ValueError(explain(f"sigma={sigma}", "a spread of 0 or more", "RandomLeak(sigma=0.1)"))
        self.sigma, self.seed = float(sigma), int(seed)
        self.draws = SeededDraws(self.seed)
        self.drawn: Tensor | None
        self.register_memory("drawn", None)

    @property
    def is_stochastic(self) -> bool:
        """Whether two calls can differ."""
        return self.sigma > 0

    def reseed(self, seed: int | None = None) -> None:
        """Start the stream anew, from ``seed`` mixed with the neuron's own, or from the latter."""
        self.draws.reseed(self.seed if seed is None else mixed(seed, self.seed))

    def leak(self, t: int, x: Tensor) -> Value:  # noqa: ARG002
        """One leak per sample and neuron, the same in every step of a call."""
        mean = 1 - 1 / self.tau
        if self.sigma == 0:
            return mean
        if self.drawn is None:
            u = self.draws.uniform(1, x.detach())[0]
            self.drawn = torch.clamp(mean + self.sigma * 3**0.5 * (2 * u - 1), 0.0, 1.0)
        return self.drawn

    def own_arguments(self) -> dict[str, Any]:
        """See the base class."""
        return {"sigma": self.sigma, "seed": self.seed}
