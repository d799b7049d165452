"""A comparison read back from its folder: the same report, and nothing is run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from art_snn.errors import explain
from art_snn.evaluation.cells import EXAMPLES
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.store import Record, ResultStore
from art_snn.files import inside

Array = np.ndarray[Any, np.dtype[Any]]


def load_comparison(folder: str | os.PathLike[str]) -> Comparison:
    """The comparison whose results lie in ``folder``.

    :raises FileNotFoundError: if there are none.
    :raises ValueError: if the run was not finished, or its records were changed.
    """
    if not (Path(folder) / "results.jsonl").exists():
        fix = "pass the folder that --out named"
        raise FileNotFoundError(explain(f"{folder} without results.jsonl", "a folder of results", fix))
    store = ResultStore(folder)
    with records_of(folder):
        index = store.records.get("index")
        if index is None or any(key not in store.records for key in index["records"]):
            raise ValueError(explain(f"an unfinished run in {folder}", "a finished one", "give its command again"))
        result = comparison_of([store.records[key] for key in [*index["records"], "index"]])
        str(result)  # whose table asks for every cell

    def examples(key: str) -> Array | None:
        file = inside(Path(folder), f"examples/{key}.safetensors")
        return load_file(file)["x_adv"] if file.exists() else None

    result.images = images(result, examples)
    return result


@contextmanager
def records_of(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Inside, what cannot be made of the records of a folder is said of them.

    :raises ValueError: in place of an error that records cause which lack something or say something else.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, StopIteration, ArithmeticError) as error:
        came = f"records in {folder} that do not fit together ({type(error).__name__}: {error})"
        raise ValueError(explain(came, "what one comparison wrote", "give its command again")) from error


def as_stored(record: Record) -> Record:
    """The record as it would be read back, so that a report is the same before and after.

    >>> list(as_stored({"kind": "run", "eps": (0.1,)}).items())
    [('eps', [0.1]), ('kind', 'run')]
    """
    found: Record = json.loads(json.dumps(record, sort_keys=True))
    return found


def comparison_of(records: list[Record]) -> Comparison:
    """The comparison behind its records."""
    run = next(record for record in records if record["kind"] == "run")
    result = Comparison(
        list(run["order"]), run["attacks"], run["eps"], {}, {}, {}, records, seed=run["seed"], norm=float(run["norm"])
    )
    cells: dict[tuple[Any, ...], list[Record]] = {}
    flags: dict[str, list[list[Flag]]] = {}
    for record in records:
        kind = record["kind"]
        if kind == "flags":
            flags.setdefault(record["model"], []).append([Flag(**flag) for flag in record["flags"]])
        elif kind in ("clean", "attack", "transfer"):
            name = record["source"] if kind == "transfer" else record.get("attack")
            cells.setdefault((kind, name, record["model"], record.get("eps")), []).append(record)
    for (kind, name, model, eps), found in cells.items():
        outcomes = _stacked(sorted(found, key=lambda record: int(record["network"])))
        if kind == "clean":
            result.clean[model] = outcomes
        elif kind == "transfer":
            result.transfer[name, model, eps] = outcomes
        elif name in result.attacks and eps in result.eps:
            result.outcomes[model, name, eps] = outcomes
    result.flags = {model: _merged(flags[model]) for model in result.models}
    return result


def images(result: Comparison, examples: Callable[[str], Array | None]) -> dict[str, Any]:
    """Clean samples, and each model's adversarial ones from its strongest attack at the largest budget.

    :param examples: kept samples by key of their cell, ``None`` where they are gone.
    """
    kept = next((record for record in result.records if record["kind"] == "samples"), None)
    clean = None if kept is None else examples(kept["key"])
    if kept is None or clean is None:
        return {}
    shown: dict[str, Any] = {"clean": clean, "labels": kept["labels"]}
    for model in result.models:
        cells = [
            r for r in result.records
            if r["kind"] == "attack" and r["model"] == model and r["eps"] == result.eps[-1] and not r["network"]
            and r["attack"] in result.attacks
        ]  # fmt: skip
        strongest = min(cells, key=lambda r: r["accuracy"]["value"], default=None)
        made = None if strongest is None else examples(strongest["key"])
        if strongest is not None and made is not None:
            shown[model] = {
                "attack": strongest["attack"], "x_adv": made[:EXAMPLES], "correct": strongest["correct"][:EXAMPLES],
            }  # fmt: skip
    return shown


def _stacked(records: list[Record]) -> Array:
    """Outcomes ``[N]`` of one network, ``[S, N]`` of several."""
    rows = np.array([record["correct"] for record in records], dtype=bool)
    return rows[0] if len(rows) == 1 else rows


def _merged(flags: list[list[Flag]]) -> list[Flag]:
    """One list for all networks of a model: a flag is raised if it is raised for one of them."""
    return [max(same, key=lambda flag: flag.raised) for same in zip(*flags, strict=True)]
