"""One cell, computed from what it is given and nothing else: the same on any worker of any cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from art.estimators.classification import PyTorchClassifier
from safetensors.numpy import load as arrays_of
from safetensors.numpy import save as serialize

from art_snn.data import Dataset, load
from art_snn.errors import explain
from art_snn.evaluation.attacks import UNBOUNDED, attack_named
from art_snn.evaluation.cells import Measurement, Subject
from art_snn.evaluation.examination import examine, transfer
from art_snn.evaluation.seeding import fingerprint
from art_snn.evaluation.store import Record, ResultStore
from art_snn.evaluation.sweep.devices import settled, worker_name
from art_snn.evaluation.sweep.plan import Cell, versions
from art_snn.evaluation.zoo import Recipe, convert_trained, restored, source_of, train
from art_snn.networks.storage import packed

_ONE_AT_A_TIME = threading.Lock()
"""ART's attacks draw from global generators: threads of one process take turns."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell and everything it starts from.

    :param cell: what to compute.
    :param settings: of the plan.
    :param weights: of the networks it needs, by model.
    :param records: of the cells it needs.
    :param examples: adversarial images of those cells, by the key of their record.
    :param parent: the process that is gone if this is not our parent; 0 on a cluster or in the parent itself.
    :param broken: why it cannot be computed.
    """

    cell: Cell
    settings: dict[str, Any]
    weights: dict[str, bytes] = field(default_factory=dict)
    records: tuple[Record, ...] = ()
    examples: dict[str, bytes] = field(default_factory=dict)
    parent: int = 0
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell: records and files, or an error with its traceback."""

    address: str
    records: tuple[Record, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""
    warned: tuple[str, ...] = ()
    error: str = ""
    trace: str = ""


def compute(job: Job) -> Outcome:
    """Compute a cell; whatever goes wrong in it comes back as its error."""
    if job.parent:
        _mind(job.parent)
    start = time.perf_counter()
    with _ONE_AT_A_TIME, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if job.broken:
                raise ValueError(job.broken)
            _check(job)
            with settled(job.settings["threads"], job.settings["device"]):
                records, files = KINDS[job.cell.kind](Worker(job))
        except Exception as error:  # noqa: BLE001 - one cell must not end the others
            said = f"{type(error).__name__}: {error}"
            return Outcome(job.cell.address, error=said, trace=traceback.format_exc(), worker=worker_name())
    shown = [one for one in caught if not issubclass(one.category, DeprecationWarning)]
    told = tuple(dict.fromkeys(f"{one.category.__name__}: {one.message}" for one in shown))
    timeless = tuple({key: value for key, value in record.items() if key != "seconds"} for record in records)
    return Outcome(job.cell.address, timeless, files, time.perf_counter() - start, worker_name(), told)


@lru_cache(maxsize=2)
def dataset(name: str) -> tuple[Dataset, str]:
    """A data set and its hash."""
    data = load(name)
    return data, fingerprint(data.x_train, data.y_train, data.x_test, data.y_test, list(data.clip_values))


class Worker:
    """What the kinds of cells share."""

    def __init__(self, job: Job) -> None:
        self.job, self.cell = job, job.cell
        self.data, _ = dataset(job.cell.dataset)
        self.recipe = Recipe(**job.settings["recipes"][job.cell.dataset])
        self.device = job.settings["device"]

    def classifier(self, model: str) -> PyTorchClassifier:
        """The network of a model, of the cell's seed."""
        weights = self.job.weights[source_of(model)]
        return restored(model, self.data, self.recipe, self.cell.seed, weights, self.device)

    def subject(self, model: str) -> Subject:
        """The same, to be measured."""
        return Subject(model, self.classifier(model))

    def measurement(self) -> Measurement:
        """The samples, with the adversarial images that were handed in."""
        x, y, _ = self.data.select(self.job.settings["samples"], self.job.settings["seed"])
        whole = (self.cell.attack,) if self.cell.whole else ()
        cells = Measurement(x, y, ResultStore(None), self.job.settings["seed"], whole)
        for key, content in self.job.examples.items():
            cells.provide(key, arrays_of(content)["x_adv"])
        return cells

    def records(self, kind: str) -> list[Record]:
        """Records of cells that this one needs."""
        return [record for record in self.job.records if record["kind"] == kind]


Result = tuple[list[Record], dict[str, bytes]]


def _train(worker: Worker) -> Result:
    cell = worker.cell
    classifier, record = train(cell.model, worker.data, worker.recipe, cell.seed, worker.device)
    return [record], {f"models/{cell.address}.safetensors": packed(classifier.model)}


def _convert(worker: Worker) -> Result:
    cell = worker.cell
    source = worker.classifier(source_of(cell.model))
    trained_on = worker.records("train")[0]["key"]
    return [convert_trained(source, trained_on, worker.data, worker.recipe, cell.seed, worker.device)], {}


def _clean(worker: Worker) -> Result:
    return [worker.measurement().clean(worker.subject(worker.cell.model))], {}


def _attack(worker: Worker) -> Result:
    cell, cells = worker.cell, worker.measurement()
    subject = worker.subject(cell.model)
    if cell.kind == "unbounded":
        return [cells.unbounded(subject)], {}
    record = cells.attack(subject, attack_named(cell.attack, cell.norm), cell.eps[0])
    kept = {f"examples/{key}.safetensors": serialize({"x_adv": image}) for key, image in _contiguous(cells)}
    return [record], kept


def _contiguous(cells: Measurement) -> list[tuple[str, Any]]:
    return [(key, np.ascontiguousarray(images)) for key, images in cells.kept().items()]


def _flags(worker: Worker) -> Result:
    cells, subject = worker.measurement(), worker.subject(worker.cell.model)
    attacks = worker.records("attack")
    unbounded = [record for record in attacks if record["attack"] == UNBOUNDED.name]
    bounded = sorted((r for r in attacks if r["attack"] != UNBOUNDED.name), key=lambda r: str(r["key"]))
    return [cells.flags(subject, worker.records("clean")[0], unbounded[0], bounded)], {}


def _transfer(worker: Worker) -> Result:
    cell, cells = worker.cell, worker.measurement()
    source, target = worker.subject(cell.source), worker.subject(cell.model)
    attack = attack_named(cell.attack, cell.norm)
    return [transfer(cells, source, target, attack, eps) for eps in cell.eps], {}


def _examine(worker: Worker) -> Result:
    cell = worker.cell
    attack = attack_named(cell.attack, cell.norm) if cell.attack else None
    eps = cell.eps[0] if cell.eps else 0.0
    return examine(worker.measurement(), worker.subject(cell.model), attack, eps), {}


KINDS: dict[str, Callable[[Worker], Result]] = {
    "train": _train, "convert": _convert, "clean": _clean, "attack": _attack, "unbounded": _attack, "flags": _flags,
    "transfer": _transfer, "examine": _examine,
}  # fmt: skip
"""How each kind of cell is computed."""


def _check(job: Job) -> None:
    """See that this worker computes what the plan means."""
    own, planned = versions(), job.settings["versions"]
    if own != planned:
        differ = {name: (own.get(name), planned[name]) for name in planned if own.get(name) != planned[name]}
        fix = "install the same versions on every worker"
        raise ValueError(explain(f"a worker whose versions differ from the plan's: {differ}", "the same ones", fix))
    name = job.cell.dataset
    if dataset(name)[1] != job.settings["data"][name]:
        fix = "give every worker the same files"
        raise ValueError(explain(f"another {name!r} on this worker", "the data of the plan", fix))


@lru_cache(maxsize=1)
def _mind(parent: int) -> None:
    """End this worker with its parent, and leave interrupts to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
