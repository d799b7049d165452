r"""Delta (threshold) modulation: spikes where the input has changed, for input that has time.

The reconstruction starts at :math:`r_0 = x_0`; for :math:`t \ge 1`

.. math:: on_t = 1[x_t - r_{t-1} \ge \theta], \quad off_t = 1[r_{t-1} - x_t \ge \theta], \quad
   r_t = r_{t-1} + \theta\,(on_t - off_t) .

There is at most one event per step and value; :math:`|x_t - r_t| \le \theta` as long as the input moves by at most
:math:`\theta` per step. Channels are [on | off], or one signed train. Backward choices:

``identity`` (default)
    the identity on the reconstruction, :math:`\partial r_t/\partial x_t := 1`: the slope of ``on`` is
    :math:`1/2\theta`, that of ``off`` :math:`-1/2\theta`, that of a signed train :math:`1/\theta`.
``masked``, ``none``
    the same only where an event was emitted, or zero everywhere: to reproduce published numbers, never to judge
    robustness.

Source: Lichtsteiner et al. 2008 (the sensor); send-on-delta sampling.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_gradient
from art_snn.errors import ArtSnnWarning, explain, summary

_DUST = 1e-6


def delta(x: Tensor, threshold: float) -> Tensor:
    """Signed events of ``x [T, N, *]``, time first: +1, 0, -1, same shape.

    :param threshold: change of the input that makes an event, above 0, in units of ``x``.

    >>> delta(torch.tensor([0.0, 0.3, 0.6, 0.1]).view(4, 1), 0.25).flatten().tolist()
    [0.0, 1.0, 1.0, -1.0]
    """
    value = x.detach().double()
    reference = value[0]
    events = [torch.zeros_like(reference)]
    for step in value[1:]:
        change = step - reference + _DUST * (step - reference).sign()
        event = (change >= threshold).double() - (change <= -threshold).double()
        reference = reference + threshold * event
        events.append(event)
    return torch.stack(events).to(x.dtype)


class Delta(Encoder):
    r"""Events where the input moved by a threshold: ``[N, T, C, *] -> [T, N, 2C, *]``, [on | off].

    :param T: number of time steps that the input must have.
    :param threshold: :math:`\theta`.
    :param signed: one train of +1 and -1 instead of two channels.
    :param backward: ``identity`` (default), ``masked`` or ``none``.
    :raises ValueError: if ``threshold`` is not positive.

    A static input gives no event at all, and a warning.

    >>> video = torch.tensor([0.0, 0.3, 0.6, 0.1]).view(1, 4, 1)
    >>> Delta(T=4, threshold=0.25)(video)[:, 0].tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    domain = None
    backwards = ("identity", "masked", "none")

    def __init__(
        self,
        T: int,
        threshold: float = 0.1,
        *,
        signed: bool = False,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if not threshold > 0:
            raise ValueError(explain(f"threshold={threshold}", "a positive change", "pass threshold=0.1"))
        self.threshold, self.signed = float(threshold), signed
        self.is_binary = not signed

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`delta`.

        :raises ValueError: if the second axis does not have ``T`` steps, or there is no channel axis to double.
        """
        if x.dim() < 3 or x.shape[1] != self.T:
            fix = f"give Delta a sequence of {self.T} steps, batch first; for still images use another code"
            raise ValueError(explain(summary(x), f"[N, T={self.T}, C, *]", fix))
        frames = x.transpose(0, 1)
        events = delta(frames, self.threshold)
        if not bool(events.any()):
            warnings.warn("Delta saw no change: the spike train is empty", ArtSnnWarning, stacklevel=3)
        half = 1.0 if self.signed else 0.5
        on, off = (events > 0).to(x.dtype), (events < 0).to(x.dtype)
        if self.signed:
            return self._carried(events, frames, half)
        return torch.cat([self._carried(on, frames, half), self._carried(off, frames, -half)], dim=2)

    def _carried(self, events: Tensor, frames: Tensor, sign: float) -> Tensor:
        slope = sign / self.threshold
        slopes: dict[str, Tensor | float] = {"identity": slope, "masked": slope * events.abs(), "none": 0.0}
        return carry_gradient(events, frames, slopes[self.backward])

    def decode(self, s: Tensor, start: Tensor | float = 0.0) -> Tensor:
        """The reconstruction, batch first.

        :param s: events ``[T, N, 2C, *]``, or signed ``[T, N, C, *]``.
        :param start: the first frame ``[N, C, *]``, which the events do not hold.
        """
        if not self.signed:
            on, off = s.chunk(2, dim=2)
            s = on - off
        return (start + self.threshold * s.cumsum(0)).transpose(0, 1)
