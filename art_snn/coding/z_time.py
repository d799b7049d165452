r"""Spike times in the z-domain: :math:`z = e^t` with :math:`t = x`, continuous, one number per pixel instead of a
train.

A non-leaky integrate-and-fire neuron with exponential synapses has an exact spike time in this domain (see
:class:`~art_snn.neurons.ZLinear`), so that nothing is rounded and the gradient is exact. Dark pixels fire first
(:math:`z = 1`), as published; bright first is :math:`z = e^{1-x}`.

Source: Mostafa 2018; Zhou et al. 2021 ("Temporal-coded deep spiking neural network").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.timing import POLARITIES
from art_snn.errors import explain


def z_time(x: Tensor, polarity: str = "dark_first") -> Tensor:
    """``exp(t)`` of the spike time of each value of ``x`` in [0, 1], same shape, values in [1, e].

    :param x: intensities in [0, 1].
    :param polarity: ``bright_first`` or ``dark_first``.

    >>> z_time(torch.tensor([0.0])).item()
    1.0
    """
    return torch.exp(x if polarity == "dark_first" else 1 - x)


class ZTime(Encoder):
    r"""Continuous spike times as :math:`z = e^t`, a train of a single step: ``[N, *] -> [1, N, *]``.

    :param T: 1, the only length this code has.
    :param polarity: ``dark_first`` (default) or ``bright_first``.
    :raises ValueError: for another polarity or length.

    >>> ZTime()(torch.tensor([[0.0, 1.0]])).shape
    torch.Size([1, 1, 2])
    """

    is_binary = False
    backwards = ("exact",)

    def __init__(
        self, T: int = 1, polarity: str = "dark_first", *, backward: str | None = None, seed: int | None = None
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if self.T != 1 or polarity not in POLARITIES:
            came = f"T = {T}, polarity={polarity!r}"
            raise ValueError(explain(came, f"T = 1 and one of {POLARITIES}", "ZTime(polarity='dark_first')"))
        self.polarity = polarity

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`z_time`."""
        return z_time(x, self.polarity).unsqueeze(0)

    def decode(self, s: Tensor) -> Tensor:
        """The intensity, exactly; beyond e the nearest."""
        t = torch.log(s[0].clamp(1.0, math.e))
        return t if self.polarity == "dark_first" else 1 - t
