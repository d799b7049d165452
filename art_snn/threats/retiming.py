r"""The retiming threat: the same spikes at new times.

Every line (one sample, channel and pixel) keeps its packets, the non-zero cells, with their values; a cell holds one at
most. Three budgets, alone or together, all provable from the clean and the changed train alone (see
:mod:`art_snn.threats.retiming_certificates`):

==========  ====================================  =====================
budget      bounds                                unit
==========  ====================================  =====================
``jitter``  :math:`B_\infty`, each displacement   time steps
``delay``   :math:`B_1`, the displacements' sum   time steps per sample
``moves``   :math:`B_0`, displaced packets        spikes per sample
==========  ====================================  =====================
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from art_snn.coding.timing import Timing
from art_snn.errors import explain, summary
from art_snn.threats.base import ThreatModel, in_kind_of, paired
from art_snn.threats.pixel import Linf
from art_snn.threats.retiming_step import Budgets, certified, linear_step

_DUST = 1e-6
_UNITS = {"jitter": "steps", "delay": "steps in all", "moves": "spikes"}


class Retiming(ThreatModel):
    """Spikes of a train ``[N, T, *]`` (binary, counts or values: non-zero cells are packets) come at other times.

    :param jitter: most time steps that a packet may move; ``None``: any number.
    :param delay: most time steps that all packets of a sample may move together; ``None``: any number.
    :param moves: most packets of a sample that may move; ``None``: any number.
    :param causal: packets may come later, never earlier.
    :raises ValueError: for a budget that is no whole number of at least 0.

    >>> threat = Retiming(jitter=1, moves=1)
    >>> threat
    Retiming(jitter=1 steps, moves=1 spikes)
    >>> x, far = torch.tensor([[1.0, 0.0, 0.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    >>> threat.contains(x, far).tolist(), threat.contains(x, threat.project(x, far)).tolist()
    ([False], [True])
    >>> {name: used.tolist() for name, used in threat.usage(x, far).items()}
    {'jitter': [1.0], 'delay': [2.0], 'moves': [2.0]}
    """

    def __init__(
        self, jitter: int | None = None, delay: int | None = None, moves: int | None = None, causal: bool = False
    ) -> None:
        self.jitter, self.delay, self.moves = (
            _whole(name, value) for name, value in (("jitter", jitter), ("delay", delay), ("moves", moves))
        )
        if not isinstance(causal, bool):
            raise ValueError(explain(f"causal={causal!r}", "True or False", "causal=True"))
        self.causal = causal
        self.budgets = Budgets(self.jitter, self.delay, self.moves, causal)

    @classmethod
    def from_pixels(cls, threat: Linf, timing: Timing) -> Retiming:
        r"""The jitter that an L-infinity ball on pixels gives to the spikes of a latency code.

        With S the code's bins per unit of intensity, :math:`|\Delta\tau| \le \lceil \epsilon S \rceil`; for
        ``log``, whose spikes of dark pixels move most, :math:`\lceil \ln(\epsilon(e^{T-1} - 1) + 1) \rceil`. A pixel
        that a code keeps silent has no spike to move, so it is in neither threat.

        :param threat: the ball, on intensities in [0, 1].
        :param timing: the code's rule, ``Latency(T).timing``.
        :raises ValueError: for ``edl``, whose times depend on the whole image.

        >>> Retiming.from_pixels(Linf(0.25), Timing(9, "linear"))
        Retiming(jitter=2 steps)
        """
        if timing.convention == "edl":
            fix = "use an absolute convention, Latency(T, 'floor') or Latency(T, 'linear')"
            raise ValueError(explain("convention 'edl', whose times depend on the whole image", "a fixed rule", fix))
        eps = min(threat.eps, 1.0)
        reach = eps * timing.span
        if timing.convention == "log":
            reach = math.log1p(eps * math.expm1(timing.T - 1))
        return cls(jitter=min(math.ceil(reach - _DUST), timing.last))

    @property
    def is_zero(self) -> bool:
        """Whether a budget is 0."""
        return 0 in (self.jitter, self.delay, self.moves)

    def usage(self, x: Any, x_adv: Any) -> dict[str, Any]:
        """Steps, steps in all, and moved packets of each sample: ``jitter``, ``delay`` and ``moves``, float64 ``[N]``.

        ``moves`` is the fewest that the threat's own jitter allows. All are ``inf`` where packets were lost, made or
        changed, or came earlier although the threat is causal.

        :raises ValueError: if the shapes differ, or the trains have no time axis.
        """
        clean, point = _trains(x, x_adv)
        return {name: in_kind_of(x, used) for name, used in certified(clean, point, self.budgets).items()}

    def contains(self, x: Any, x_adv: Any) -> Any:
        """Whether each sample is a retiming within every budget, bool ``[N]``.

        :raises ValueError: if the shapes differ, or the trains have no time axis.
        """
        clean, point = _trains(x, x_adv)
        return in_kind_of(x, self._inside(clean, point))

    def project(self, x: Any, x_adv: Any) -> Any:
        r"""The legal train that has most in common with each sample, :math:`\max \langle x', x_{adv}\rangle`.

        Samples inside the budget stay as they are. The train is the nearest one in the Euclidean sense where the
        linear step is exact (see :mod:`art_snn.threats.retiming_step`), and always legal.

        :raises ValueError: if the shapes differ, or the trains have no time axis.
        """
        clean, point = _trains(x, x_adv)
        outside = (~self._inside(clean, point)).nonzero()[:, 0]
        point[outside] = self.step(clean[outside], torch.nan_to_num(point[outside], 0.0, 1.0, -1.0))
        return in_kind_of(x, point.to(torch.as_tensor(x).dtype))

    def step(self, x: Tensor, gain: Tensor, mask: Tensor | None = None) -> Tensor:
        """The retiming of ``x`` of largest gain: :func:`art_snn.threats.retiming_step.linear_step`.

        :param x: clean trains ``[N, T, *]``.
        :param gain: value per unit of packet in each cell.
        :param mask: 1 where a cell may change; packets neither leave nor enter other cells.
        """
        if mask is not None:
            gain = _held(x, gain.double(), mask)
        return linear_step(x, gain, self.budgets)

    def _inside(self, clean: Tensor, point: Tensor) -> Tensor:
        used = certified(clean, point, self.budgets)
        limits = {"jitter": self.jitter, "delay": self.delay, "moves": self.moves}
        inside = torch.isfinite(used["jitter"])
        for name, limit in limits.items():
            if limit is not None:
                inside &= used[name] <= limit
        return inside

    def __repr__(self) -> str:
        limits = (("jitter", self.jitter), ("delay", self.delay), ("moves", self.moves))
        parts = [f"{name}={value} {_UNITS[name]}" for name, value in limits if value is not None]
        return f"Retiming({', '.join(parts + ['causal'] * self.causal)})"


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(explain(f"{name}={value!r}", "a whole number of at least 0, or None", f"{name}=2"))
    return int(value)


def _trains(x: Any, x_adv: Any) -> tuple[Tensor, Tensor]:
    clean, point = paired(x, x_adv)
    if clean.dim() < 2:
        raise ValueError(explain(summary(clean), "spike trains [N, T, *]", "put the time steps on the second axis"))
    return clean, point.clone()


def _held(x: Tensor, gain: Tensor, mask: Tensor) -> Tensor:
    """Gains under which nothing pays that touches a cell outside the mask.

    A line with packets of both signs and such a cell is held altogether.
    """
    bar = 4 * (gain.abs() * x.abs().amax(1, keepdim=True)).sum(1, keepdim=True) + 1
    negative = (x < 0).any(1, keepdim=True)
    both = negative & (x > 0).any(1, keepdim=True) & (mask == 0).any(1, keepdim=True)
    barred = torch.where(x != 0, bar * x.sign(), torch.where(negative, bar, -bar))
    held = torch.where(mask != 0, gain, barred)
    return torch.where(both, bar * x.sign(), held)
