r"""Batch norm in eval mode, into memory that is used again.

.. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

The forward pass is torch's own kernel, so the values are the same bit for bit. Only large tensors on a CPU, and only
where the layer's own parameters ask for no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from spikingjelly.activation_based import layer
from torch import Tensor, nn
from torch.autograd import forward_ad

from art_snn.neurons.buffers import buffer, is_large
from art_snn.neurons.fused import is_wrapped


class _Normalized(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        y, unused = buffer(x.shape, x), x.new_empty(0)
        torch.native_batch_norm(
            x, weight, bias, mean, variance, training=False, momentum=0.0, eps=eps,
            out=(y, unused, unused.clone()),
        )  # fmt: skip
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(scale if weight is None else scale * weight)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = ctx.saved_tensors
        scale = scale.view(-1, *[1] * (grad.dim() - 2))
        if torch.is_grad_enabled() or is_wrapped(grad):
            dx = grad * scale
        else:
            dx = torch.mul(grad, scale, out=buffer(grad.shape, grad))
        return dx, None, None, None, None, None


def normalizes(module: nn.Module) -> bool:
    """Whether a layer normalizes by its own statistics, over all steps at once, and is not being trained."""
    return (
        type(module) is layer.BatchNorm2d
        and module.step_mode == "m"
        and not module.training
        and module.running_mean is not None
        and module.running_var is not None
        and not any(p.requires_grad for p in module.parameters())
    )


def normalize(module: Any, x: Tensor) -> Any:
    """The layer's output, in a buffer where that is the same and worth it."""
    ours = x.dim() == 5 and x.dtype == module.running_mean.dtype and x.is_contiguous() and is_large(x)
    if not ours or torch.is_autocast_enabled("cpu") or is_wrapped(x) or forward_ad.unpack_dual(x).tangent is not None:
        return type(module).forward(module, x)
    flat = x.flatten(0, 1)
    y: Tensor = _Normalized.apply(flat, module.running_mean, module.running_var, module.weight, module.bias, module.eps)
    return y.view(x.shape)
