r"""Rate gradient approximation: the slope of a piecewise linear curve from mean current to rate.

The curve runs through :math:`(0, 0)`, :math:`((1-\lambda)\theta, \gamma(1-\lambda)\theta)` and
:math:`(\beta\theta, 1)`, so with the mean charge :math:`\bar I`

.. math:: \kappa = \gamma \;\; (0 \le \bar I \le (1-\lambda)\theta), \qquad
    \kappa = \frac{1 - \gamma\theta(1-\lambda)}{(\lambda + \beta - 1)\theta} \;\;
    ((1-\lambda)\theta < \bar I \le \beta\theta), \qquad 0 \text{ otherwise},

and :math:`g_t = c\,\kappa(\bar I)\,\delta_t`. For an IF neuron (:math:`\lambda = 1`) the slope is
:math:`1/(\beta\theta)` on all of :math:`[0, \beta\theta]`. :math:`\bar I` contains the gain (``decay_input``), and
:math:`\theta` is counted from the reset potential. The curve is that of a hard reset under constant current; for a soft
reset it is a heuristic.

Source: Bu et al., "Rate gradient approximation attack threats deep spiking neural networks", CVPR 2023.
"""

from __future__ import annotations

from torch import Tensor

from art_snn.errors import explain
from art_snn.gradients.neurons import Number
from art_snn.gradients.slopes import SlopePolicy, Train


def rate_slope(current: Tensor, leak: Number, threshold: Number, gamma: float = 0.2, beta: float = 2.0) -> Tensor:
    r"""Slope :math:`\kappa` at a mean charge.

    :param current: mean charge per step, any shape.
    :param leak: :math:`\lambda` in (0, 1].
    :param threshold: :math:`\theta`.
    :param gamma: first slope.
    :param beta: saturation in units of the threshold, above :math:`1 - \lambda`.

    >>> import torch
    >>> rate_slope(torch.tensor([-0.1, 0.4, 1.0, 2.5]), leak=0.5, threshold=1.0)
    tensor([0.0000, 0.2000, 0.6000, 0.0000])
    """
    knee = (1 - leak) * threshold
    steep = (1 - gamma * knee) / ((leak + beta - 1) * threshold)
    first = (current >= 0) & (current <= knee) & (leak < 1)
    second = (current >= 0) & (current <= beta * threshold) & ~first
    return gamma * first.to(current.dtype) + steep * second.to(current.dtype)


class RGA(SlopePolicy):
    r"""Rate gradient approximation, for IF, LIF and PLIF neurons.

    :param gamma: slope below the leak current, at least 0.
    :param beta: current of full rate in thresholds, at least 1.
    :raises ValueError: for a parameter out of range.

    >>> RGA()
    RGA(gamma=0.2, beta=2.0)
    """

    def __init__(self, gamma: float = 0.2, beta: float = 2.0) -> None:
        if not (gamma >= 0 and beta >= 1):
            fix = "RGA(gamma=0.2, beta=2.0)"
            raise ValueError(explain(f"gamma={gamma}, beta={beta}", "gamma >= 0 and beta >= 1", fix))
        self.gamma = gamma
        self.beta = beta

    def slope(self, train: Train) -> Tensor:
        """See :func:`rate_slope`."""
        charge = train.charge
        kappa = rate_slope(train.mean_charge(), charge.leak, charge.threshold, self.gamma, self.beta)
        return charge.gain * kappa

    def __repr__(self) -> str:
        return f"RGA(gamma={self.gamma}, beta={self.beta})"
