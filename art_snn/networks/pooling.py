r"""Average pooling by two, as four strided additions.

.. math:: y_{ij} = \tfrac14 (x_{2i,2j} + x_{2i,2j+1} + x_{2i+1,2j} + x_{2i+1,2j+1})

Terms are added in the order in which torch adds them, so the values are the same bit for bit; torch's own loop over the
windows of a contiguous image is not vectorized on a CPU and takes about three times as long. Large layers are one pass
of machine code where numba is installed.
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.autograd import forward_ad

from art_snn.neurons import compiled
from art_snn.neurons.buffers import buffer
from art_snn.neurons.fused import is_wrapped

_TWO = (2, (2, 2), [2, 2])


def halved(x: Tensor) -> Tensor:
    """Average of each 2 x 2 window of the last two axes, whose sizes are even.

    >>> halved(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).item()
    3.0
    """
    y: Tensor = _Halved.apply(x)
    return y


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = buffer((*x.shape[:-2], x.shape[-2] // 2, x.shape[-1] // 2), x)
        if compiled.compiles(x):
            compiled.halve(x, total)
            return total
        upper, lower = x[..., ::2, :], x[..., 1::2, :]
        torch.add(upper[..., ::2], upper[..., 1::2], out=total)
        return total.add_(lower[..., ::2]).add_(lower[..., 1::2]).div_(4)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        *outer, height, width = grad.shape
        if torch.is_grad_enabled() or is_wrapped(grad):
            spread = (grad / 4)[..., :, None, :, None].expand(*outer, height, 2, width, 2)
            return spread.reshape(*outer, 2 * height, 2 * width)
        dx = buffer((*outer, height, 2, 2 * width), grad)
        if compiled.compiles(dx, grad):
            compiled.spread(grad, dx)
            return dx.view(*outer, 2 * height, 2 * width)
        quarter = torch.div(grad, 4, out=buffer(grad.shape, grad))
        upper = dx[..., 0, :].view(*outer, height, width, 2)
        torch.stack([quarter, quarter], -1, out=upper)
        dx[..., 1, :] = dx[..., 0, :]
        return dx.view(*outer, 2 * height, 2 * width)


def halves(module: nn.Module) -> bool:
    """Whether a layer averages 2 x 2 windows, over all steps at once."""
    return (
        type(module) is layer.AvgPool2d
        and module.step_mode == "m"
        and module.kernel_size in _TWO
        and module.stride in _TWO
        and module.padding in (0, (0, 0))
        and not module.ceil_mode
        and module.divisor_override is None
    )


def pool(module: nn.Module, x: Tensor) -> Any:
    """The layer's output, by :func:`halved` where that is the same."""
    even = x.dim() == 5 and x.shape[-1] % 2 == 0 and x.shape[-2] % 2 == 0
    ours = even and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0
    if not ours or is_wrapped(x) or forward_ad.unpack_dual(x).tangent is not None:
        return type(module).forward(module, x)
    return halved(x)
