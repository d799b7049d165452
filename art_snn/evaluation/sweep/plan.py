"""The cells of a sweep: what is computed, from what, and under which address.

A cell's address is the hash of everything that decides its result: the data, the model's code, defense, recipe and
seed, the threat, the attack with its parameters, the seeds, the versions of what computes, threads and kind of device.
So a cell is found again by any sweep that asks for the same thing, and never by one that asks for another.

Cells come in stages; a cell needs only cells of earlier ones. What several threat models ask for is one cell.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import permutations
from typing import Any

import numpy as np

from art_snn import __version__
from art_snn.errors import explain
from art_snn.evaluation.attacks import UNBOUNDED, attack_named
from art_snn.evaluation.examination import source_attack
from art_snn.evaluation.flags import DEFAULT
from art_snn.evaluation.seeding import fingerprint
from art_snn.evaluation.sweep.config import Sweep, Threat
from art_snn.evaluation.zoo import CONVERTED, source_of

FORMAT = 1
"""Version of what a cell holds."""
STAGES = {"train": 0, "convert": 1, "clean": 2, "unbounded": 2, "attack": 2, "flags": 3, "transfer": 3, "examine": 3}


@dataclass(frozen=True)
class Cell:
    """One thing to compute.

    :param kind: a key of :data:`STAGES`.
    :param dataset: name of the data set.
    :param model: name of the model in the zoo.
    :param seed: its training seed.
    :param norm: of the budget.
    :param attack: name of an attack.
    :param eps: budgets.
    :param source: the model against which examples were made.
    :param whole: whether all adversarial examples are kept.
    :param needs: addresses of cells whose results it starts from.
    :param address: what decides its result, hashed.
    """

    kind: str
    dataset: str
    model: str
    seed: int
    norm: float = np.inf
    attack: str = ""
    eps: tuple[float, ...] = ()
    source: str = ""
    whole: bool = False
    needs: tuple[str, ...] = ()
    address: str = ""

    @property
    def stage(self) -> int:
        """Cells of one stage can be computed in any order."""
        return STAGES[self.kind]

    @property
    def label(self) -> str:
        """For people."""
        parts = [self.kind, self.dataset, self.model, f"seed {self.seed}"]
        parts += [f"from {self.source}"] if self.source else []
        parts += [f"{self.attack} L{self.norm:g}"] if self.attack else []
        parts += ["eps " + " ".join(f"{eps:.4g}" for eps in self.eps)] if self.eps else []
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """JSON-ready, without what it needs."""
        found = {key: value for key, value in asdict(self).items() if key != "needs"}
        return {**found, "norm": f"{self.norm:g}", "eps": list(self.eps)}


@dataclass(frozen=True)
class Group:
    """One data set under one threat model: a comparison, and the cells that it consists of, by model."""

    name: str
    dataset: str
    threat: Threat
    cells: dict[str, list[str]]


@dataclass(frozen=True)
class Plan:
    """All cells by address, in order, and the groups of the report."""

    cells: dict[str, Cell]
    groups: list[Group]
    settings: dict[str, Any]


def versions() -> dict[str, str]:
    """What computes a cell."""
    names = ("adversarial-robustness-toolbox", "torch", "numpy", "spikingjelly")
    python = ".".join(platform.python_version_tuple()[:2])
    return {"art-snn": __version__, "python": python, **{name: version(name) for name in names}}


class Planner:
    """Makes the cells of a sweep.

    :param sweep: the configuration.
    :param data: hash of each data set.
    :param device: ``cpu`` or ``cuda``.
    """

    def __init__(self, sweep: Sweep, data: Mapping[str, str], device: str) -> None:
        self.sweep, self.data, self.device = sweep, data, device
        self.versions = versions()
        self.cells: dict[str, Cell] = {}

    def cell(self, kind: str, dataset: str, model: str, seed: int, needs: tuple[str, ...] = (), **more: Any) -> str:
        """Add a cell unless it is there, and return its address."""
        bare = Cell(kind, dataset, model, seed, needs=needs, **more)
        parameters: dict[str, Any] = {}
        if bare.attack:
            parameters = dict(attack_named(bare.attack, bare.norm).parameters)
        elif kind == "unbounded":
            parameters = dict(UNBOUNDED.parameters)
        plan = DEFAULT.record() if kind == "flags" else None
        # Training does not depend on which samples are attacked, nor from which seed.
        chosen = [] if bare.stage < STAGES["clean"] else [self.sweep.samples, self.sweep.seed]
        address = fingerprint(
            FORMAT, self.versions, self.sweep.threads, self.device, self.data[dataset],
            asdict(self.sweep.recipe(dataset)), chosen, bare.record(), parameters, plan, list(needs),
        )  # fmt: skip
        self.cells.setdefault(address, Cell(kind, dataset, model, seed, needs=needs, address=address, **more))
        return address

    def network(self, dataset: str, model: str, seed: int) -> tuple[str, ...]:
        """What gives a model's network: its training, and the conversion behind it."""
        trained = self.cell("train", dataset, source_of(model), seed)
        if model != CONVERTED:
            return (trained,)
        return trained, self.cell("convert", dataset, model, seed, needs=(trained,))

    def group(self, dataset: str, threat: Threat) -> Group:
        """The cells of one comparison."""
        names = [model.name for model in self.sweep.models]
        found: dict[str, list[str]] = {name: [] for name in names}
        carried = source_attack([attack_named(name, threat.norm) for name in threat.attacks])
        made: dict[tuple[str, int], list[str]] = {}
        for name in names:
            for seed in self.sweep.seeds:
                made[name, seed], used = self._subject(dataset, name, seed, threat, carried.name if carried else None)
                found[name] += used
        if carried is not None:
            for one, other in permutations(names, 2):
                for seed in self.sweep.seeds:
                    needs = (*self.network(dataset, other, seed), *self.network(dataset, one, seed), *made[one, seed])
                    address = self.cell(
                        "transfer", dataset, other, seed, tuple(dict.fromkeys(needs)), source=one, norm=threat.norm,
                        attack=carried.name, eps=threat.eps,
                    )  # fmt: skip
                    found[other].append(address)
        return Group(f"{dataset}-{threat.name}", dataset, threat, found)

    def _subject(
        self, dataset: str, model: str, seed: int, threat: Threat, carried: str | None
    ) -> tuple[list[str], list[str]]:
        """Cells of one network: those whose examples are carried to others, and all of them."""
        net = self.network(dataset, model, seed)
        used = [*net, self.cell("clean", dataset, model, seed, net), self.cell("unbounded", dataset, model, seed, net)]
        made, attacked = [], []
        for name in threat.attacks:
            for eps in threat.eps:
                whole = name == carried
                attacked.append(
                    self.cell(
                        "attack", dataset, model, seed, net, norm=threat.norm, attack=name, eps=(eps,), whole=whole
                    )
                )
                made += [attacked[-1]] if whole else []
        probed = self.cell(
            "flags", dataset, model, seed, (*used, *sorted(attacked)), norm=threat.norm, eps=(threat.eps[-1],)
        )
        where = {"norm": threat.norm, "attack": carried, "eps": (threat.eps[-1],)} if carried else {}
        looked = self.cell("examine", dataset, model, seed, (*net, *made[-1:]), **where)
        return made, [*used, *attacked, probed, looked]


def plan_sweep(sweep: Sweep, data: Mapping[str, str], device: str = "cpu") -> Plan:
    """Every cell and every group of a sweep.

    :param data: hash of each data set.
    :raises ValueError: if there are too many cells.
    """
    planner = Planner(sweep, data, device)
    groups = []
    for dataset, threat in _comparisons(sweep):
        groups.append(planner.group(dataset, threat))
        if len(planner.cells) > sweep.max_cells:
            came = f"{sweep.file} with more than {sweep.max_cells} cells"
            fix = "ask for fewer models, seeds, budgets or attacks, or set max_cells higher if you mean it"
            raise ValueError(explain(came, f"at most {sweep.max_cells}", fix))
    cells = dict(sorted(planner.cells.items(), key=lambda item: item[1].stage))
    settings = {
        "samples": sweep.samples, "seed": sweep.seed, "threads": sweep.threads, "device": device, "data": dict(data),
        "recipes": {name: asdict(sweep.recipe(name)) for name in sweep.datasets}, "versions": planner.versions,
    }  # fmt: skip
    return Plan(cells, groups, settings)


def _comparisons(sweep: Sweep) -> Iterator[tuple[str, Threat]]:
    for dataset in sweep.datasets:
        for threat in sweep.threats:
            yield dataset, threat
