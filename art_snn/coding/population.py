r"""Population code: each value is seen by m neurons with Gaussian receptive fields.

For :math:`x \in [0, 1]` and :math:`j = 1..m`

.. math:: \mu_j = \frac{2j-3}{2(m-2)}, \qquad \mathrm{std} = \frac{1}{1.5\,(m-2)}, \qquad
   r_j = \exp\!\left(-\frac{(x-\mu_j)^2}{2\,\mathrm{std}^2}\right),

and the response becomes spikes in one of three ways:

``latency``
    one spike at :math:`\tau_j = \mathrm{round}(T(1 - r_j))`; :math:`\tau_j \ge T` is silent.
``if``
    :math:`r_j` drives an integrate-and-fire neuron with soft reset and threshold 0.999 for T steps.
``bernoulli``
    :math:`s_t = 1[u_t < r_j]`, from the encoder's own stream.

The receptive fields are differentiated exactly; only spike generation has a backward choice: ``shift`` (default; the
central difference in :math:`r_j` at :math:`h = 1/T`), ``identity`` (:math:`\partial s_t/\partial r_j := 1`), ``masked``
or ``none``, the last two to reproduce published numbers only. For ``bernoulli`` ``shift`` is ``identity``, its exact
mean slope.

Source: Bohte et al. 2002 (receptive fields); Tang et al. 2020 (``if``, ``bernoulli``); SpikingJelly's Gaussian tuning.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.draws import SeededDraws
from art_snn.coding.poisson import poisson
from art_snn.coding.straight_through import carry_gradient, central_difference, is_traced
from art_snn.coding.timing import place
from art_snn.errors import explain

VARIANTS = ("latency", "if", "bernoulli")
_THRESHOLD = 0.999


def receptive_fields(m: int) -> tuple[Tensor, float]:
    """Centres ``[m]`` (float64) and common standard deviation for values in [0, 1].

    >>> receptive_fields(4)[0].tolist()
    [-0.25, 0.25, 0.75, 1.25]
    """
    centres = (2 * torch.arange(1, m + 1, dtype=torch.double) - 3) / (2 * (m - 2))
    return centres, 1 / (1.5 * (m - 2))


def responses(x: Tensor, m: int) -> Tensor:
    """Responses in (0, 1]: ``x [N, C, *]`` to ``[N, C m, *]``, the m neurons of a channel next to each other.

    >>> responses(torch.tensor([[0.25]]), 4)[0, 1].item()
    1.0
    """
    centres, std = receptive_fields(m)
    centres = centres.to(x).view(1, 1, m, *([1] * (x.dim() - 2)))
    r = torch.exp(-((x.unsqueeze(2) - centres) ** 2) / (2 * std**2))
    return r.flatten(1, 2)


def population(x: Tensor, T: int, m: int, variant: str = "latency", draws: SeededDraws | None = None) -> Tensor:
    """Spikes of the m neurons of each value: ``x [N, C, *]`` in [0, 1] to ``[T, N, C m, *]``.

    :param variant: as in :class:`Population`.
    :param draws: the stream of a random variant; a fresh one of seed 0 by default.

    >>> population(torch.tensor([[0.25]]), 3, 4)[:, 0, 1].tolist()
    [1.0, 0.0, 0.0]
    """
    return _spikes(responses(x.detach(), m), T, variant, SeededDraws(0) if draws is None else draws)


def _spikes(r: Tensor, T: int, variant: str, draws: SeededDraws) -> Tensor:
    if variant == "latency":
        return place(torch.round(T * (1.0 - r.double())).long(), T, r.dtype)
    if variant == "bernoulli":
        return poisson(r, T, draws)
    membrane = torch.zeros_like(r)
    train = []
    for _ in range(T):
        membrane = membrane + r
        spike = (membrane >= _THRESHOLD).to(r.dtype)
        membrane = membrane - _THRESHOLD * spike
        train.append(spike)
    return torch.stack(train)


class Population(Encoder):
    r"""m neurons with Gaussian receptive fields for every value, ``[N, C, *] -> [T, N, C m, *]``.

    :param T: number of time steps.
    :param m: neurons per value, at least 3.
    :param variant: ``latency`` (default), ``if`` or ``bernoulli``.
    :param backward: ``shift`` (default), ``identity``, ``masked`` or ``none``.
    :param seed: seed of the stream of ``bernoulli``.
    :raises ValueError: for another variant, or fewer than three neurons.

    >>> code = Population(T=10, m=8)
    >>> abs(code.decode(code(torch.tensor([[0.4]]))).item() - 0.4) < 1 / 9
    True
    """

    backwards = ("shift", "identity", "masked", "none")

    def __init__(
        self,
        T: int,
        m: int = 8,
        variant: str = "latency",
        *,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if variant not in VARIANTS:
            raise ValueError(explain(f"variant={variant!r}", f"one of {VARIANTS}", "Population(T, m=8)"))
        if m < 3:
            raise ValueError(explain(f"m = {m}", "at least 3 neurons per value", "pass m=8"))
        self.m, self.variant = int(m), variant
        self.is_stochastic = variant == "bernoulli"

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`population`.

        :raises ValueError: if there is no channel axis.
        """
        if x.dim() < 2:
            raise ValueError(explain(f"input of shape {tuple(x.shape)}", "[N, C, *]", "add a channel axis: x[:, None]"))
        r = responses(x, self.m)
        value = r.detach()
        spikes = _spikes(value, self.T, self.variant, self.draws)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, r, self._slope(value, spikes))

    def _slope(self, value: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "shift" and self.variant != "bernoulli":
            return central_difference(lambda r: _spikes(r, self.T, self.variant, self.draws), value, 1.0 / self.T)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "shift": 1.0, "masked": spikes, "none": 0.0}
        return slopes[self.backward]

    def decode(self, s: Tensor) -> Tensor:
        """The mean of the centres, weighted by spike count or earliness; 1/2 where every neuron is silent."""
        split = s.unflatten(2, (-1, self.m))
        if self.variant == "latency":
            worth = torch.arange(self.T, 0, -1, device=s.device, dtype=s.dtype).view(-1, *([1] * (split.dim() - 1)))
            weight = (split * worth).amax(0)
        else:
            weight = split.sum(0)
        centres = receptive_fields(self.m)[0].to(s).view(1, 1, self.m, *([1] * (weight.dim() - 3)))
        total = weight.sum(2)
        mean = (weight * centres).sum(2) / total.clamp(min=torch.finfo(s.dtype).tiny)
        return torch.where(total > 0, mean.clamp(0.0, 1.0), 0.5)
