r"""Burst code: a bright pixel fires more spikes, and closer together.

.. math:: N(x) = \lceil N_{max}\,x \rceil, \qquad \Delta(x) = \lceil (\Delta_{max} - \Delta_{min})(1-x) + \Delta_{min}
   \rceil, \qquad s_t = 1[t = j\Delta,\ j = 0..N-1] .

Every pixel above 0 fires at step 0, so that only count and interval carry information. Backward choices:

``shift`` (default)
    the central difference of the code over one step of the count, :math:`h = 1/N_{max}`, one-sided at 0 and 1.
``identity``
    :math:`\partial s_t/\partial x := 1`.
``masked``, ``none``
    gradient only where a spike was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

Source: Guo et al. 2021, "Neural coding in spiking neural networks: a comparative study".
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient, central_difference, is_traced
from art_snn.coding.timing import DUST
from art_snn.errors import explain


def burst_shape(x: Tensor, max_spikes: int, shortest: int, longest: int) -> tuple[Tensor, Tensor]:
    """Number of spikes and interval of each pixel of ``x`` in [0, 1], int64.

    >>> [part.tolist() for part in burst_shape(torch.tensor([0.0, 0.5, 1.0]), 4, 1, 3)]
    [[0, 2, 4], [3, 2, 1]]
    """
    x = x.detach().double()
    count = torch.ceil(max_spikes * x - DUST).long().clamp_(min=0)
    interval = torch.ceil((longest - shortest) * (1.0 - x) + shortest - DUST).long()
    return count, interval


def burst(x: Tensor, T: int, max_spikes: int, shortest: int, longest: int) -> Tensor:
    """Bursts ``[T, N, *]`` of ``x [N, *]`` in [0, 1]; spikes beyond T are lost.

    :param T: number of time steps.
    :param max_spikes: spikes of the strongest input, 1 or more.
    :param shortest: steps between the spikes of the strongest input.
    :param longest: steps between the spikes of the weakest input.

    >>> burst(torch.tensor([1.0, 0.5]), 4, 2, 1, 3).T.tolist()
    [[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """
    count, interval = burst_shape(x, max_spikes, shortest, longest)
    steps = torch.arange(T, device=x.device).view(T, *([1] * x.dim()))
    return ((steps % interval == 0) & (steps < count * interval)).to(x.dtype)


def longest_that_fits(T: int, max_spikes: int, shortest: int) -> int:
    """The largest longest interval for which no spike of any intensity falls beyond T; 0 if there is none.

    A burst of j spikes is slowest just above :math:`x = (j-1)/N_{max}`.
    """
    for longest in range(max(T, shortest), shortest - 1, -1):
        if _fits(T, max_spikes, shortest, longest):
            return longest
    return 0


def _fits(T: int, max_spikes: int, shortest: int, longest: int) -> bool:
    spread = longest - shortest
    slowest = ((j, shortest - (-spread * (max_spikes - j + 1) // max_spikes)) for j in range(1, max_spikes + 1))
    return all((j - 1) * interval <= T - 1 for j, interval in slowest)


class Burst(Encoder):
    r"""Count and interval code the intensity; the first spike of every pixel above 0 is at step 0.

    :param T: number of time steps.
    :param max_spikes: :math:`N_{max}`, spikes of a white pixel.
    :param shortest: :math:`\Delta_{min}`, interval of a white pixel.
    :param longest: :math:`\Delta_{max}`, interval of a black pixel; by default the longest for which every burst fits.
    :param overflow: ``error`` refuses bursts that do not fit into T, ``drop`` loses their last spikes.
    :param backward: ``shift`` (default), ``identity``, ``masked`` or ``none``.
    :raises ValueError: if the bursts do not fit, or an argument is out of range.

    >>> code = Burst(T=10, max_spikes=4)
    >>> code.longest, code(torch.tensor([[1.0]]))[:, 0, 0].tolist()
    (7, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """

    backwards = ("shift", "identity", "masked", "none")

    def __init__(
        self,
        T: int,
        max_spikes: int = 5,
        shortest: int = 1,
        longest: int | None = None,
        *,
        overflow: str = "error",
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if max_spikes < 1 or shortest < 1 or (longest is not None and longest < shortest):
            came = f"max_spikes={max_spikes}, shortest={shortest}, longest={longest}"
            raise ValueError(explain(came, "max_spikes >= 1 and 1 <= shortest <= longest", "Burst(T=10, max_spikes=4)"))
        if overflow not in ("error", "drop"):
            raise ValueError(explain(f"overflow={overflow!r}", "'error' or 'drop'", "overflow='error'"))
        room = longest_that_fits(self.T, max_spikes, shortest)
        self.longest = (room or shortest) if longest is None else int(longest)
        if overflow == "error" and self.longest > room:
            came = f"bursts of up to {max_spikes} spikes, {shortest} to {self.longest} steps apart, in T = {self.T}"
            fix = "pass a longer T, fewer max_spikes, a smaller longest, or overflow='drop'"
            raise ValueError(explain(came, "every burst inside T", fix))
        self.max_spikes, self.shortest, self.overflow = int(max_spikes), int(shortest), overflow

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`burst`."""
        value = x.detach()
        spikes = self._code(value)
        if not is_traced(x):
            return spikes
        return carry_gradient(spikes, x, self._slope(value, spikes))

    def _code(self, value: Tensor) -> Tensor:
        return burst(value, self.T, self.max_spikes, self.shortest, self.longest)

    def _slope(self, value: Tensor, spikes: Tensor) -> Tensor | float:
        if self.backward == "shift":
            return central_difference(self._code, value, 1.0 / self.max_spikes)
        slopes: dict[str, Tensor | float] = {"identity": 1.0, "masked": spikes, "none": 0.0}
        return slopes[self.backward]

    def decode(self, s: Tensor) -> Tensor:
        """The middle of the intensities that give this count and, from two spikes on, this interval.

        At most :math:`1/2N_{max}` away from the input where no spike was dropped.
        """
        fired = s != 0
        count = fired.sum(0)
        upper = count.double() / self.max_spikes
        lower = (count - 1).double() / self.max_spikes
        spread = self.longest - self.shortest
        if spread and self.T > 1:
            interval = fired[1:].int().argmax(0) + 1
            from_interval = 1.0 - (interval - self.shortest).double() / spread
            several = count > 1
            lower = torch.where(several, torch.maximum(lower, from_interval), lower)
            upper = torch.where(several, torch.minimum(upper, from_interval + 1.0 / spread), upper)
        return torch.where(count > 0, ((lower + upper) / 2).clamp(0.0, 1.0), 0.0).to(s.dtype)
