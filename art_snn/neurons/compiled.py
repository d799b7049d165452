r"""Large layers as machine code, where numba is installed (``pip install "art-snn[numba]"``).

The loops are :mod:`art_snn.neurons.kernels` (neurons, average pooling by two); here is when they run, and with what.
They run on contiguous float32 or float64 tensors of a CPU from 4 MiB on, so that small networks never wait for a
compiler: the first large layer on a machine takes a few seconds, the first of a process a tenth of one. Several threads
of torch are as many threads here, each with neurons of its own, so the result does not depend on their number.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from art_snn.gradients.rational import FORMS, Rational
from art_snn.neurons.buffers import buffer, is_large

if TYPE_CHECKING:
    from art_snn.neurons.fused import Dynamics

_log = logging.getLogger(__name__)

_LEAST = 2**16
"""Neurons that are worth a thread."""


@cache
def kernels() -> Any | None:
    """The loops; ``None`` where numba is not installed, or does not work with the numpy that is."""
    try:
        return importlib.import_module("art_snn.neurons.kernels")
    except ImportError as error:
        _log.info("layers run as torch operations: %s", error)
        return None


def installed() -> bool:
    """Whether numba is there, without loading it."""
    return importlib.util.find_spec("numba") is not None


def compiles(*tensors: Tensor | None) -> bool:
    """Whether a layer with these tensors runs as machine code; the first of them says how large it is."""
    given = [t for t in tensors if t is not None]
    return (
        is_large(given[0])
        and all(type(t) is Tensor and t.is_contiguous() and t.dtype == given[0].dtype for t in given)
        and all(t.device == given[0].device for t in given)
        and kernels() is not None
    )


def run_forward(
    x: Tensor, v: Tensor, spikes: Tensor, membrane: Tensor, dynamics: Dynamics, rate: Tensor | None
) -> None:
    """Spikes into ``spikes``, membranes before reset into ``membrane`` (of no steps: not kept); ``v`` is overwritten by
    the last.
    """
    loops: Any = kernels()
    if dynamics.tau is None and rate is None:
        way, share = loops.ADDED, 1.0
    elif dynamics.tau is not None:
        way, share = (loops.SHARED_OUT if dynamics.decay_input else loops.LEAKING), dynamics.tau
    else:
        way = loops.LEARNED_SHARED_OUT if dynamics.decay_input else loops.LEARNED_LEAKING
        share = rate.item()  # type: ignore[union-attr]
    numbers = _numbers(x, share, dynamics.reset or 0.0, dynamics.threshold, *_reset(dynamics))
    arrays = _rows(x), _flat(v), _rows(membrane), _rows(spikes)
    _in_threads(v.numel(), lambda first, last: loops.run(*arrays, first, last, way, *numbers))


def run_backward(
    ds: Tensor, h: Tensor, w: Tensor, slope: Rational, dynamics: Dynamics, rate: Tensor | None, *, shared: bool
) -> Tensor:
    """Gradient of the input; ``w`` is that of the membrane after the last step, overwritten by that before the first.

    :param shared: whether the input is one step, whose gradient is the sum over the steps.
    """
    loops: Any = kernels()
    dx = torch.zeros_like(h[:1]) if shared else buffer(h.shape, h)
    leak, gain = dynamics.leak_and_gain(rate)
    numbers = _numbers(
        h, slope.a, slope.b, float(leak), float(gain), dynamics.threshold, *_reset(dynamics),
        float(not dynamics.detach_reset),
    )  # fmt: skip
    kind = FORMS.index(slope.form)
    arrays = _rows(ds), _rows(h), _flat(w), _rows(dx)
    _in_threads(w.numel(), lambda first, last: loops.walk(*arrays, first, last, kind, *numbers))
    return dx


def halve(x: Tensor, y: Tensor) -> None:
    """Averages of the windows of 2 x 2 of ``x [*, 2H, 2W]`` into ``y [*, H, W]``."""
    _between_rows("halve", x, y, y)


def spread(g: Tensor, dx: Tensor) -> None:
    """A quarter of each value of ``g [*, H, W]`` into each place of its window in ``dx [*, 2H, 2W]``."""
    _between_rows("spread", g, dx, g)


def _between_rows(name: str, source: Tensor, target: Tensor, small: Tensor) -> None:
    loop = getattr(kernels(), name)
    one, other = (t.detach().view(-1, t.shape[-1]).numpy() for t in (source, target))
    rows, width = small.numel() // small.shape[-1], small.shape[-1]
    _in_threads(rows, lambda first, last: loop(one, other, first, last), max(1, _LEAST // width))


def _reset(dynamics: Dynamics) -> tuple[float, float]:
    return (0.0, -dynamics.threshold) if dynamics.reset is None else (1.0, dynamics.reset)


def _numbers(like: Tensor, *values: float) -> list[Any]:
    kind = _flat(like[:0]).dtype.type
    return [kind(value) for value in values]


def _flat(x: Tensor) -> Any:
    return x.detach().view(-1).numpy()


def _rows(x: Tensor) -> Any:
    return x.detach().view(len(x), x.shape[1:].numel()).numpy()


def _in_threads(items: int, run: Callable[[int, int], None], least: int = _LEAST) -> None:
    """``run(first, last)`` over parts of the items, at least so many each, side by side."""
    count = max(1, min(torch.get_num_threads(), items // least))
    bounds = [items * k // count for k in range(count + 1)]
    if count == 1:
        run(0, items)
        return
    with ThreadPoolExecutor(count - 1) as pool:
        others = [pool.submit(run, bounds[k], bounds[k + 1]) for k in range(1, count)]
        run(bounds[0], bounds[1])
        for other in others:
            other.result()
