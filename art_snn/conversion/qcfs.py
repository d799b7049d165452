r"""Quantized clip-floor-shift activation: what an integrate-and-fire neuron computes in L steps, without the steps.

.. math:: h(z) = \lambda\, \mathrm{clip}\Big(\tfrac1L \big\lfloor \tfrac{zL}{\lambda} + \tfrac12 \big\rfloor, 0,
   1\Big)

An IF neuron with soft reset, threshold :math:`\lambda` and start :math:`\lambda/2` that gets :math:`z` at each of T
steps fires :math:`n = \mathrm{clip}(\lfloor zT/\lambda + \frac12 \rfloor, 0, T)` times, so at T = L its rate times
:math:`\lambda` is :math:`h(z)`. For other T the two differ, with mean error 0 over uniform :math:`z`.

The floor passes its gradient; clipping comes before it, so the support is :math:`0 \le z \le \lambda`, and
:math:`\partial h/\partial\lambda` is :math:`(h-z)/\lambda` inside, 1 above, 0 below.

Source: Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural networks", ICLR
2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.coding.straight_through import carry_gradient
from art_snn.conversion.noise import Noise
from art_snn.errors import explain


def qcfs(z: Tensor, threshold: Tensor | float, levels: int) -> Tensor:
    r"""Quantized activation :math:`h(z)`.

    :param z: pre-activation, any shape.
    :param threshold: :math:`\lambda > 0`, broadcastable to ``z``.
    :param levels: :math:`L`, quantization steps above zero.

    >>> qcfs(torch.tensor([-1.0, 0.1, 0.6, 3.0]), 1.0, levels=4).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    return threshold * _level(z / threshold, levels)


def _level(u: Tensor, levels: int) -> Tensor:
    clipped = u.clamp(0, 1)
    return carry_gradient(torch.floor(clipped.detach() * levels + 0.5) / levels, clipped)


class QCFS(nn.Module):
    r"""Drop-in for ``nn.ReLU`` with a trainable threshold.

    :param levels: :math:`L`; the number of time steps at which the converted neuron is exact.
    :param threshold: initial :math:`\lambda`, above 0.
    :param noise: noise added to the level while training, see :mod:`art_snn.conversion.noise`; ``None`` for none. It is
        absent in eval mode and after conversion.
    :raises ValueError: for ``levels`` below 1 or a threshold that is not positive, also one that training drove there.

    >>> QCFS(levels=4, threshold=1.0)(torch.tensor([0.3, 2.0])).tolist()
    [0.25, 1.0]
    """

    def __init__(self, levels: int = 8, threshold: float = 8.0, noise: Noise | None = None) -> None:
        super().__init__()
        if isinstance(levels, bool) or int(levels) != levels or levels < 1:
            raise ValueError(explain(f"levels = {levels!r}", "a whole number of levels, at least 1", "QCFS(levels=8)"))
        self.levels = int(levels)
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.noise = noise
        check_threshold(self.threshold, "QCFS")

    def forward(self, z: Tensor) -> Tensor:
        """See :func:`qcfs`."""
        check_threshold(self.threshold, "QCFS")
        if self.noise is None or not self.training:
            return qcfs(z, self.threshold, self.levels)
        level = _level(z / self.threshold, self.levels)
        return self.threshold * (level + self.noise(level)).clamp(0, 1)

    def extra_repr(self) -> str:
        """Arguments."""
        noise = "" if self.noise is None else f", noise={self.noise}"
        return f"levels={self.levels}, threshold={self.threshold.item():.6g}{noise}"


def check_threshold(threshold: Tensor, name: str) -> None:
    """Refuse thresholds that no neuron can have.

    :raises ValueError: naming the layer, if a threshold is zero, negative or not finite.
    """
    if not bool((threshold > 0).all()) or not bool(torch.isfinite(threshold).all()):
        lowest = float(threshold.detach().min())
        fix = "train with a smaller learning rate and without weight decay on thresholds, or clamp them: "
        fix += "layer.threshold.data.clamp_(min=1e-3)"
        raise ValueError(explain(f"threshold {lowest:.4g} in layer {name!r}", "a positive, finite threshold", fix))
