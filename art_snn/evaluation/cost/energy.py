r"""Energy of a prediction under a named model: operations times their price, memory apart.

.. math:: E = E_{MAC}\,n_{MAC} + E_{AC}\,n_{AC}, \qquad
    E_{memory} = e \, b \, (n_{MAC} + n_{AC} + 2\,n_{updates})

A neuron update is charged as one accumulation. The memory term assumes that nothing is kept close: every operation
fetches its weight of :math:`b` bytes, every update reads and writes a membrane. It is an upper bound, larger than
everything else, the same for both kinds of network, and never added silently. These are modelled numbers, not measured
ones: real hardware adds communication and leakage.

Sources: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014 (45 nm, arithmetic); the price
of a byte is that of SpikingJelly's energy model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from art_snn.errors import suggest


@dataclass(frozen=True)
class Joules:
    """Picojoules per prediction.

    :param compute: arithmetic.
    :param memory: fetching weights and membranes, as an upper bound.

    >>> Joules(compute=136.0, memory=10_000.0).total
    10136.0
    """

    compute: float
    memory: float

    @property
    def total(self) -> float:
        """With memory."""
        return self.compute + self.memory

    def record(self) -> dict[str, float]:
        """JSON-ready."""
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class EnergyModel:
    """Prices in picojoules.

    :param name: what it is called in reports.
    :param mac: of a multiplication with accumulation.
    :param ac: of an accumulation.
    :param byte: of a byte from memory.
    :param width: bytes of a weight.

    >>> ENERGY_MODELS["45nm-fp32"](macs=10, acs=100).compute
    136.0
    """

    name: str
    mac: float
    ac: float
    byte: float
    width: int

    def __call__(self, macs: float, acs: float, updates: float = 0.0) -> Joules:
        """Energy of one prediction.

        :param macs: multiplications with accumulation.
        :param acs: accumulations.
        :param updates: neuron updates.
        """
        compute = self.mac * macs + self.ac * (acs + updates)
        return Joules(compute, self.byte * self.width * (macs + acs + 2 * updates))

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


ENERGY_MODELS: dict[str, EnergyModel] = {
    model.name: model
    for model in (
        EnergyModel("45nm-fp32", 4.6, 0.9, 24.96, 4),
        EnergyModel("45nm-fp16", 1.5, 0.4, 24.96, 2),
        EnergyModel("45nm-int8", 0.23, 0.03, 24.96, 1),
    )
}
"""Presets by name."""


def energy_model(name: str | EnergyModel) -> EnergyModel:
    """Look a model up.

    :raises ValueError: for an unknown name; the message suggests the nearest one.
    """
    if isinstance(name, EnergyModel):
        return name
    if name not in ENERGY_MODELS:
        raise ValueError(suggest(name, ENERGY_MODELS, "energy model"))
    return ENERGY_MODELS[name]
