r"""Threshold-adapting LIF: a neuron that holds its membrane near a signature recorded on clean data.

.. math:: \theta_t = \theta_{t-1} + \theta_v \,(u_t - \bar u_t), \qquad \theta_v \ge 0

before each spike test, where the *signature* :math:`\bar u_t` is the mean membrane of a trained network on clean data,
per neuron and step (:func:`record_signature`). With :math:`\theta_v = 0` it is a LIF neuron, and so it is where the
membrane equals its signature.

The surrogate is taken at the threshold in force, and the gradient also passes through the threshold: a backward pass
at the fixed threshold would hide part of it from an attack.

Source: HoSNN, Geng and Li, arXiv 2308.10373 (there with a synaptic current in front).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.neurons.varying_lif import Value, VaryingLIF, check_step, check_varies


class HomeostaticLIF(VaryingLIF):
    r"""LIF with an adaptive threshold.

    :param T: time steps.
    :param shape: shape of one sample's current.
    :param rate: :math:`\theta_v` at the start, 0 or more; learnable, and kept at 0 or more.

    The remaining parameters are those of :class:`~art_snn.neurons.varying_lif.VaryingLIF`.

    :raises ValueError: if an argument is out of range, or, when called, the current has another shape.

    >>> HomeostaticLIF(T=2, shape=(1,), rate=0.0)(torch.tensor([0.75, 0.75]).view(2, 1, 1)).flatten().tolist()
    [0.0, 1.0]
    """

    def __init__(self, T: int, shape: tuple[int, ...], rate: float = 0.2, tau: float = 2.0, **kwargs: Any) -> None:
        super().__init__(tau, **kwargs)
        if T < 1 or not rate >= 0:
            raise ValueError(explain(f"T={T}, rate={rate}", "T >= 1 and rate >= 0", "HomeostaticLIF(8, (64,), 0.2)"))
        self.T, self.shape = int(T), tuple(int(n) for n in shape)
        self.rate = nn.Parameter(torch.tensor(float(rate)))
        self.signature: Tensor
        self.register_buffer("signature", torch.zeros(self.T, *self.shape))
        self.recording: list[Tensor] | None = None
        self.theta: Tensor | float
        self.register_memory("theta", float(self.v_threshold))

    def threshold(self, t: int, u: Tensor) -> Value:
        """The threshold in force, after this step's adaptation."""
        check_varies("HomeostaticLIF", self.shape, u, "signature")
        if self.recording is not None:
            return self.v_threshold
        drift = u - self.signature[check_step("HomeostaticLIF", t, self.T)]
        self.theta = self.theta + torch.relu(self.rate) * drift
        return self.theta

    def charged(self, u: Tensor) -> None:
        """Keep the membrane while a signature is recorded."""
        if self.recording is not None:
            self.recording.append(u.detach().double().sum(0))

    def own_arguments(self) -> dict[str, Any]:
        """See the base class."""
        return {"T": self.T, "shape": self.shape, "rate": float(self.rate.detach())}


def record_signature(net: nn.Module, x: Tensor, batch_size: int = 64) -> None:
    """Record the mean membrane of every :class:`HomeostaticLIF` on clean samples, at its fixed threshold.

    :param net: a network with such neurons; left in its mode.
    :param x: clean samples ``[N, *]``, of the training set.
    :param batch_size: samples per forward pass.
    :raises ValueError: if there is no such neuron, or no sample.

    >>> neuron = HomeostaticLIF(T=2, shape=(1,))
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.neuron = neuron
    ...     def forward(self, x):
    ...         return self.neuron(torch.stack([x, x]))
    >>> record_signature(Twice(), torch.tensor([[0.5], [0.7]]))
    >>> neuron.signature.shape
    torch.Size([2, 1])
    """
    neurons = [module for module in net.modules() if isinstance(module, HomeostaticLIF)]
    if not neurons or not len(x):
        came = f"{len(neurons)} homeostatic neurons and {len(x)} samples"
        raise ValueError(explain(came, "at least one of each", "build the network with neuron='homeostatic'"))
    totals: list[list[Tensor]] = [[] for _ in neurons]
    with _recording(net, neurons), torch.no_grad():
        for part in x.split(batch_size):
            net(part)
            for neuron, total in zip(neurons, totals, strict=True):
                steps = torch.stack(neuron.recording or [])
                total.append(steps.view(-1, neuron.T, *neuron.shape).sum(0) / (len(steps) // neuron.T))
                neuron.recording = []
    for neuron, total in zip(neurons, totals, strict=True):
        neuron.signature.copy_(torch.stack(total).sum(0) / len(x))


@contextmanager
def _recording(net: nn.Module, neurons: list[HomeostaticLIF]) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    try:
        net.eval()
        for neuron in neurons:
            neuron.recording = []
        yield
    finally:
        for neuron in neurons:
            neuron.recording = None
        for module, mode in modes:
            module.training = mode
