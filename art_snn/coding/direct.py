r"""Direct (constant-current) code: :math:`s_t = x` for every step.

Analog, deterministic, differentiable with :math:`\partial s_t/\partial x = 1`. The first layer sees real numbers and is
a multiply-accumulate layer at every step.

Source: Wu et al., "Direct training for spiking neural networks", AAAI 2019; Rathi and Roy 2020.
"""

from __future__ import annotations

from torch import Tensor

from art_snn.coding.base import Encoder


def direct(x: Tensor, T: int) -> Tensor:
    """Repeat ``x [N, *]`` for ``T`` steps, without copying: ``[T, N, *]``.

    >>> import torch
    >>> direct(torch.tensor([[0.25]]), 3).flatten().tolist()
    [0.25, 0.25, 0.25]
    """
    return x.unsqueeze(0).expand(T, *x.shape)


class Direct(Encoder):
    r"""Constant input: :math:`s_t = x`.

    Any finite real input is accepted, standardized images included.

    :param T: number of time steps.

    >>> import torch
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
