r"""The work of a prediction: operations as the network does them, by the same rules for spiking networks and others.

The count is that of :mod:`art_snn.networks.operations`: weights and values that are zero are skipped for everybody, so
an ANN with ReLU gets its sparsity too; every step of a spiking network counts, pre-simulation included; average pooling
folds into the weights behind it; a directly coded first layer multiplies at every step. A network that keeps the
product of a constant input would not: :attr:`Work.macs_cached` counts it once. Bias and batch norm (it folds into the
weights) cost nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from art_snn.evaluation.cost.energy import EnergyModel, Joules, energy_model
from art_snn.networks.operations import counting

Array = np.ndarray[Any, np.dtype[Any]]
_BATCH = 64


@dataclass(frozen=True)
class Work:
    """Means over samples, per prediction (one draw of a stochastic network).

    :param acs: synaptic operations: products of weights with spikes, which are additions.
    :param macs: products of weights with other values.
    :param macs_cached: those left if a layer whose input is the same at every step computes it once.
    :param dense: products if nothing were skipped.
    :param updates: neuron updates: neurons times steps.
    :param parameters: weights and other learnable numbers.
    :param rates: spikes per neuron and step, for each layer of neurons.
    :param acs_low: 5 % quantile of ``acs`` over samples.
    :param acs_high: 95 % quantile.

    >>> found = Work(acs=100.0, macs=10.0, macs_cached=10.0, dense=400.0, updates=20.0, parameters=50)
    >>> found.energy("45nm-fp32").compute
    154.0
    """

    acs: float
    macs: float
    macs_cached: float
    dense: float
    updates: float
    parameters: int
    rates: dict[str, float] = field(default_factory=dict)
    acs_low: float = 0.0
    acs_high: float = 0.0

    @property
    def rate(self) -> float | None:
        """Mean firing rate over layers; ``None`` for a network that does not spike."""
        return float(np.mean(list(self.rates.values()))) if self.rates else None

    def energy(self, model: str | EnergyModel = "45nm-fp32", *, cached: bool = False) -> Joules:
        """Energy of one prediction.

        :param model: a preset's name, or a model.
        :param cached: whether products of a constant input are kept, see :attr:`macs_cached`.
        :raises ValueError: for an unknown name.
        """
        return energy_model(model)(self.macs_cached if cached else self.macs, self.acs, self.updates)

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "rate": self.rate}


def work(model: nn.Module, x: Array | Tensor) -> Work:
    """Count the operations of a network on samples.

    :param model: a spiking network, or an ordinary one.
    :param x: samples ``[N, *]``.
    :raises ValueError: if a layer keeps neither time nor batch in front.

    >>> work(nn.Linear(3, 2), torch.tensor([[0.5, 0.0, 2.0]])).macs
    4.0
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    rates: dict[str, list[Tensor]] = {}
    dense, updates = 0.0, 0.0
    training = model.training
    model.eval()
    try:
        for batch in torch.as_tensor(x, device=device).split(_BATCH):
            with counting(model) as counter, torch.no_grad():
                model(batch)
            parts.append((counter.synops.cpu(), counter.macs.cpu(), counter.repeated.cpu()))
            for name, rate in counter.rates.items():
                rates.setdefault(name, []).append(rate.cpu())
            dense, updates = counter.dense, counter.updates
    finally:
        model.train(training)
    synops, macs, repeated = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    low, high = np.quantile(synops, [0.05, 0.95])
    return Work(
        float(synops.mean()), float(macs.mean()), float((macs - repeated).mean()), dense, updates,
        sum(p.numel() for p in model.parameters()), {name: float(torch.cat(r).mean()) for name, r in rates.items()},
        float(low), float(high),
    )  # fmt: skip
