r"""Hybrid rate-temporal gradient: surrogate slopes at each step, then the same gradient for all steps.

.. math:: e_t = \delta_t\, h_\gamma(v_t), \qquad g_t = \frac{c}{T} \sum_\tau e_\tau

:math:`h_\gamma` is the triangle of half width :math:`\gamma`; the membrane carries no gradient. The mean runs over the
whole train, so the neurons must be in multi-step mode. At T = 1 it is backpropagation through time with the same
surrogate.

Source: Hao et al., "Threaten spiking neural networks through combining rate and temporal information", ICLR 2024.
"""

from __future__ import annotations

import math

from art_snn.errors import explain
from art_snn.gradients.slopes import MembraneSlope
from art_snn.gradients.spike import surrogate


class HART(MembraneSlope):
    r"""Hybrid rate-temporal gradient, for IF, LIF and PLIF neurons in multi-step mode.

    :param gamma: half width of the triangle; narrow is sharp. To be calibrated on samples that are not evaluated.
    :raises ValueError: if ``gamma`` is not positive.

    >>> HART(gamma=0.5)
    HART(gamma=0.5)
    """

    averages = True

    def __init__(self, gamma: float = 1.0) -> None:
        if not (gamma > 0 and math.isfinite(gamma)):
            raise ValueError(explain(f"gamma={gamma}", "a positive half width", "HART(gamma=0.5)"))
        super().__init__(surrogate("triangle", 1.0 / gamma))
        self.gamma = gamma

    def __repr__(self) -> str:
        return f"HART(gamma={self.gamma})"
