"""What a converted network takes: steps, firing rates, synaptic operations, all steps at inference included."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from art_snn.conversion.neurons import SpikingActivation
from art_snn.errors import explain
from art_snn.networks.operations import counting
from art_snn.networks.spiking_network import SpikingNetwork


@dataclass(frozen=True)
class StepCount:
    """Steps of one inference.

    :param pre: steps that pre-simulation or calibration looks at.
    :param read: steps that are read out, the T that publications quote.

    >>> print(StepCount(pre=4, read=8))
    4 + 8 = 12
    """

    pre: int
    read: int

    @property
    def total(self) -> int:
        """Steps until the answer is there."""
        return self.pre + self.read

    def __str__(self) -> str:
        return f"{self.total}" if not self.pre else f"{self.pre} + {self.read} = {self.total}"


def latency(net: SpikingNetwork) -> StepCount:
    """Steps of a converted network.

    :raises TypeError: if ``net`` was not converted.

    >>> from art_snn.conversion import QCFS, convert
    >>> model = nn.Sequential(nn.Linear(4, 8), QCFS(4, 1.0), nn.Linear(8, 2))
    >>> print(latency(convert(model, T=2, method="srp")))
    4 + 2 = 6
    """
    skip = getattr(net.decoder, "skip", None) if isinstance(net, SpikingNetwork) else None
    if skip is None or not any(isinstance(module, SpikingActivation) for module in net.modules()):
        fix = "latency(convert(model, T)); other networks have net.T"
        raise TypeError(explain(f"a {type(net).__name__}", "a network made by convert", fix))
    return StepCount(pre=skip, read=net.T - skip)


@dataclass
class Operations:
    """Work per sample, biases left out.

    :param accumulates: products with spikes: additions.
    :param multiplies: products of weights with other non-zero inputs.
    :param dense: products of the layers when nothing is skipped, all steps.
    :param rates: mean firing rate of each neuron layer, per step.

    >>> work = Operations(accumulates=90.0, multiplies=10.0, dense=400.0, rates={"1": 0.2, "3": 0.4})
    >>> work.synaptic, round(work.rate, 6)
    (100.0, 0.3)
    """

    accumulates: float = 0.0
    multiplies: float = 0.0
    dense: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Mean over layers of the firing rate."""
        return sum(self.rates.values()) / max(len(self.rates), 1)

    @property
    def synaptic(self) -> float:
        """All products that are carried out."""
        return self.accumulates + self.multiplies


def operations(net: nn.Module, x: Tensor) -> Operations:
    """Count the operations of one forward pass, per sample; all steps of a spiking network count.

    The rules are those of :mod:`art_snn.networks.operations`: weights and inputs that are zero are skipped, spikes
    count additions, averaged or not (threshold and average go into the next weights), and directly coded inputs
    products.

    :param net: a spiking network, or an ordinary one.
    :param x: a batch of inputs.

    >>> layer = nn.Linear(3, 2, bias=False)
    >>> operations(nn.Sequential(layer), torch.tensor([[1.0, 0.0, 2.0]])).synaptic
    4.0
    """
    with counting(net) as counter, torch.no_grad():
        net(x)
    rates = {name.removesuffix(".node"): float(rate.mean()) for name, rate in counter.rates.items()}
    return Operations(float(counter.synops.mean()), float(counter.macs.mean()), counter.dense, rates)
