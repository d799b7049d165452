r"""Direct (constant-current) code: :math:`s_t = x` for every step.

Analog, deterministic, differentiable with :math:`\partial s_t/\partial x = 1`. The first layer sees real numbers and is
a multiply-accumulate layer at every step.

Quantized variant: :math:`s_t = \mathrm{round}(xT)/T`. A spike code of T steps has T + 1 words, so it
quantizes its input; this is the control that does nothing else. Backward ``identity``; the gradient passes the
rounding.

Source: Wu et al., "Direct training for spiking neural networks", AAAI 2019; Rathi and Roy 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient


def direct(x: Tensor, T: int) -> Tensor:
    """Repeat ``x [N, *]`` for ``T`` steps, without copying: ``[T, N, *]``.

    >>> direct(torch.tensor([[0.25]]), 3).flatten().tolist()
    [0.25, 0.25, 0.25]
    """
    return x.unsqueeze(0).expand(T, *x.shape)


class Direct(Encoder):
    r"""Constant input: :math:`s_t = x`.

    Any finite real input is accepted, standardized images included.

    :param T: number of time steps.

    >>> code = Direct(T=4)
    >>> x = torch.rand(2, 3)
    >>> code(x).shape, bool((code.decode(code(x)) == x).all())
    (torch.Size([4, 2, 3]), True)
    """

    is_binary = False
    domain = None

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`direct`."""
        return direct(x, self.T)

    def decode(self, s: Tensor) -> Tensor:
        """The first step, which is the input itself."""
        return s[0]


def quantize(x: Tensor, T: int) -> Tensor:
    """``x`` rounded to multiples of 1/T (half to even) and repeated: ``x [N, *]`` to ``[T, N, *]``.

    >>> quantize(torch.tensor([[0.3]]), 4)[:, 0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return direct((torch.round(x.double() * T) / T).to(x.dtype), T)


class Quantized(Encoder):
    r"""Constant input of T + 1 grey levels: the non-spiking control of every spike code.

    :param T: number of time steps, and of levels above zero.

    >>> Quantized(T=4)(torch.tensor([[0.3]])).shape
    torch.Size([4, 1, 1])
    """

    is_binary = False

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`quantize`."""
        return carry_gradient(quantize(x.detach(), self.T), x)

    def decode(self, s: Tensor) -> Tensor:
        """The first step, at most 1/2T away from the input."""
        return s[0]
