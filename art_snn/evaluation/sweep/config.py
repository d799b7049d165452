"""A sweep as a file: models x codes x defenses x threat models x seeds x data sets, in TOML. See ``docs/sweeps.md``."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from art_snn.attacks.evasion.ladder import PRESETS
from art_snn.data import DATASETS
from art_snn.defenses.catalogue import DEFENSES
from art_snn.errors import explain
from art_snn.evaluation.attacks import ATTACKS, SUITES
from art_snn.evaluation.kinds import CODES, SPIKING, check_defense, own_code
from art_snn.evaluation.sweep.checks import Section, budget, one_of, whole
from art_snn.evaluation.zoo import CONVERTED, RECIPES, Recipe, check_model

LARGEST_FILE = 1_000_000
"""Bytes of a configuration file."""
MAX_CELLS = 20_000
"""Cells of a sweep, unless the file allows more."""
_PLAIN, _NONE = {"ann": "ann", "qnn": "qnn", "converted": CONVERTED}, "none"
_CODES = [_NONE, *CODES, "events"]
_NORMS = {"inf": np.inf, "2": 2.0, "1": 1.0}
_KEYS = ("name", "datasets", "seeds", "seed", "samples", "threads", "max_cells", "training", "models", "threats")


@dataclass(frozen=True)
class Model:
    """One model of the grid, and its name in the zoo."""

    name: str
    model: str
    code: str
    defense: str


@dataclass(frozen=True)
class Threat:
    """What the attacker may do: a norm, budgets, attacks."""

    name: str
    norm: float
    eps: tuple[float, ...]
    attacks: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """A checked configuration.

    :param file: name of the file it came from.
    :param name: of the sweep.
    :param datasets: names of data sets.
    :param models: the grid of models.
    :param threats: threat models.
    :param seeds: training seeds.
    :param seed: seed of the choice of samples and of the attacks.
    :param samples: test samples.
    :param threads: threads of every cell: they decide the last bits of sums.
    :param training: what differs from the recipe of a data set.
    :param max_cells: how many cells are allowed.

    >>> sweep = parse({
    ...     "datasets": ["digits"], "seeds": [0, 1], "samples": 50, "training": {"epochs": 5},
    ...     "models": [{"model": "ann"}], "threats": [{"norm": "inf", "eps": [0.1], "attacks": ["fgsm"]}],
    ... })
    >>> sweep.seeds, sweep.recipe("digits").epochs
    ((0, 1), 5)
    """

    file: str
    name: str
    datasets: tuple[str, ...]
    models: tuple[Model, ...]
    threats: tuple[Threat, ...]
    seeds: tuple[int, ...]
    seed: int
    samples: int
    threads: int
    training: dict[str, int]
    max_cells: int = MAX_CELLS

    def recipe(self, dataset: str) -> Recipe:
        """How models of a data set are built and trained."""
        return dataclasses.replace(RECIPES[dataset], **self.training)  # type: ignore[arg-type]

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        found = dataclasses.asdict(self)
        found["threats"] = [{**threat, "norm": str(threat["norm"])} for threat in found["threats"]]
        return found


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    r"""Read and check a configuration file.

    :param path: a TOML file; ``docs/sweeps.md`` has every key.
    :raises OSError: if it cannot be read.
    :raises ValueError: for anything in it that is not understood; the message says where, and the repair.

    >>> from tempfile import TemporaryDirectory
    >>> text = 'datasets = ["digits"]\nmodels = [{model = "ann"}]\nthreats = [{norm = "inf", eps = [0.1]}]'
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "sweep.toml"
    ...     _ = path.write_text(text)
    ...     [model.name for model in read_sweep(path).models]
    ['ann']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(explain(f"no file {path}", "a sweep in TOML", "see examples/sweep.toml"))
    if path.stat().st_size > LARGEST_FILE:
        came = f"{path.name} of {path.stat().st_size} bytes"
        raise ValueError(explain(came, f"at most {LARGEST_FILE}", "a sweep is a page of text: is this the right file?"))
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(explain(f"{path.name}: {error}", "TOML", "see examples/sweep.toml")) from error
    try:
        return parse(table, path.name)
    except ValueError as error:
        raise ValueError(f"{path.name}, {error}") from error


def parse(table: dict[str, Any], file: str = "sweep.toml") -> Sweep:
    """Check what a file says.

    :raises ValueError: for anything that is not understood.
    """
    top = Section("top level", table, _KEYS)
    datasets = top.items("datasets", ["digits"], one_of(DATASETS, "data set"))
    models = _grids(top, datasets)
    threats = _tables(top, "threats", _threat)
    _distinct(top, "threats", [threat.name for threat in threats], 'give one a name of its own: name = "..."')
    return Sweep(
        file=file,
        name=top.text("name", Path(file).stem),
        datasets=tuple(datasets),
        models=tuple(models),
        threats=tuple(threats),
        seeds=tuple(top.items("seeds", [0], whole)),
        seed=top.number("seed", 0, 0, 2**31 - 1),
        samples=top.number("samples", 200, 1, 10**6),
        threads=top.number("threads", 1, 1, 256),
        training=_training(table.get("training", {})),
        max_cells=top.number("max_cells", MAX_CELLS, 1, 10**6),
    )


def _training(table: Any) -> dict[str, int]:
    section = Section("[training]", table, ("T", "epochs", "samples"))
    names = {"T": "T", "epochs": "epochs", "samples": "train_samples"}
    limits = {"T": 1000, "epochs": 10_000, "samples": 10**7}
    return {names[key]: section.number(key, None, 1, limits[key]) for key in names if key in section.table}


def _tables(top: Section, key: str, parse_one: Any) -> list[Any]:
    tables = top.table.get(key)
    if not isinstance(tables, list) or not tables:
        raise ValueError(top.error(f"no [[{key}]]", "at least one such table", "see examples/sweep.toml"))
    return [parse_one(f"[[{key}]] {number}", one) for number, one in enumerate(tables, 1)]


def _grids(top: Section, datasets: list[str]) -> list[Model]:
    models = [model for grid in _tables(top, "models", _grid) for model in grid]
    _distinct(top, "models", [model.name for model in models], "take it out of one of the two tables")
    for dataset in datasets:
        for model in models:
            try:
                check_model(model.name, dataset)
            except ValueError as error:
                raise ValueError(f"[[models]] on {dataset}: {error}") from error
    return models


def _grid(where: str, table: Any) -> list[Model]:
    section = Section(where, table, ("model", "codes", "defenses"))
    model = one_of([*_PLAIN, "snn"], "model")(section.text("model"))
    codes = section.items("codes", ["direct" if model == "snn" else _NONE], one_of(_CODES, "code"))
    defenses = section.items("defenses", [_NONE], one_of([_NONE, *DEFENSES], "defense"))
    try:
        return [Model(_zoo_name(model, code, defense), model, code, defense) for code in codes for defense in defenses]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _zoo_name(model: str, code: str, defense: str) -> str:
    """The model's name in the zoo.

    :raises ValueError: if there is no such combination.
    """
    if model != "snn":
        if defense != _NONE:
            fix = "put the defenses into a table with model = 'snn'"
            raise ValueError(explain(f"defense {defense!r} for {model!r}", "a defense of the spiking network", fix))
        behind = ("poisson", "latency") if model == "ann" else ()
        if code not in (_NONE, *behind):
            fix = f"codes = {[_NONE, *behind]!r} at most"
            raise ValueError(explain(f"code {code!r} for {model!r}", "a code that this twin can stand behind", fix))
        return _PLAIN[model] if code == _NONE else f"ann-{code}"
    if code == _NONE:
        raise ValueError(explain("code 'none' for 'snn'", "a code: spikes come from somewhere", "codes = ['direct']"))
    if defense == _NONE or defense.startswith("plain"):
        return f"{SPIKING}{code}"
    check_defense(defense, code)
    named = own_code(defense) is not None or code == "direct"
    return f"{SPIKING}{defense}" if named else f"{SPIKING}{code}+{defense}"


def _threat(where: str, table: Any) -> Threat:
    section = Section(where, table, ("name", "norm", "eps", "attacks", "preset"))
    norm = section.text("norm", "inf")
    one_of(_NORMS, "norm")(norm)
    attacks = section.items("attacks", list(ATTACKS), one_of([*ATTACKS, *SUITES], "attack"))
    if "preset" in section.table:
        suite = f"auto-{one_of(PRESETS, 'preset')(section.text('preset'))}"
        attacks = [*attacks, *([] if suite in attacks else [suite])]
    name = section.text("name", f"L{norm}")
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise section.wrong("name", name, "letters, digits, - and _", "it becomes the name of a folder")
    return Threat(name, _NORMS[norm], tuple(sorted(section.items("eps", None, budget))), tuple(attacks))


def _distinct(top: Section, key: str, names: list[str], fix: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(top.error(f"{name!r} twice in [[{key}]]", "every one once", fix))
