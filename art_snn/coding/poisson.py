r"""Bernoulli ("Poisson") rate code: :math:`s_t = 1[u_t < x]`, :math:`u_t \sim U[0, 1)` independent per step and pixel.

The count is Binomial(T, x): :math:`E[\bar s] = x`, :math:`\mathrm{Var}[\bar s] = x(1-x)/T`. With the strict inequality
a zero pixel never fires and a one always does.

Backward ``identity``: :math:`\partial s_t/\partial x := 1`, the exact gradient of the mean field. ``masked``
(:math:`\partial s_t/\partial x := s_t`) cannot switch a silent pixel on, and ``none`` is zero everywhere: both exist to
reproduce published numbers, and both make a network look strong because the attack is weak.

Signed variant, for standardized input: :math:`s_t = \mathrm{sign}(x)\,1[u_t r < |x|]`, :math:`E[\bar s] = x/r` up to
:math:`|x| = r`, saturated beyond.

Source: Heeger 2000; identity backward as in Sharmin et al., ECCV 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.draws import SeededDraws
from art_snn.coding.straight_through import carry_gradient
from art_snn.errors import explain


def poisson(x: Tensor, T: int, draws: SeededDraws) -> Tensor:
    """Bernoulli spikes ``[T, N, *]`` with probability ``x [N, *]``, values in [0, 1].

    :param draws: the stream of uniform numbers.

    >>> poisson(torch.tensor([[0.0, 1.0]]), 3, SeededDraws(0)).tolist()
    [[[0.0, 1.0]], [[0.0, 1.0]], [[0.0, 1.0]]]
    """
    return (draws.uniform(T, x) < x).to(x.dtype)


def signed_poisson(x: Tensor, T: int, reach: float, draws: SeededDraws) -> Tensor:
    """Bernoulli spikes of -1, 0, 1: probability ``|x| / reach``, sign of ``x``; ``x [N, *]`` to ``[T, N, *]``.

    :param draws: the stream of uniform numbers.

    >>> signed_poisson(torch.tensor([[0.0, -1.0]]), 2, 1.0, SeededDraws(0)).tolist()
    [[[0.0, -1.0]], [[0.0, -1.0]]]
    """
    return torch.where(draws.uniform(T, x) * reach < x.abs(), x.sign(), 0.0)


class Poisson(Encoder):
    r"""Rate code with independent Bernoulli spikes, from the encoder's own seeded stream.

    :param T: number of time steps.
    :param backward: ``identity`` (default), ``masked`` or ``none``.
    :param seed: seed of the stream (``None`` is 0); :meth:`reseed` rewinds it.

    >>> code = Poisson(T=1000, seed=0)
    >>> abs(code.decode(code(torch.tensor([[0.3]]))).item() - 0.3) < 0.06
    True
    """

    is_stochastic = True
    backwards = ("identity", "masked", "none")

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`poisson`."""
        spikes = poisson(x.detach(), self.T, self.draws)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return carry_gradient(spikes, x, slopes[self.backward])

    def decode(self, s: Tensor) -> Tensor:
        """The mean rate, an unbiased estimate of the input."""
        return s.mean(0)


class SignedPoisson(Encoder):
    r"""Rate code of standardized input: spikes carry the sign of ``x``, their probability is :math:`|x|/r`.

    :param T: number of time steps.
    :param reach: r, where the rate saturates.
    :param backward: ``identity`` (default; :math:`\partial s_t/\partial x := 1/r`), ``masked`` or ``none``.
    :param seed: seed of the stream (``None`` is 0).
    :raises ValueError: if ``reach`` is not positive.

    >>> code = SignedPoisson(T=2, reach=1.0)
    >>> code(torch.tensor([[-1.0, 0.0]])).tolist()
    [[[-1.0, 0.0]], [[-1.0, 0.0]]]
    """

    is_stochastic = True
    is_binary = False
    domain = None
    backwards = ("identity", "masked", "none")

    def __init__(self, T: int, reach: float = 2.0, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if not reach > 0:
            raise ValueError(explain(f"reach={reach}", "a positive number", "pass reach=2.0"))
        self.reach = float(reach)

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`signed_poisson`."""
        spikes = signed_poisson(x.detach(), self.T, self.reach, self.draws)
        slopes: dict[str, Tensor | float] = {
            "identity": 1.0 / self.reach, "masked": spikes.abs() / self.reach, "none": 0.0
        }  # fmt: skip
        return carry_gradient(spikes, x, slopes[self.backward])

    def decode(self, s: Tensor) -> Tensor:
        """The mean signed rate times r, unbiased up to saturation."""
        return self.reach * s.mean(0)
