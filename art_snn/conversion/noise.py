r"""Noise on quantized activations while training, so that the network learns to bear its conversion error.

.. math:: \tilde h(z) = \lambda\,\mathrm{clip}\Big(\tfrac1L\big\lfloor\tfrac{zL}{\lambda}+\tfrac12\big\rfloor + \xi, 0,
   1\Big)

with :math:`\xi` drawn per unit and forward. It is absent in eval mode, and the converted network is deterministic.
This is noise-injected QCFS, reconstructed from the abstract of the paper below and not a reproduction of its numbers.

Source: "Optimal ANN-SNN conversion with residual error as noise", arXiv 2404.17456.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.coding.draws import SeededDraws
from art_snn.errors import explain


class Noise:
    """Base class: a stream of its own, and one number per unit at each call.

    :param seed: seed of the stream.

    >>> class Constant(Noise):
    ...     def __call__(self, level):
    ...         return torch.full_like(level, 0.1)
    >>> Constant()(torch.zeros(1, 2))
    tensor([[0.1000, 0.1000]])
    """

    def __init__(self, seed: int = 0) -> None:
        self.draws = SeededDraws(seed)

    def __call__(self, level: Tensor) -> Tensor:
        """Noise of the shape of ``level``, in units of the threshold."""
        raise NotImplementedError

    def _uniform(self, level: Tensor) -> Tensor:
        return self.draws.uniform(1, level.detach())[0]


class UniformNoise(Noise):
    r"""Uniform in :math:`\pm` ``amplitude``.

    :param amplitude: in units of the threshold, at least 0.
    :raises ValueError: if it is negative.

    >>> bool((UniformNoise(0.1)(torch.zeros(2, 50)).abs() <= 0.1).all())
    True
    """

    def __init__(self, amplitude: float, seed: int = 0) -> None:
        super().__init__(seed)
        if not (amplitude >= 0 and math.isfinite(amplitude)):
            raise ValueError(explain(f"amplitude = {amplitude}", "at least 0", "UniformNoise(0.1)"))
        self.amplitude = float(amplitude)

    def __call__(self, level: Tensor) -> Tensor:
        """See :class:`Noise`."""
        return self.amplitude * (2 * self._uniform(level) - 1)

    def __repr__(self) -> str:
        return f"UniformNoise({self.amplitude})"


class GaussianNoise(Noise):
    """Normal with mean 0.

    :param deviation: standard deviation in units of the threshold, at least 0.
    :raises ValueError: if it is negative.

    >>> GaussianNoise(0.1)(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, deviation: float, seed: int = 0) -> None:
        super().__init__(seed)
        if not (deviation >= 0 and math.isfinite(deviation)):
            raise ValueError(explain(f"deviation = {deviation}", "at least 0", "GaussianNoise(0.1)"))
        self.deviation = float(deviation)

    def __call__(self, level: Tensor) -> Tensor:
        """See :class:`Noise`."""
        open_interval = self._uniform(level).clamp(min=1e-7, max=1 - 1e-7)
        return self.deviation * math.sqrt(2) * torch.erfinv(2 * open_interval - 1)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.deviation})"


class EmpiricalNoise(Noise):
    """Residuals that a converted layer showed, drawn with replacement.

    :param residuals: one-dimensional, in units of the threshold; see
        :func:`~art_snn.conversion.residuals.layer_residuals`.
    :raises ValueError: if there are none.

    >>> sorted(set(EmpiricalNoise(torch.tensor([-0.25, 0.25]))(torch.zeros(4, 8)).flatten().tolist()))
    [-0.25, 0.25]
    """

    def __init__(self, residuals: Tensor, seed: int = 0) -> None:
        super().__init__(seed)
        if residuals.numel() == 0:
            fix = "EmpiricalNoise(layer_residuals(net, x)['relu'])"
            raise ValueError(explain("no residuals", "at least one", fix))
        self.residuals = residuals.detach().flatten()

    def __call__(self, level: Tensor) -> Tensor:
        """See :class:`Noise`."""
        pool = self.residuals.to(level)
        index = (self._uniform(level) * len(pool)).long().clamp(max=len(pool) - 1)
        return pool[index]

    def __repr__(self) -> str:
        return f"EmpiricalNoise({len(self.residuals)} residuals)"
