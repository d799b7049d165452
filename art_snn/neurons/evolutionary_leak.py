r"""Evolutionary leak: a LIF neuron with one learnable leak per neuron and time step.

.. math:: u_t = \tau_t \odot u^+_{t-1} + I_t

With a constant :math:`\tau_t \equiv c` it is a LIF neuron of leak c. The parameters fix the size of the input.

Source: FEEL-SNN, Xu et al., NeurIPS 2024 (there with a frequency code, see :class:`~art_snn.coding.Frequency`). The
paper leaves the leak unconstrained; ``clamp=True`` keeps it in [0, 1], with a gradient that passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.coding.straight_through import clamp_straight_through
from art_snn.errors import explain
from art_snn.neurons.varying_lif import Value, VaryingLIF, check_step, check_varies


class EvolutionaryLeak(VaryingLIF):
    """LIF with a learnable leak per neuron and step.

    :param T: time steps.
    :param shape: shape of one sample's current, ``(features,)`` or ``(C, H, W)``.
    :param initial: leak at the start, 0 or more.
    :param clamp: keep the leak in [0, 1].

    The remaining parameters are those of :class:`~art_snn.neurons.varying_lif.VaryingLIF`, without ``tau``.

    :raises ValueError: if an argument is out of range, or, when called, the current has another shape.

    >>> EvolutionaryLeak(T=2, shape=(1,), initial=0.5)(torch.tensor([0.75, 0.75]).view(2, 1, 1)).flatten().tolist()
    [0.0, 1.0]
    """

    def __init__(self, T: int, shape: Sequence[int], initial: float = 1.0, clamp: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if T < 1 or not initial >= 0:
            came = f"T={T}, initial={initial}"
            raise ValueError(explain(came, "at least one step and a leak of 0 or more", "EvolutionaryLeak(8, (64,))"))
        self.T, self.shape, self.initial, self.clamp = int(T), tuple(int(n) for n in shape), float(initial), bool(clamp)
        self.leaks = nn.Parameter(torch.full((self.T, *self.shape), self.initial))

    def leak(self, t: int, x: Tensor) -> Value:
        """The learned leak of each neuron in this step."""
        check_varies("EvolutionaryLeak", self.shape, x, "leak")
        leak = self.leaks[check_step("EvolutionaryLeak", t, self.T)]
        return clamp_straight_through(leak, 0.0, 1.0) if self.clamp else leak

    def own_arguments(self) -> dict[str, Any]:
        """See the base class."""
        return {"T": self.T, "shape": self.shape, "initial": self.initial, "clamp": self.clamp}
