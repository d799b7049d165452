r"""Layer of non-leaky integrate-and-fire neurons with exponential synapses, solved exactly.

An input spike at time :math:`t_i` adds :math:`w_i (1 - e^{-(t - t_i)})` to the membrane; the threshold is 1. With
:math:`z = e^t` the first output spike is

.. math:: z_{out} = \frac{\sum_{i \in C} w_i z_i}{\sum_{i \in C} w_i - 1},

where the causal set C is the smallest prefix of the inputs in order of time with :math:`\sum_C w_i > 1` whose
:math:`z_{out}` is not before its last and not after the next input; without one the neuron is silent,
:math:`z_{out} = 10^5`. Within C the gradient is exact: :math:`\partial z_{out}/\partial w_i = (z_i - z_{out})/(\sum_C w
- 1)`, :math:`\partial z_{out}/\partial z_i = w_i/(\sum_C w - 1)`.

Source: Mostafa, "Supervised learning based on temporal coding in spiking neural networks", TNNLS 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from art_snn.errors import explain

SILENT = 1e5
_SMALLEST = 1e-6


def z_linear(z: Tensor, weight: Tensor) -> Tensor:
    """Output spike times ``[N, O]`` for input times ``z [N, I]`` and weights ``[O, I]``, all as ``exp(t)``.

    :param weight: ``[out, in]``.

    >>> round(z_linear(torch.tensor([[1.0]]), torch.tensor([[2.0]])).item(), 4)
    2.0
    """
    ordered, order = z.sort(dim=1)
    weights = weight[:, order].transpose(0, 1)
    total = weights.cumsum(2) - 1
    time = (weights * ordered[:, None]).cumsum(2) / torch.where(total < _SMALLEST, 1.0, total)
    following = torch.cat([ordered[:, 1:], torch.full_like(ordered[:, :1], torch.inf)], dim=1)
    valid = (total >= _SMALLEST) & (time >= ordered[:, None]) & (time <= following[:, None])
    first = valid.int().argmax(2, keepdim=True)
    return torch.where(valid.any(2), time.gather(2, first)[..., 0].clamp(max=SILENT), SILENT)


def weight_sum_penalty(weight: Tensor) -> Tensor:
    """Mean of ``max(0, 1 - sum of a neuron's weights)``: a neuron whose weights sum to less than 1 can never fire.

    :param weight: ``[out, in]``.

    >>> weight_sum_penalty(torch.tensor([[0.5, 0.25], [2.0, 0.0]])).item()
    0.125
    """
    return (1 - weight.sum(1)).clamp(min=0).mean()


class ZLinear(nn.Module):
    """Fully connected layer in the z-domain, ``[*, I] -> [*, O]``, with a bias input that fires at z = 1.

    The published loss is ``cross_entropy(-z_out, y) + 100 * weight_sum_penalty(weight)`` with a weight decay of 0.01.

    :param inputs: I.
    :param outputs: O.
    :param generator: source of the initial weights, uniform with a mean sum of 4 per neuron; torch's by default.
    :raises ValueError: if a size is below 1.

    >>> ZLinear(3, 2)(torch.tensor([[1.0, 1.5, 2.0]])).shape
    torch.Size([1, 2])
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if inputs < 1 or outputs < 1:
            raise ValueError(explain(f"{inputs} inputs, {outputs} outputs", "at least one of each", "ZLinear(784, 10)"))
        start = torch.rand((outputs, inputs + 1), generator=generator) * (8 / (inputs + 1))
        self.weight = nn.Parameter(start)

    def forward(self, z: Tensor) -> Tensor:
        """Output spike times as ``exp(t)``."""
        flat = z.reshape(-1, z.shape[-1])
        biased = torch.cat([flat, torch.ones_like(flat[:, :1])], dim=1)
        return z_linear(biased, self.weight).view(*z.shape[:-1], -1)
