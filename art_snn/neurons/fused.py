r"""All steps of an integrate-and-fire layer at once, in place: the arithmetic of SpikingJelly's IF, LIF and PLIF.

With membrane before reset :math:`h_t`, after reset :math:`v_t`, threshold :math:`\theta` and reset potential
:math:`r` (0 for a soft reset),

.. math:: h_t = v_{t-1} + \frac{x_t - (v_{t-1} - r)}{\tau} \quad\text{or}\quad
   h_t = v_{t-1} - \frac{v_{t-1} - r}{\tau} + x_t \quad\text{or}\quad h_t = v_{t-1} + x_t,

:math:`s_t = 1[h_t \ge \theta]`, and :math:`v_t = r s_t + (1 - s_t) h_t` or :math:`v_t = h_t - \theta s_t`. Operations
come in SpikingJelly's order, so that the spikes are the same bit for bit. Large layers run as machine code where numba
is installed (:mod:`art_snn.neurons.compiled`), and as torch operations elsewhere, with the same result. One step's
buffers are reused, and only
:math:`h` is kept, where a gradient is needed. The backward pass is the recursion

.. math:: e_t = \delta_t g(h_t - \theta) + \rho_t w_t, \qquad \partial L/\partial x_t = c\,e_t, \qquad
   w_{t-1} = \lambda e_t

with :math:`\delta_t = \partial L/\partial s_t`, :math:`w_t = \partial L/\partial v_t`, slope :math:`g` of the spike and
:math:`\rho_t = (1 - s_t) + (r - h_t) g` for a hard, :math:`1 - \theta g` for a soft reset; with a detached reset the
terms in :math:`g` drop. Spikes are recomputed from :math:`h`.

:math:`h` is an output of its own, so a second derivative reaches the input through it: then the recursion runs once
more in ordinary differentiable operations.

Source: Neftci et al. 2019 (the recursion); Fang et al. 2023 (SpikingJelly's neurons).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from art_snn.gradients.spike import Slope, spike
from art_snn.neurons import compiled
from art_snn.neurons.buffers import buffer

Slopes = list[Callable[[Tensor], Tensor]]
"""Slope of the spike at each step."""


@dataclass(frozen=True)
class Dynamics:
    r"""What a layer computes, apart from its slope.

    :param tau: membrane time constant in steps; ``None`` is no leak (IF), or a learnable leak that comes as a tensor.
    :param decay_input: whether the input is divided by :math:`\tau` as well.
    :param threshold: :math:`\theta`.
    :param reset: :math:`r` of a hard reset, ``None`` for a soft one.
    :param detach_reset: whether the reset is left out of the gradient.
    """

    tau: float | None = None
    decay_input: bool = True
    threshold: float = 1.0
    reset: float | None = 0.0
    detach_reset: bool = False

    def leak_and_gain(self, rate: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        r""":math:`\lambda = \partial h_t/\partial v_{t-1}` and :math:`c = \partial h_t/\partial x_t`."""
        if self.tau is None and rate is None:
            return 1.0, 1.0
        share = 1.0 / self.tau if self.tau is not None else rate
        return 1.0 - share, share if self.decay_input else 1.0  # type: ignore[operator, return-value]


def multi_step(
    x: Tensor, v: Tensor | float, dynamics: Dynamics, slope: Slope, rate: Tensor | None = None, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    r"""Run a layer over all steps.

    :param x: input current ``[T, N, *]``, or ``[1, N, *]`` where it is the same at every step.
    :param v: membrane before the first step, ``[N, *]`` or one number.
    :param dynamics: constants of the layer.
    :param slope: derivative of the spike; it sees every step once, in order, if it watches.
    :param rate: :math:`1/\tau` as a tensor of one value, for a learnable time constant.
    :param steps: T, where ``x`` holds one step.
    :return: spikes ``[T, N, *]``, and the membrane after the last step.

    >>> current = torch.tensor([1.5, 0.5, 1.5]).view(3, 1)
    >>> s, v = multi_step(current, 0.0, Dynamics(tau=2.0), Slope(lambda u: 1 / (1 + u.abs())))
    >>> s.flatten().tolist(), v.item()
    ([0.0, 0.0, 1.0], 0.0)
    """
    count = x.shape[0] if steps is None else steps
    if not torch.is_grad_enabled() or not any(isinstance(t, Tensor) and t.requires_grad for t in (x, v, rate)):
        spikes, last, _, _ = _forward(x, v, dynamics, slope, rate, count, keep=False)
        return spikes, last
    spikes, last, _ = _Fused.apply(x, v, rate, dynamics, slope, count)
    return spikes, last


def _forward(
    x: Tensor, v: Tensor | float, dynamics: Dynamics, slope: Slope, rate: Tensor | None, steps: int, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    size = (steps, *x.shape[1:])
    spikes = buffer(size, x)
    now = v.clone() if isinstance(v, Tensor) else x.new_full(size[1:], v)
    if slope.watch is None and compiled.compiles(spikes, x, now, rate):
        membrane = buffer(size if keep else (0, *size[1:]), x)
        compiled.run_forward(x, now, spikes, membrane, dynamics, rate)
        return spikes, now, membrane, []
    membrane = buffer(size if keep else (1, *size[1:]), x)
    watched: list[Tensor] = []
    for t in range(steps):
        h = membrane[t if keep else 0]
        _charge(x[t if x.shape[0] > 1 else 0], now, h, dynamics, rate)
        torch.ge(h, dynamics.threshold, out=spikes[t])
        if slope.watch is not None:
            watched.extend(slope.watch(h - dynamics.threshold))
        if dynamics.reset is None:
            torch.sub(h, spikes[t], alpha=dynamics.threshold, out=now)
        else:
            torch.addcmul(h, spikes[t], h, value=-1, out=now)
            if dynamics.reset:
                now.add_(spikes[t], alpha=dynamics.reset)
    return spikes, now, membrane, watched


def _charge(x: Tensor, v: Tensor, h: Tensor, dynamics: Dynamics, rate: Tensor | None) -> None:
    """Membrane before reset into ``h``; ``v`` is left as it is."""
    if dynamics.tau is None and rate is None:
        torch.add(v, x, out=h)
        return
    origin = torch.sub(v, dynamics.reset, out=h) if dynamics.reset else v
    leaking = torch.sub(x, origin, out=h) if dynamics.decay_input else origin
    if dynamics.tau is not None and math.frexp(dynamics.tau)[0] == 0.5:
        _charge_exactly(x, v, leaking, h, dynamics)
        return
    if dynamics.tau is not None:
        torch.div(leaking, dynamics.tau, out=h)
    elif rate is not None:
        torch.mul(leaking, rate, out=h)
    if dynamics.decay_input:
        h.add_(v)
    else:
        torch.sub(v, h, out=h).add_(x)


def _charge_exactly(x: Tensor, v: Tensor, leaking: Tensor, h: Tensor, dynamics: Dynamics) -> None:
    """The rest of a charge where tau is a power of two: the quotient is exact, so it is taken along in the sum."""
    share = 1.0 / dynamics.tau  # type: ignore[operator]
    if dynamics.decay_input:
        torch.add(v, leaking, alpha=share, out=h)
    else:
        torch.sub(v, leaking, alpha=share, out=h).add_(x)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor | float, rate: Tensor | None, dynamics: Dynamics, slope: Slope, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        spikes, last, membrane, watched = _forward(x, v, dynamics, slope, rate, steps, keep=True)
        ctx.dynamics, ctx.slope = dynamics, slope
        ctx.shared = x.shape[0] == 1 and steps > 1
        ctx.start = None if isinstance(v, Tensor) else v
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(membrane, v if isinstance(v, Tensor) else None, rate, *watched)
        return spikes, last, membrane

    @staticmethod
    def backward(ctx: Any, ds: Tensor | None, dv: Tensor | None, dh: Tensor | None) -> tuple[Tensor | None, ...]:
        h, start, rate, *watched = ctx.saved_tensors
        start = ctx.start if start is None else start
        given = [g for g in (ds, dv, dh) if g is not None]
        plain = torch.is_grad_enabled() or (rate is not None and ctx.needs_input_grad[2]) or any(map(is_wrapped, given))
        if not plain and ds is not None and dh is None and ctx.slope.formula and compiled.compiles(h, ds, rate):
            dstart = torch.zeros_like(h[0]) if dv is None else dv.clone(memory_format=torch.contiguous_format)
            dx = compiled.run_backward(ds, h, dstart, ctx.slope.formula, ctx.dynamics, rate, shared=ctx.shared)
            return dx, dstart if ctx.needs_input_grad[1] else None, None, None, None, None
        walk = _walk_plainly if plain else _walk_in_place
        slopes = ctx.slope.at_steps(h.shape[0], watched, overwrite=not plain)
        dx, dstart, drate = walk(ds, dv, dh, h, start, rate, ctx.dynamics, slopes, ctx.shared)
        return dx, dstart if ctx.needs_input_grad[1] else None, drate, None, None, None


def is_wrapped(value: Tensor) -> bool:
    """Whether a transform of ``torch.func``, or a batch of cotangents, stands behind the tensor: no place to write."""
    functorch = torch._C._functorch
    return bool(functorch.is_functorch_wrapped_tensor(value) or functorch.is_legacy_batchedtensor(value))


def _walk_in_place(
    ds: Tensor | None, dv: Tensor | None, dh: Tensor | None, h: Tensor, start: Tensor | float,  # noqa: ARG001
    rate: Tensor | None, dynamics: Dynamics, slopes: Slopes, shared: bool,
) -> tuple[Tensor, Tensor, None]:  # fmt: skip
    """Last step to first, with buffers of one step."""
    leak, gain = dynamics.leak_and_gain(rate)
    dx = torch.zeros_like(h[:1]) if shared else buffer(h.shape, h)
    e, scratch, carried = (torch.empty_like(h[0]) for _ in range(3))
    arriving = None if dv is None else carried.copy_(dv)
    alike = not shared and rate is None and leak == gain
    for t in range(h.shape[0] - 1, -1, -1):
        _error(None if ds is None else ds[t], arriving, h[t], e, scratch, dynamics, slopes[t])
        if dh is not None:
            e.add_(dh[t])
        if shared:
            dx[0].add_(e)
        else:
            torch.mul(e, gain, out=dx[t])
        arriving = dx[t] if alike else torch.mul(e, leak, out=carried)
    return dx.mul_(gain) if shared else dx, carried.copy_(dx[0]) if alike else carried, None


def _error(
    ds: Tensor | None,
    dv: Tensor | None,
    h: Tensor,
    e: Tensor,
    scratch: Tensor,
    dynamics: Dynamics,
    slope: Callable[[Tensor], Tensor],
) -> None:
    """One step: :math:`e_t` into ``e``."""
    source = ds
    if dv is not None and not dynamics.detach_reset:
        if dynamics.reset is None:
            torch.mul(dv, -dynamics.threshold, out=e)
        else:
            torch.mul(torch.sub(h, dynamics.reset, out=e) if dynamics.reset else h, dv, out=e).neg_()
        source = e if ds is None else e.add_(ds)
    if source is None:
        e.zero_()
    else:
        torch.mul(source, slope(torch.sub(h, dynamics.threshold, out=scratch)), out=e)
    if dv is None:
        return
    if dynamics.reset is None:
        e.add_(dv)
    else:
        e.addcmul_(torch.lt(h, dynamics.threshold, out=scratch), dv)


def _walk_plainly(
    ds: Tensor | None, dv: Tensor | None, dh: Tensor | None, h: Tensor, start: Tensor | float, rate: Tensor | None,
    dynamics: Dynamics, slopes: Slopes, shared: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """The same in differentiable operations, and with the gradient of a learnable rate."""
    leak, gain = dynamics.leak_and_gain(rate)
    origin = dynamics.reset or 0.0
    before = _after_reset(h, start, dynamics, slopes)
    carried = torch.zeros_like(h[0]) if dv is None else dv
    drate = None
    dx: list[Tensor] = []
    for t in range(h.shape[0] - 1, -1, -1):
        u = h[t] - dynamics.threshold
        fired = spike(u, slopes[t])
        given = 0.0 if ds is None else ds[t]
        kept: Tensor | float = 1.0
        if dynamics.reset is not None:
            kept = 1 - (fired.detach() if dynamics.detach_reset else fired)
        if not dynamics.detach_reset:
            given = given + carried * (-dynamics.threshold if dynamics.reset is None else origin - h[t])
        e = given * slopes[t](u) + carried * kept
        if dh is not None:
            e = e + dh[t]
        if rate is not None:
            slant = (h[t] - before[t]) / rate if dynamics.decay_input else origin - before[t]
            drate = (e * slant).sum() + (0.0 if drate is None else drate)
        dx.append(e * gain)
        carried = e * leak
    through = torch.stack(dx).sum(0)[None] if shared else torch.stack(dx[::-1])
    return through, carried, drate


def _after_reset(h: Tensor, start: Tensor | float, dynamics: Dynamics, slopes: Slopes) -> list[Tensor | float]:
    """Membrane before each step."""
    before: list[Tensor | float] = [start]
    for one, slope in zip(h[:-1], slopes, strict=False):
        fired = spike(one - dynamics.threshold, slope)
        if dynamics.detach_reset:
            fired = fired.detach()
        if dynamics.reset is None:
            before.append(one - fired * dynamics.threshold)
        else:
            before.append(fired * dynamics.reset + (1 - fired) * one)
    return before
