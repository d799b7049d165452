r"""Integrate-and-fire neurons of converted networks, in units of their threshold.

.. math:: u_t = v_{t-1} + z_t, \qquad s_t = 1[u_t \ge 1], \qquad v_t = u_t - s_t, \qquad v_{-1} = \tfrac12

A neuron takes the whole train at once, starts afresh at each call and keeps nothing. Two of them look at a first part
of the train, ``pre`` steps, before they answer:

* *SRP* fires through the first part, forgets, runs the rest from :math:`\frac12`, and stays silent there where the
  first part shows that it should have. A unit that fired and ends below zero fired too often, by :math:`\psi \ge 1` of
  its :math:`n` spikes; membrane and count together, :math:`v + n = \frac12 + \sum_t z_t`, tell whether it should have
  fired at all:

  .. math:: m = 1[v > tolerance \;\text{or}\; v + n \ge 1] .

  On constant currents this mask changes nothing, and where the first part is as long as the rest and like it, no unit
  misses by more spikes than without. The published mask, :math:`1[v > tolerance]`, silences every unit that fired too
  often, right spikes included. That helps a unit where :math:`n < 2\psi`: always up to three steps, too seldom from
  some eight on, and then the mean error rises.
* *COS* looks at the first part, moves its start so that one spike is lost (fired, and ended below 0) or won (ended at 1
  or above), and runs both parts from there. Iteration :math:`i` treats units that missed by more than :math:`i` spikes.

Both parts are handed on, so the next layer sees the same arrangement; the read-out looks at the second part alone. The
number of steps of the network is therefore its true latency. Mask and offset depend on the input and pass no gradient;
they are computed anew at each call.

Sources: Bu et al., ICLR 2022 (start at half); Hao et al., "Reducing ANN-SNN conversion error through residual membrane
potential", AAAI 2023; Hao et al., "Bridging the gap between ANNs and SNNs by calibrating offset spikes", ICLR 2023.
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.coding.base import Encoder
from art_snn.conversion.qcfs import check_threshold
from art_snn.errors import explain
from art_snn.gradients.spike import surrogate


def integrate(
    z: Tensor, start: Tensor | float, fire: Any, *, hard: bool = False, detach: bool = False
) -> tuple[Tensor, Tensor]:
    r"""Spikes and last membrane of an IF neuron with threshold 1.

    :param z: currents ``[T, N, *]``, at least one step.
    :param start: membrane before the first step.
    :param fire: :math:`u - 1` to spikes.
    :param hard: whether a spike resets the membrane to 0 instead of taking 1 away.
    :param detach: whether the reset is left out of the gradient.
    :return: spikes ``[T, N, *]`` and :math:`v_{T-1}\,[N, *]`.

    >>> spikes, v = integrate(torch.full((4, 1), 0.3), 0.5, lambda u: (u >= 0).float())
    >>> spikes.sum().item(), round(v.item(), 4)
    (1.0, 0.7)
    """
    v = torch.zeros_like(z[0]) + start
    spikes = []
    for current in z:
        u = v + current
        s = fire(u - 1)
        taken = s.detach() if detach else s
        v = u * (1 - taken) if hard else u - taken
        spikes.append(s)
    return torch.stack(spikes), v


def offset_start(z: Tensor, iterations: int = 1, steps: int = 0) -> Tensor:
    r"""The start that COS chooses after watching ``z``.

    :param z: currents ``[T, N, *]`` in units of the threshold.
    :param iterations: how many spikes may be taken away or added.
    :param steps: length of the run to come; a unit that fires at every step and still ends at 1 or above is pinned on
        for so long.
    :return: :math:`v_0\,[N, *]`, without gradient.

    >>> offset_start(torch.tensor([[1.2], [-1.0], [0.0], [-0.3]])).item()
    -0.5
    >>> offset_start(torch.tensor([[-0.4], [-0.4], [0.0], [2.9]])).item()
    1.5
    """
    z = z.detach()
    start = torch.full_like(z[0], 0.5)
    pinned = 0.5 + max(steps, z.shape[0])
    spikes, residue, lowest, highest = _watched(z, start)
    fired = spikes
    for i in range(iterations):
        if i > 0:
            spikes, _, lowest, highest = _watched(z, start)
        lose = (residue < -i) & (fired > i) & (spikes > 0)
        win = residue >= i + 1
        start = torch.where(lose, start - (lowest - 0.999).clamp(min=1), start)
        start = torch.where(win, start + (1.001 - highest).clamp(min=1), start)
        start = torch.where(win & (spikes == z.shape[0]), torch.full_like(start, pinned), start)
    return start


def _watched(z: Tensor, start: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Count, last membrane, lowest membrane that fired, highest that did not."""
    v, count = start, torch.zeros_like(start)
    lowest, highest = torch.full_like(start, torch.inf), torch.full_like(start, -torch.inf)
    for current in z:
        u = v + current
        s = u >= 1
        v = u - s.to(u.dtype)
        count = count + s.to(u.dtype)
        lowest = torch.where(s & (u < lowest), u, lowest)
        highest = torch.where(~s & (v > highest), v, highest)
    return count, v, lowest, highest


class ConvertedIF(neuron.IFNode):
    """Integrate-and-fire neuron with threshold 1 and a start of its own; multi-step only, nothing kept between calls.

    The reset is left out of the gradient, as everywhere in the zoo; ``detach_reset`` is an attribute.

    :param start: membrane before the first step, in thresholds.
    :param v_reset: ``None`` for the soft reset of conversion, 0.0 for a hard one.
    :param surrogate_function: surrogate of the gradient; the triangle of width 1 by default.

    >>> ConvertedIF()(torch.full((4, 1), 0.5)).sum().item()
    2.0
    """

    def __init__(
        self, start: float = 0.5, v_reset: float | None = None, surrogate_function: nn.Module | None = None
    ) -> None:
        slope = surrogate("triangle") if surrogate_function is None else surrogate_function
        super().__init__(1.0, v_reset, slope, True, "m")
        self.start = float(start)

    def supported_step_mode(self) -> tuple[str, ...]:
        """Multi-step alone: the answer depends on the whole train."""
        return ("m",)

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """Spikes ``[T, N, *]`` of currents ``[T, N, *]``."""
        return self._run(x_seq, self.start)[0]

    def _run(self, z: Tensor, start: Tensor | float) -> tuple[Tensor, Tensor]:
        return integrate(
            z, start, self.surrogate_function, hard=self.v_reset is not None, detach=bool(self.detach_reset)
        )

    def extra_repr(self) -> str:
        """Arguments."""
        return f"start={self.start}, v_reset={self.v_reset}"


class SRPIF(ConvertedIF):
    """Residual-membrane masking, see the module.

    :param pre: steps of the first part; 0 is the plain neuron.
    :param tolerance: residual membrane up to which a unit is silenced, in thresholds.
    :param certain: silence only what should not have fired at all; ``False`` is the published mask.

    >>> SRPIF(pre=2)(torch.tensor([[0.8], [-0.9], [0.8], [0.0]])).flatten().tolist()
    [1.0, 0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        pre: int = 4,
        tolerance: float = 1e-3,
        certain: bool = True,
        surrogate_function: nn.Module | None = None,
    ) -> None:
        super().__init__(surrogate_function=surrogate_function)
        self.pre, self.tolerance, self.certain = pre, tolerance, certain

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """Spikes of both parts, ``[pre + T, N, *]``."""
        if self.pre == 0:
            return super().multi_step_forward(x_seq)
        first, rest = _parts(x_seq, self.pre)
        before, residue = self._run(first, self.start)
        after, _ = self._run(rest, self.start)
        silent = residue <= self.tolerance
        if self.certain:
            silent &= residue + before.sum(0) < 1
        return torch.cat([before, (~silent).to(after.dtype) * after])

    def extra_repr(self) -> str:
        """Arguments."""
        return f"pre={self.pre}, tolerance={self.tolerance}, certain={self.certain}"


class COSIF(ConvertedIF):
    """Offset-spike calibration, see the module.

    :param pre: steps of the first part; 0 is the plain neuron.
    :param iterations: how many spikes may be taken away or added.

    >>> COSIF(pre=4)(torch.tensor([[1.2], [-1.0], [0.0], [-0.3]]).repeat(2, 1)).sum().item()
    0.0
    """

    def __init__(self, pre: int = 4, iterations: int = 1, surrogate_function: nn.Module | None = None) -> None:
        super().__init__(surrogate_function=surrogate_function)
        self.pre, self.iterations = pre, iterations

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """Spikes of both parts, ``[pre + T, N, *]``."""
        if self.pre == 0:
            return super().multi_step_forward(x_seq)
        first, rest = _parts(x_seq, self.pre)
        with torch.no_grad():
            start = offset_start(first, self.iterations, len(rest))
        return torch.cat([self._run(first, start)[0], self._run(rest, start)[0]])

    def extra_repr(self) -> str:
        """Arguments."""
        return f"pre={self.pre}, iterations={self.iterations}"


def _parts(x_seq: Tensor, pre: int) -> tuple[Tensor, Tensor]:
    if x_seq.shape[0] <= pre:
        came = f"{x_seq.shape[0]} steps for a neuron that looks at {pre} first"
        raise ValueError(explain(came, f"at least {pre + 1}", "convert(model, T, ...) makes encoder and neurons fit"))
    return x_seq[:pre], x_seq[pre:]


class SpikingActivation(nn.Module):
    r"""What takes the place of an activation: :math:`\lambda\,s(z/\lambda)`, on time and batch merged.

    :param node: a neuron with threshold 1, ``[T, N, *] -> [T, N, *]``.
    :param threshold: :math:`\lambda`, a number or one per channel; learnable.
    :param T: steps that are merged into the batch axis, time first.
    :raises ValueError: if a threshold is not positive, also where training drove it there.

    >>> SpikingActivation(ConvertedIF(), torch.tensor(2.0), T=4)(torch.full((4, 1), 1.0)).flatten().tolist()
    [2.0, 0.0, 2.0, 0.0]
    """

    def __init__(self, node: nn.Module, threshold: Tensor, T: int) -> None:
        super().__init__()
        self.node = node
        self.threshold = nn.Parameter(threshold.detach().clone())
        self.T = T

    @property
    def spike_size(self) -> Tensor:
        """What one spike hands on: a number, or one per channel."""
        return self.threshold

    def forward(self, z: Tensor) -> Tensor:
        """Weighted spikes ``[T N, *]`` of currents ``[T N, *]``."""
        check_threshold(self.threshold, "SpikingActivation")
        if z.shape[0] % self.T:
            came = f"{z.shape[0]} rows for {self.T} steps"
            fix = "run the network's own encoder, or at_spikes() with trains of T steps"
            raise ValueError(explain(came, f"a multiple of {self.T}", fix))
        scale: Tensor = self.threshold
        if scale.dim() == 1:
            scale = scale.view(1, -1, *[1] * (z.dim() - 2))
        spikes: Tensor = self.node((z / scale).unflatten(0, (self.T, z.shape[0] // self.T)))
        return spikes.flatten(0, 1) * scale


class FoldedTime(nn.Module):
    """A network of ordinary layers on spike trains: time and batch are one axis between the neurons.

    :param graph: layers ``[T N, *] -> [T N, K]``, with :class:`SpikingActivation` where it spikes.
    :param encoder: the code it was converted for, if that is known.

    >>> FoldedTime(nn.Linear(3, 2))(torch.zeros(4, 5, 3)).shape
    torch.Size([4, 5, 2])
    """

    def __init__(self, graph: nn.Module, encoder: Encoder | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.encoder = None if encoder is None else (encoder,)  # in a tuple: no part of the network

    def forward(self, s: Tensor) -> Tensor:
        """Outputs ``[T, N, K]`` of trains ``[T, N, *]``."""
        o: Tensor = self.graph(s.flatten(0, 1))
        return o.unflatten(0, s.shape[:2])
