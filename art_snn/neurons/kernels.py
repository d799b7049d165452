r"""Loops over large layers as machine code, made by numba. Imported only where numba is installed.

What :mod:`art_snn.neurons.fused` does in one pass over memory per operation is one pass in all: a block of neurons
stays in the processor's cache for all steps. Operations come in the same order and none are merged (numba does not
contract products and sums), so the spikes are the same bit for bit. Cases differ by factors of 0 and 1, which change no
bit of a finite number: with :math:`k = 1, q = r` for a hard and :math:`k = 0, q = -\theta` for a soft reset,

.. math:: v_t = (h_t - k s_t h_t) + q s_t, \qquad
   e_t = \bigl(\delta_t - d\,(k h_t - q)\,w_t\bigr) g(h_t - \theta) + w_t \max(1[h_t < \theta], 1 - k)

and :math:`d = 0` for a detached reset.

Arrays are ``[T, M]``, the neurons of a batch in one row; a layer whose input is the same at every step has one row of
it. ``first`` and ``last`` bound the neurons of one call. Functions hold no lock, so several threads can share a layer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from shutil import disk_usage
from typing import Any

import numpy as np
from numba import njit

_log = logging.getLogger(__name__)

BLOCK = 32768
"""Neurons that run together."""

_ROOM = 2**24
"""Free bytes on a disk that machine code is written to; numba does not survive a full one."""

ADDED, SHARED_OUT, LEAKING, LEARNED_SHARED_OUT, LEARNED_LEAKING = range(5)
"""Ways to charge a membrane: :math:`v + x`; :math:`v + (x - v)/\\tau`; :math:`v - v/\\tau + x`; and the last two with a
factor in place of a division."""

LORENTZ, INVERSE_SQUARE, TRIANGLE = range(3)
"""Places in :data:`art_snn.gradients.rational.FORMS`; the last is the rectangle."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Machine code, kept on disk where there is a place for it."""
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        kept = njit(cache=True, **settings)(function)
        if disk_usage(kept.stats.cache_path).free >= _ROOM:
            return kept  # type: ignore[no-any-return]
    except (RuntimeError, OSError) as error:  # numba found no folder that it may write to, or the folder is gone
        _log.debug("machine code is not kept: %s", error)
    return njit(**settings)(function)  # type: ignore[no-any-return]


@_compiled
def _fired(h, threshold, k, q, one):  # type: ignore[no-untyped-def]  # pragma: no cover
    s = one if h >= threshold else one - one
    return h, s, (h - s * k * h) + s * q


@_compiled
def _row(x, v, h, s, way, share, origin, threshold, k, q):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One step of one block."""
    one = h.dtype.type(1)
    if way == ADDED:
        for i in range(h.shape[0]):
            h[i], s[i], v[i] = _fired(v[i] + x[i], threshold, k, q, one)
    elif way == SHARED_OUT:
        for i in range(h.shape[0]):
            h[i], s[i], v[i] = _fired((x[i] - (v[i] - origin)) / share + v[i], threshold, k, q, one)
    elif way == LEAKING:
        for i in range(h.shape[0]):
            h[i], s[i], v[i] = _fired(v[i] - (v[i] - origin) / share + x[i], threshold, k, q, one)
    elif way == LEARNED_SHARED_OUT:
        for i in range(h.shape[0]):
            h[i], s[i], v[i] = _fired((x[i] - (v[i] - origin)) * share + v[i], threshold, k, q, one)
    else:
        for i in range(h.shape[0]):
            h[i], s[i], v[i] = _fired(v[i] - (v[i] - origin) * share + x[i], threshold, k, q, one)


@_compiled
def run(x, v, h, s, first, last, way, share, origin, threshold, k, q):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Spikes into ``s``; ``v`` is the membrane before and after. ``h`` of no rows is not kept."""
    scratch = np.empty(BLOCK, x.dtype)
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        for t in range(s.shape[0]):
            row = h[t, begin:end] if h.shape[0] > 0 else scratch[: end - begin]
            now = x[min(t, x.shape[0] - 1), begin:end]
            _row(now, v[begin:end], row, s[t, begin:end], way, share, origin, threshold, k, q)


@_compiled
def _error(ds, h, u, g, w, k, q, d, one):  # type: ignore[no-untyped-def]  # pragma: no cover
    below = one if u < one - one else one - k
    return (ds - d * (k * h - q) * w) * g + w * below


@_compiled
def _row_back(ds, h, w, out, kind, a, b, leak, gain, threshold, k, q, d):  # type: ignore[no-untyped-def]  # pragma: no cover
    """One step of one block: its share of the gradient into ``out``, what goes on to the step before into ``w``."""
    one = h.dtype.type(1)
    if kind == LORENTZ:
        for i in range(h.shape[0]):
            u = h[i] - threshold
            e = _error(ds[i], h[i], u, b / (one + (u * a) * (u * a)), w[i], k, q, d, one)
            out[i], w[i] = e * gain, e * leak
    elif kind == INVERSE_SQUARE:
        for i in range(h.shape[0]):
            u = h[i] - threshold
            wide = one + abs(u) * a
            e = _error(ds[i], h[i], u, b / (wide * wide), w[i], k, q, d, one)
            out[i], w[i] = e * gain, e * leak
    elif kind == TRIANGLE:
        for i in range(h.shape[0]):
            u = h[i] - threshold
            e = _error(ds[i], h[i], u, b * max(one - abs(u) * a, one - one), w[i], k, q, d, one)
            out[i], w[i] = e * gain, e * leak
    else:
        for i in range(h.shape[0]):
            u = h[i] - threshold
            e = _error(ds[i], h[i], u, b if abs(u) < a else one - one, w[i], k, q, d, one)
            out[i], w[i] = e * gain, e * leak


@_compiled
def walk(ds, h, w, dx, first, last, kind, a, b, leak, gain, threshold, k, q, d):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Gradient of the input into ``dx`` from that of the spikes; ``w`` is that of the membrane, after and before.

    ``dx`` of one row is the sum over the steps, and comes as zeros.
    """
    scratch = np.empty(BLOCK, h.dtype)
    one = h.dtype.type(1)
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        for t in range(h.shape[0] - 1, -1, -1):
            now, row, later = ds[t, begin:end], h[t, begin:end], w[begin:end]
            if dx.shape[0] == h.shape[0]:
                _row_back(now, row, later, dx[t, begin:end], kind, a, b, leak, gain, threshold, k, q, d)
            else:
                _row_back(now, row, later, scratch[: end - begin], kind, a, b, leak, one, threshold, k, q, d)
                dx[0, begin:end] += scratch[: end - begin]
        if dx.shape[0] != h.shape[0]:
            dx[0, begin:end] *= gain


@_compiled
def halve(x, y, first, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Averages of windows of 2 x 2 into ``y``, from row ``first`` of it to ``last``."""
    quarter = y.dtype.type(0.25)
    for row in range(first, last):
        upper, lower, out = x[2 * row], x[2 * row + 1], y[row]
        for i in range(out.shape[0]):
            out[i] = (((upper[2 * i] + upper[2 * i + 1]) + lower[2 * i]) + lower[2 * i + 1]) * quarter


@_compiled
def spread(g, dx, first, last):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A quarter of each value of ``g`` into each place of its window."""
    quarter = g.dtype.type(0.25)
    for row in range(first, last):
        upper, lower, now = dx[2 * row], dx[2 * row + 1], g[row]
        for i in range(now.shape[0]):
            value = now[i] * quarter
            upper[2 * i], upper[2 * i + 1], lower[2 * i], lower[2 * i + 1] = value, value, value, value
