r"""Spike camera: every pixel integrates light and fires when it has collected :math:`\theta`.

.. math:: v_t = v_{t-1} + g\,x - \theta\,s_{t-1}, \qquad s_t = 1[v_t \ge \theta] .

With soft reset and :math:`g x \le \theta` this has the closed form :math:`s_t = n_t - n_{t-1}`,
:math:`n_t = \lfloor (v_0 + g \sum_{j \le t} x_j)/\theta \rfloor`, computed in float64 with the same guard against
rounding dust as the spike times, so that grey levels are exact. Every interval between spikes of a constant pixel is
:math:`\lfloor \theta/gx \rfloor` or :math:`\lceil \theta/gx \rceil`.

Read-outs (also for any train ``[T, *]``): over a window, :math:`\mathrm{TFP} = \frac1W \sum s_t`; from the interval
around a step, :math:`\mathrm{TFI}(t) = 1/(t_1 - t_0)` with the last spike :math:`t_0 \le t` and the next one
:math:`t_1 > t`, 0 where one of them is missing. For constant input :math:`|\mathrm{TFP} - gx/\theta| \le 1/W` and
:math:`1/\lceil \theta/gx \rceil \le \mathrm{TFI} \le 1/\lfloor \theta/gx \rfloor`.

Backward ``identity`` (default): :math:`\partial s_t/\partial x := g/\theta`, the exact slope of the mean rate.
``masked`` and ``none`` exist to reproduce published numbers only. The gradient of TFI moves the two spikes by one step:
:math:`+1/gap^2` at :math:`t_1 - 1` and :math:`t_0 + 1`, :math:`-1/gap^2` at :math:`t_1 + 1` and :math:`t_0 - 1`.

Source: Zhu et al. 2019 (texture from playback and from interval); Dong et al. 2017 (the sensor).
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.straight_through import carry_gradient, carry_path
from art_snn.coding.timing import DUST
from art_snn.errors import explain, summary


def spike_camera(x: Tensor, gain: float = 0.5, threshold: float = 1.0, start: Tensor | float = 0.0) -> Tensor:
    """Spikes of intensities over time: ``x [T, *]`` in [0, 1] to ``[T, *]``.

    :param x: intensities in [0, 1], in time.
    :param gain: charge per unit of intensity and step.
    :param threshold: charge of one spike.
    :param start: charge at the beginning, in [0, threshold).

    >>> spike_camera(torch.ones(4, 1)).flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    charge = (start + gain * x.detach().double().cumsum(0)) / threshold
    fired = torch.floor(charge + DUST)
    before = torch.cat([torch.zeros_like(fired[:1]), fired[:-1]])
    return (fired - before).to(x.dtype)


def tfp(s: Tensor, window: int | None = None, at: int | None = None) -> Tensor:
    """Texture from playback: the mean of the ``window`` steps that end with step ``at``; ``[T, *] -> [*]``.

    :param s: a train, time first.
    :param window: number of steps.
    :param at: the step that is asked for.

    >>> tfp(torch.tensor([0.0, 1.0, 0.0, 1.0])).item()
    0.5
    """
    end = s.shape[0] if at is None else at + 1
    begin = 0 if window is None else end - window
    if not 0 <= begin < end <= s.shape[0]:
        came = f"window={window} that ends at step {end - 1}, in {s.shape[0]} steps"
        raise ValueError(explain(came, "a window inside the train", "choose a shorter window, or a later step"))
    return s[begin:end].mean(0)


def tfi(s: Tensor, at: int | None = None) -> Tensor:
    """Texture from interval: one over the interval around step ``at`` (the middle by default); ``[T, *] -> [*]``.

    :param s: a train, time first.
    :param at: the step that is asked for.

    >>> round(tfi(torch.tensor([1.0, 0.0, 0.0, 1.0]), at=1).item(), 4)
    0.3333
    """
    T = s.shape[0]
    at = T // 2 if at is None else at
    if not 0 <= at < T:
        raise ValueError(explain(f"at={at}", f"a step of 0..{T - 1}", "at=None takes the middle"))
    steps = torch.arange(T, device=s.device).view(T, *([1] * (s.dim() - 1)))
    fired = s.detach() != 0
    last = torch.where(fired & (steps <= at), steps, -1).amax(0)
    following = torch.where(fired & (steps > at), steps, T).amin(0)
    gap = torch.where((last >= 0) & (following < T), following - last, 0).to(s.dtype)
    value = torch.where(gap > 0, 1 / gap.clamp(min=1), 0.0)
    if not s.requires_grad:
        return value
    moved = (steps == following - 1).int() - (steps == following + 1).int()
    moved = moved + (steps == last + 1).int() - (steps == last - 1).int()
    return carry_path(value, (s * (moved * value**2).detach()).sum(0))


class SpikeCamera(Encoder):
    r"""Integrate-and-fire pixels with soft reset; :meth:`decode` reads the mean rate (TFP over all steps).

    :param T: number of time steps.
    :param gain: g, charge per step of a white pixel.
    :param threshold: :math:`\theta`, at least ``gain``, or bright pixels would saturate.
    :param start: ``zero`` (default) or ``random``: charge at the beginning, uniform in :math:`[0, \theta)`.
    :param video: whether the input has time, ``[N, T, *]``.
    :param backward: ``identity`` (default), ``masked`` or ``none``.
    :param seed: seed of the stream of ``start='random'``.
    :raises ValueError: if ``gain`` is not in (0, threshold], or ``start`` is unknown.

    >>> code = SpikeCamera(T=4)
    >>> code(torch.tensor([[1.0, 0.5]]))[:, 0].tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    """

    backwards = ("identity", "masked", "none")

    def __init__(
        self,
        T: int = 100,
        gain: float = 0.5,
        threshold: float = 1.0,
        start: str = "zero",
        *,
        video: bool = False,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if not 0 < gain <= threshold:
            came = f"gain={gain}, threshold={threshold}"
            raise ValueError(explain(came, "0 < gain <= threshold", "pass gain=0.5, threshold=1.0"))
        if start not in ("zero", "random"):
            raise ValueError(explain(f"start={start!r}", "'zero' or 'random'", "start='zero'"))
        self.gain, self.threshold, self.start, self.video = float(gain), float(threshold), start, video
        self.is_stochastic = start == "random"

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`spike_camera`.

        :raises ValueError: if a video does not have ``T`` steps.
        """
        if self.video and (x.dim() < 2 or x.shape[1] != self.T):
            raise ValueError(explain(summary(x), f"[N, T={self.T}, *]", "match T to the video, or pass video=False"))
        light = x.transpose(0, 1) if self.video else x.expand(self.T, *x.shape)
        charge = self.threshold * self.draws.uniform(1, light[0])[0] if self.is_stochastic else 0.0
        spikes = spike_camera(light, self.gain, self.threshold, charge)
        rate = self.gain / self.threshold
        slopes: dict[str, Tensor | float] = {"identity": rate, "masked": rate * spikes, "none": 0.0}
        return carry_gradient(spikes, light if self.video else x, slopes[self.backward])

    def decode(self, s: Tensor) -> Tensor:
        r"""The mean rate over the whole train in units of intensity, within :math:`\theta/(gT)` of the input."""
        return tfp(s) * self.threshold / self.gain


class _AnyShape(Decoder):
    def forward(self, o: Tensor) -> Tensor:
        """Decode a train of any shape ``[T, *]``: images of a camera as well as outputs of a network."""
        return self.decode(o)


class TFP(_AnyShape):
    """Texture from playback: mean rate over a window, ``[T, *] -> [*]``.

    :param window: number of steps; all by default.
    :param at: the window's last step; the last one by default.
    :raises ValueError: if the window leaves the train.

    >>> TFP(window=2)(torch.tensor([1.0, 0.0, 1.0, 1.0])).item()
    1.0
    """

    def __init__(self, window: int | None = None, at: int | None = None) -> None:
        super().__init__()
        self.window, self.at = window, at

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`tfp`."""
        return tfp(o, self.window, self.at)


class TFI(_AnyShape):
    """Texture from interval: one over the interval around a step, ``[T, *] -> [*]``.

    :param at: the step; the middle of the train by default.
    :raises ValueError: if there is no such step.

    >>> TFI(at=1)(torch.tensor([1.0, 0.0, 1.0])).item()
    0.5
    """

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.at = at

    def decode(self, o: Tensor) -> Tensor:
        """See :func:`tfi`."""
        return tfi(o, self.at)
