r"""Event frames: the input already has time, :math:`s_t = x_{n,t}`, and only changes its layout.

ART's arrays are batch first, ``[N, T, *]``; networks here are time first, ``[T, N, *]``. The values (binary, counts or
clipped counts) pass unchanged and :math:`\partial s/\partial x` is the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from art_snn.coding.base import Encoder, check_steps
from art_snn.errors import explain, summary


def event_frames(x: Tensor) -> Tensor:
    """``[N, T, *]`` to ``[T, N, *]``, a view.

    >>> event_frames(torch.zeros(2, 5, 3)).shape
    torch.Size([5, 2, 3])
    """
    return x.transpose(0, 1)


def bin_events(
    t: Tensor,
    x: Tensor,
    y: Tensor,
    p: Tensor,
    T: int,
    size: tuple[int, int],
    *,
    by: str = "time",
    binary: bool = False,
    span: tuple[int, int] | None = None,
) -> Tensor:
    """Raw events to frames ``[T, 2, H, W]``, float32; channel 0 is polarity 0 (off), channel 1 polarity 1 (on).

    :param t: time stamps ``[E]``, any unit, any order.
    :param x: columns ``[E]``.
    :param y: rows ``[E]``.
    :param p: polarities ``[E]``, 0 or 1.
    :param T: number of frames.
    :param size: ``(H, W)``.
    :param by: see :func:`event_bins`.
    :param binary: 1 where anything happened, instead of the number of events.
    :param span: see :func:`event_bins`.
    :raises ValueError: for another ``by``, or an event outside the frame or the span.

    >>> zeros = torch.zeros(3, dtype=torch.long)
    >>> bin_events(torch.tensor([0, 5, 10]), zeros, zeros, zeros, 2, (1, 1))[:, 0].flatten().tolist()
    [1.0, 2.0]
    """
    T = check_steps(T)
    frames = torch.zeros(T, 2, *size)
    index = [part.long() for part in (p, y, x)]
    if any(bool((part < 0).any() or (part >= most).any()) for part, most in zip(index, (2, *size), strict=True)):
        fix = f"pass size=(H, W) of the sensor and polarities 0 and 1, got size={size}"
        raise ValueError(explain("an event outside the frame", "x < W, y < H, p in {0, 1}", fix))
    frames.index_put_((event_bins(t, T, by=by, span=span), *index), torch.ones(t.numel()), accumulate=True)
    return (frames > 0).float() if binary else frames


def event_bins(t: Tensor, T: int, *, by: str = "time", span: tuple[int, int] | None = None) -> Tensor:
    r"""The frame of each event, ``[E]``, int64.

    With ``by="time"`` and a span :math:`[t_0, t_1)` that is :math:`\lfloor T (t - t_0) / (t_1 - t_0) \rfloor`.

    :param t: time stamps ``[E]``, any order; with a span, whole numbers.
    :param T: number of frames.
    :param by: ``time`` (frames of equal duration; an event at the very end belongs to the last) or ``count`` (of about
        equal number of events; events of equal time share a frame).
    :param span: first and one-past-last time of the frames, whole numbers, for ``by="time"``; by default the first and
        last time stamp of the recording.
    :raises ValueError: for another ``by``, a span with ``by="count"``, or an event outside the span.

    >>> event_bins(torch.tensor([0, 5, 9]), 2, span=(0, 20)).tolist()
    [0, 0, 0]
    """
    if by not in ("time", "count") or (by == "count" and span is not None):
        came = f"by={by!r}" + ("" if span is None else f" with span={span}")
        raise ValueError(explain(came, "'time' or 'count', a span with 'time' only", "by='time'"))
    if t.numel() == 0:
        return torch.zeros(0, dtype=torch.long)
    if span is not None:
        start, stop = span
        if bool((t < start).any() or (t >= stop).any()):
            came = f"time stamps from {t.min().item()} to {t.max().item()}"
            raise ValueError(explain(came, f"{start} <= t < {stop}, the span", "widen the span, or cut the recording"))
        return torch.div((t.long() - start) * T, stop - start, rounding_mode="floor")
    if by == "time":
        place = t.double() - t.min().double()
        whole = place.max().clamp(min=1e-300)
    else:
        place = torch.searchsorted(t.sort().values.contiguous(), t.contiguous()).double()
        whole = torch.tensor(float(t.numel()), dtype=torch.double)
    return torch.floor(place * T / whole).long().clamp_(max=T - 1)


class EventFrames(Encoder):
    """Event frames or spike trains as they are, ``[N, T, *] -> [T, N, *]``.

    :param T: number of time steps that the input must have.

    >>> code = EventFrames(T=5)
    >>> x = torch.zeros(2, 5, 3)
    >>> code(x).shape, bool((code.decode(code(x)) == x).all())
    (torch.Size([5, 2, 3]), True)
    """

    is_binary = False
    domain = None
    integer_input = True

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`event_frames`.

        :raises ValueError: if the second axis does not have ``T`` steps.
        """
        if x.dim() < 2 or x.shape[1] != self.T:
            fix = f"bin the recording into {self.T} frames, batch first, or build EventFrames with its number of frames"
            raise ValueError(explain(summary(x), f"[N, T={self.T}, *]", fix))
        return event_frames(x)

    def decode(self, s: Tensor) -> Tensor:
        """Batch first again."""
        return s.transpose(0, 1)
