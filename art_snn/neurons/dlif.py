r"""DLIF: a LIF neuron with one learnable input gain per time step.

.. math:: u_t = \lambda u^+_{t-1} + p_t I_t, \qquad p \in \mathbb{R}^T

per layer, with p = 1 at the start: then it is a LIF neuron. The gains let training shorten the path along which a
perturbation grows in time; the penalty that makes use of them is
:func:`~art_snn.defenses.trainer.membrane_perturbation`.

A defense of this kind only moves numbers if the attack follows it: gradients flow through p like through a weight.

Source: Ding et al., ICML 2024.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.neurons.varying_lif import Value, VaryingLIF, check_step


class DLIF(VaryingLIF):
    """LIF with a learnable gain per step.

    :param T: time steps; a longer train is refused.
    :param tau: membrane time constant; 100 (a leak of 0.99) by default.

    The remaining parameters are those of :class:`~art_snn.neurons.varying_lif.VaryingLIF`.

    :raises ValueError: if an argument is out of range.

    >>> DLIF(T=2, tau=2.0)(torch.tensor([0.75, 0.75]).view(2, 1)).flatten().tolist()
    [0.0, 1.0]
    """

    def __init__(self, T: int, tau: float = 100.0, **kwargs: Any) -> None:
        super().__init__(tau, **kwargs)
        if isinstance(T, bool) or not isinstance(T, int) or T < 1:
            raise ValueError(explain(f"T={T!r}", "a whole number of steps, at least 1", "DLIF(T=8)"))
        self.p = nn.Parameter(torch.ones(T))

    def gain(self, t: int, x: Tensor) -> Value | None:  # noqa: ARG002
        """The learned gain of this step."""
        return self.p[check_step("DLIF", t, len(self.p))]

    def own_arguments(self) -> dict[str, Any]:
        """See the base class."""
        return {"T": len(self.p)}
