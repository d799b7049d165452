"""Nodes of a NIR graph as layers on trains ``[T, N, *]``.

Layers without memory become SpikingJelly's, in multi-step mode. IF and LIF nodes become SpikingJelly's neurons where
those compute the same (one value of each constant in the layer, :math:`v_{leak} = v_{reset}`, :math:`tau > dt`), with
the input current scaled as the node says; every other neuron is an :class:`EulerNeuron`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.adapters.euler import EulerNeuron

Make = Callable[[Any, float, nn.Module], nn.Module]


class Scaled(nn.Module):
    """Every value times a constant of its own."""

    scale: Tensor

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.register_buffer("scale", _tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """``scale * x``."""
        return self.scale * x


def _tensor(value: Any) -> Tensor:
    return torch.as_tensor(np.array(value)).to(torch.get_default_dtype())


def _numbers(value: Any) -> Any:
    """A whole number, a tuple of them, or a word, from what NIR keeps as arrays."""
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode()
    array = np.asarray(value)
    return int(array) if array.ndim == 0 else tuple(int(one) for one in array)


def _fill(made: Any, weight: Any, bias: Any) -> nn.Module:
    with torch.no_grad():
        made.weight.copy_(_tensor(weight))
        if bias is not None:
            made.bias.copy_(_tensor(bias))
    return made  # type: ignore[no-any-return]


def _linear(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001 - one signature for all
    bias = getattr(node, "bias", None)
    if node.weight.ndim != 2:
        raise ValueError(explain(f"weights of shape {node.weight.shape}", "[out, in]", "export single matrices"))
    rows, columns = node.weight.shape
    return _fill(layer.Linear(columns, rows, bias=bias is not None, step_mode="m"), node.weight, bias)


def _conv(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    kind = layer.Conv1d if node.weight.ndim == 3 else layer.Conv2d
    groups = int(_numbers(node.groups))
    outputs, inputs, *kernel = node.weight.shape
    settings = {name: _numbers(getattr(node, name)) for name in ("stride", "padding", "dilation")}
    made = kind(inputs * groups, outputs, tuple(kernel), groups=groups, bias=True, step_mode="m", **settings)
    return _fill(made, node.weight, node.bias)


def _sum_pool(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return layer.AvgPool2d(*_window(node), divisor_override=1, step_mode="m")


def _average_pool(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return layer.AvgPool2d(*_window(node), step_mode="m")


def _window(node: Any) -> tuple[Any, ...]:
    return tuple(_numbers(getattr(node, name)) for name in ("kernel_size", "stride", "padding"))


def _flatten(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    first, last = (int(_numbers(axis)) for axis in (node.start_dim, node.end_dim))
    return nn.Flatten(first + 2 if first >= 0 else first, last + 2 if last >= 0 else last)


def _scale(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return Scaled(node.scale)


def _threshold(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    """A neuron that forgets at once: it integrates one step, and its membrane is gone with the next."""
    return EulerNeuron(1.0, tau=1.0, v_threshold=node.threshold, surrogate_function=slope)


def _if(node: Any, dt: float, slope: nn.Module) -> nn.Module:
    constants = _uniform(node, "r", "v_threshold", "v_reset")
    if constants is None:
        return EulerNeuron(dt, r=node.r, v_threshold=node.v_threshold, v_reset=node.v_reset, surrogate_function=slope)
    r, threshold, reset = constants
    return _behind(dt * r, neuron.IFNode(_above(threshold), reset, slope, step_mode="m"))


def _lif(node: Any, dt: float, slope: nn.Module) -> nn.Module:
    constants = _uniform(node, "tau", "r", "v_leak", "v_threshold", "v_reset")
    if constants is None or constants[2] != constants[4] or not constants[0] > dt:
        return EulerNeuron(
            dt, r=node.r, tau=node.tau, v_leak=node.v_leak, v_threshold=node.v_threshold, v_reset=node.v_reset,
            surrogate_function=slope,
        )  # fmt: skip
    tau, r, _, threshold, reset = constants
    return _behind(r, neuron.LIFNode(tau / dt, True, _above(threshold), reset, slope, step_mode="m"))


def _cuba_lif(node: Any, dt: float, slope: nn.Module) -> nn.Module:
    return EulerNeuron(
        dt, r=node.r, tau=node.tau_mem, v_leak=node.v_leak, v_threshold=node.v_threshold, v_reset=node.v_reset,
        tau_syn=node.tau_syn, w_in=node.w_in, surrogate_function=slope,
    )  # fmt: skip


def _li(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return EulerNeuron(dt, r=node.r, tau=node.tau, v_leak=node.v_leak)


def _cuba_li(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return EulerNeuron(dt, r=node.r, tau=node.tau_mem, v_leak=node.v_leak, tau_syn=node.tau_syn, w_in=node.w_in)


def _integrator(node: Any, dt: float, slope: nn.Module) -> nn.Module:  # noqa: ARG001
    return EulerNeuron(dt, r=node.r)


def _uniform(node: Any, *names: str) -> list[float] | None:
    """The constants of a layer, where each has one value."""
    values = [np.unique(np.asarray(getattr(node, name), dtype=np.float64)) for name in names]
    return [float(one[0]) for one in values] if all(len(one) == 1 for one in values) else None


def _above(threshold: float) -> float:
    """SpikingJelly fires at equality, NIR does not: the next single-precision number above."""
    return float(np.nextafter(np.float32(threshold), np.float32(np.inf)))


def _behind(gain: float, node: nn.Module) -> nn.Module:
    """A neuron whose input current is multiplied first."""
    return node if gain == 1 else nn.Sequential(Scaled(gain), node)


NODES: dict[str, Make] = {
    "Affine": _linear, "Linear": _linear, "Conv1d": _conv, "Conv2d": _conv, "SumPool2d": _sum_pool,
    "AvgPool2d": _average_pool, "Flatten": _flatten, "Scale": _scale, "Threshold": _threshold, "IF": _if, "LIF": _lif,
    "CubaLIF": _cuba_lif, "LI": _li, "CubaLI": _cuba_li, "I": _integrator,
}  # fmt: skip
"""Nodes that are known, by name; ``Input`` and ``Output`` pass on what they get."""


def made(name: str, node: Any, dt: float, slope: nn.Module | None) -> nn.Module:
    """The layer of a node.

    :raises ValueError: for a node that is not known, or one that cannot be built; the message names it.
    """
    kind = type(node).__name__
    if kind not in NODES:
        fix = "leave it out before exporting, or build this part by hand"
        raise ValueError(explain(f"node {name!r}, a {kind}", f"one of {', '.join(sorted(NODES))}", fix))
    try:
        return NODES[kind](node, dt, copy.deepcopy(slope) if slope is not None else surrogate.ATan())
    except (ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
        fix = "export the graph again, with the exporting library's own dt"
        came = f"node {name!r}, a {kind}, that cannot be built ({str(error)[:200]})"
        raise ValueError(explain(came, "constants that fit together", fix)) from error
