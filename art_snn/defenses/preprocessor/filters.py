r"""Event filters on grids ``[T, N, C, H, W]``: which events have company, and which come too soon.

A *cell* (time bin, polarity, pixel) with a positive value is an event. Polarities of one pixel are taken together.

Background activity: an event needs a neighbor, at another pixel within radius r and less than W bins ago,

.. math:: c_{t, p} = \sum_{t - W < t' \le t}\;\sum_{0 < \|p' - p\|_\infty \le r} 1[s_{t', p'} > 0], \qquad
    \mathrm{keep} = 1[c > 0].

Refractory: an event needs more than R bins since the last one of its pixel.

The value of a filter is :math:`\mathrm{keep} \odot s`. Its gradient is named by ``backward``:

* ``smooth``: keep is :math:`\sigma(\kappa (c - 1/2))` in the backward pass, so that an attack sees that it can lend
  an event company; only where the support is a count.
* ``keep``: the gradient passes where an event is kept, or would be.
* ``identity``: straight-through.
* ``none``: hidden. Published numbers of event filters against attacks were taken this way; they are not robustness.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from art_snn.coding.straight_through import carry_path, is_traced
from art_snn.coding.transform import SpikeTransform
from art_snn.errors import explain, summary


def neighbor_support(s: Tensor, window: float, radius: int) -> Tensor:
    """Number of active neighbor cells in the causal window, ``[T, N, 1, H, W]``, differentiable in ``s``.

    :param s: events ``[T, N, C, H, W]``, 0 or 1.
    :param window: W in bins, ``inf`` for all of the past.
    :param radius: r in pixels.

    >>> s = torch.zeros(3, 1, 1, 1, 3)
    >>> s[0, 0, 0, 0, 0] = s[1, 0, 0, 0, 1] = 1
    >>> neighbor_support(s, window=2, radius=1)[1, 0, 0, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    steps, samples = s.shape[:2]
    pixels = s.sum(2).clamp(max=1)
    side = 2 * radius + 1
    around = avg_pool2d(pixels.flatten(0, 1)[:, None], side, 1, radius) * side**2
    near = around.view(steps, samples, 1, *s.shape[3:]) - pixels[:, :, None]
    total = near.cumsum(0)
    if window >= steps:
        return total
    width = math.ceil(window)
    return total - torch.cat([torch.zeros_like(total[:width]), total[:-width]])


def refractory_keep(s: Tensor, period: float, update: str = "all") -> Tensor:
    """Which pixels may fire, ``[T, N, 1, H, W]``: more than ``period`` bins since the last event of the pixel.

    :param s: events ``[T, N, C, H, W]``.
    :param period: R in bins.
    :param update: ``all``: dropped events restart the period; ``kept``: only kept ones do.

    >>> refractory_keep(torch.ones(4, 1, 1, 1, 1), period=1, update="kept").flatten().tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    active = (s > 0).any(2, keepdim=True)
    last = torch.full_like(active[0], -math.inf, dtype=s.dtype)
    kept = []
    for t, now in enumerate(active):
        free = (t - last) > period
        kept.append(free)
        last = torch.where(now & free if update == "kept" else now, float(t), last)
    return torch.stack(kept).to(s.dtype)


class _EventFilter(SpikeTransform):
    backwards: ClassVar[tuple[str, ...]] = ("keep", "identity", "none")

    def transform(self, s: Tensor) -> Tensor:
        """Kept events."""
        if s.dim() != 5:
            fix = "filter event grids, or write a transform of your own with spike_transform"
            raise ValueError(explain(summary(s), "event grids [T, N, C, H, W]", fix))
        if bool((s.detach() < 0).any()):
            raise ValueError(explain(summary(s), "events: 0, 1 or counts", "pass binary trains or event counts"))
        return s * self.keep((s.detach() > 0).to(s)).detach()

    def carried(self, s: Tensor, y: Tensor) -> Tensor:
        """See the base class; ``keep`` is the product rule with a constant mask."""
        return y if self.backward == "keep" else super().carried(s, y)

    def keep(self, events: Tensor) -> Tensor:
        """1 where an event would be kept, broadcastable to ``[T, N, C, H, W]``."""
        raise NotImplementedError


class BackgroundActivityFilter(_EventFilter):
    r"""Drop events without a recent neighbor.

    :param window: W in bins, above 0; ``inf`` looks at all of the past.
    :param radius: r in pixels, at least 1.
    :param early: what happens to events of the first W bins, whose past is not known: ``drop`` (the published rule) or
        ``keep`` (with an infinite window nothing is dropped then).
    :param sharpness: :math:`\kappa` of the smooth backward.
    :param backward: ``smooth`` (default), ``keep``, ``identity`` or ``none``.
    :raises ValueError: for a parameter out of range, or, when called, for anything but event grids.

    Source: the filter of R-SNN (IROS 2021); Delbruck's background activity filter.

    >>> s = torch.zeros(2, 1, 1, 1, 4)
    >>> s[0, 0, 0, 0, 0] = s[1, 0, 0, 0, 1] = s[1, 0, 0, 0, 3] = 1
    >>> BackgroundActivityFilter(window=2, radius=1)(s)[1, 0, 0, 0].tolist()
    [0.0, 1.0, 0.0, 0.0]
    """

    backwards = ("smooth", "keep", "identity", "none")

    def __init__(
        self, window: float = 5, radius: int = 2, early: str = "drop", sharpness: float = 4.0, *,
        backward: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(backward=backward)
        if not window > 0 or radius < 1 or early not in ("drop", "keep") or not sharpness > 0:
            came = f"window={window}, radius={radius}, early={early!r}, sharpness={sharpness}"
            expected = "a positive window, a radius of at least 1, early 'drop' or 'keep', a positive sharpness"
            raise ValueError(explain(came, expected, "BackgroundActivityFilter(window=5, radius=2)"))
        self.window, self.radius, self.early, self.sharpness = float(window), int(radius), early, float(sharpness)

    def keep(self, events: Tensor) -> Tensor:
        """See :func:`neighbor_support`."""
        known = (neighbor_support(events, self.window, self.radius) > 0.5).to(events)
        if self.early == "keep":
            known[: math.ceil(min(self.window, len(events)))] = 1
        return known

    def carried(self, s: Tensor, y: Tensor) -> Tensor:
        """The kept events, with the gradient of the smooth rule where asked for."""
        if self.backward != "smooth" or not is_traced(s):
            return super().carried(s, y)
        support = neighbor_support(s, self.window, self.radius)
        return carry_path(y, s * torch.sigmoid(self.sharpness * (support - 0.5)))

    def extra_repr(self) -> str:
        """Arguments."""
        return f"window={self.window:g}, radius={self.radius}, early={self.early!r}, {super().extra_repr()}"


class RefractoryFilter(_EventFilter):
    """Drop events that follow the last one of their pixel too soon.

    :param period: R in bins, 0 or more; at 0 nothing is dropped.
    :param update: ``all`` or ``kept``, see :func:`refractory_keep`.
    :param backward: ``keep`` (default), ``identity`` or ``none``.
    :raises ValueError: for a parameter out of range, or, when called, for anything but event grids.

    >>> RefractoryFilter(period=1)(torch.ones(3, 1, 1, 1, 1)).flatten().tolist()
    [1.0, 0.0, 0.0]
    """

    def __init__(self, period: float = 1, update: str = "all", *, backward: str | None = None) -> None:
        super().__init__(backward=backward)
        if not period >= 0 or update not in ("all", "kept"):
            came = f"period={period}, update={update!r}"
            raise ValueError(explain(came, "a period of 0 or more, update 'all' or 'kept'", "RefractoryFilter(1)"))
        self.period, self.update = float(period), update

    def keep(self, events: Tensor) -> Tensor:
        """See :func:`refractory_keep`."""
        return refractory_keep(events, self.period, self.update)

    def extra_repr(self) -> str:
        """Arguments."""
        return f"period={self.period:g}, update={self.update!r}, {super().extra_repr()}"


class QuantizedCorrelationFilter(_EventFilter):
    r"""Drop events without company on a coarse clock, and those of pixels that fire all the time.

    Time is cut into blocks of q bins. An event is kept if a neighbor within radius r fired in its own block or the W
    blocks before, and its own pixel was active in at most ``limit`` of these blocks.

    :param block: q in bins, at least 1.
    :param window: W in blocks, 0 or more.
    :param radius: r in pixels, at least 1.
    :param limit: active blocks of one pixel that are believed, at least 1; ``inf`` believes all.
    :param backward: ``keep`` (default), ``identity`` or ``none``.
    :raises ValueError: for a parameter out of range, or, when called, for anything but event grids.

    Source: after the idea of AQF (Ahmad et al., DATE 2023, arXiv 2301.05264), whose pseudo-code we have not seen:
    events are dropped by the same two tests, but are not moved to the coarse clock.

    >>> s = torch.zeros(2, 1, 1, 1, 4)
    >>> s[0, 0, 0, 0, 0] = s[1, 0, 0, 0, 1] = s[1, 0, 0, 0, 3] = 1
    >>> QuantizedCorrelationFilter(block=2, radius=1)(s).sum(0)[0, 0, 0].tolist()
    [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(
        self, block: int = 2, window: int = 1, radius: int = 1, limit: float = math.inf, *, backward: str | None = None
    ) -> None:
        super().__init__(backward=backward)
        if block < 1 or window < 0 or radius < 1 or not limit >= 1:
            came = f"block={block}, window={window}, radius={radius}, limit={limit}"
            expected = "block >= 1, window >= 0, radius >= 1, limit >= 1"
            raise ValueError(explain(came, expected, "QuantizedCorrelationFilter(block=2, window=1)"))
        self.block, self.window, self.radius, self.limit = int(block), int(window), int(radius), float(limit)

    def keep(self, events: Tensor) -> Tensor:
        """Both tests, on the coarse clock."""
        steps = len(events)
        coarse = torch.stack([part.amax(0) for part in events.split(self.block)])
        support = neighbor_support(coarse, self.window + 1, self.radius) > 0.5
        active = coarse.amax(2, keepdim=True).cumsum(0)
        if self.window + 1 < len(coarse):
            active = active - torch.cat([torch.zeros_like(active[: self.window + 1]), active[: -self.window - 1]])
        believed = support & (active <= self.limit)
        return believed.to(events).repeat_interleave(self.block, 0)[:steps]

    def extra_repr(self) -> str:
        """Arguments."""
        own = f"block={self.block}, window={self.window}, radius={self.radius}, limit={self.limit:g}"
        return f"{own}, {super().extra_repr()}"
