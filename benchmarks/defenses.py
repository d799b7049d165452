"""Defenses under the attack their authors use and under one that knows them: writes ``docs/defenses.md``.

    python benchmarks/defenses.py                  # every cell, resumable
    python benchmarks/defenses.py --only at rat    # some of them
    python benchmarks/defenses.py --table          # only write the table from the finished cells

A cell is a defense of ``art_snn.defenses.catalogue`` on a task, from one training seed: trained on the training split,
judged on test samples of the task. The attacks know the network, its code, its filter and its randomness; what they do
is in :func:`attacks`.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from torch import nn

from art_snn import SNNClassifier, data
from art_snn.attacks import HammingFW, SNNAutoAttack, SpikeRetiming
from art_snn.data.base import Dataset
from art_snn.defenses.catalogue import DEFENSES, defended, train_defense
from art_snn.evaluation import Judgement, craft, endure
from art_snn.evaluation.adaptive import KINDS
from art_snn.files import write_whole
from art_snn.networks import mlp

HERE = Path(__file__).parent
RESULTS = HERE / "defenses.jsonl"
PAGE = HERE.parent / "docs" / "defenses.md"
SEEDS = (0, 1, 2)
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Task:
    """A data set with its budgets. ``train`` and ``test`` are numbers of samples."""

    dataset: str
    eps: float
    epochs: int
    train: int
    test: int
    flips: int = 0

    def names(self) -> list[str]:
        """Defenses that run on it."""
        return [name for name, one in DEFENSES.items() if one.events == bool(self.flips)]


TASKS = {
    "digits": Task("digits", 0.1, 30, 1297, 100),
    "events": Task("events", 0.1, 20, 1297, 60, flips=20),
    "mnist": Task("mnist", 0.1, 10, 2000, 60),
}
MNIST_DEFENSES = ("plain", "at", "hire", "gaussian", "nt", "rate-code")


def attacks(task: Task) -> tuple[Callable[[Any], Any], list[Callable[[Any], Any]]]:
    """The customary attack, and the adaptive ones."""
    if task.flips:
        return (
            lambda clf: HammingFW(clf, k=task.flips, max_iter=1),
            [
                lambda clf: HammingFW(clf, k=task.flips, max_iter=30, nb_random_init=2),
                lambda clf: SpikeRetiming(clf, moves=task.flips, max_iter=20, nb_random_init=1),
            ],
        )
    return (
        lambda clf: ProjectedGradientDescent(
            clf, eps=task.eps, eps_step=task.eps / 4, max_iter=7, batch_size=64, verbose=False
        ),
        [lambda clf: SNNAutoAttack(clf, eps=task.eps, preset="fast", verbose=False)],
    )


def cell(task: Task, name: str, seed: int, loaded: Dataset, sources: dict[tuple[str, int], Array]) -> dict[str, Any]:
    """Train one network and judge it; examples of its undefended twin are tried on it."""
    net = defended(name, loaded.input_shape, loaded.nb_classes, seed=seed, builder=mlp)
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), loaded.input_shape, loaded.nb_classes, clip_values=loaded.clip_values,
        optimizer=torch.optim.AdamW(net.parameters(), lr=2e-3), device_type="cpu",
    )  # fmt: skip
    begun = time.process_time()
    rows = np.random.default_rng(seed).permutation(len(loaded.x_train))[: task.train]
    options = {"eps": task.eps, "seed": seed, "nb_epochs": task.epochs}
    train_defense(name, clf, loaded.x_train[rows], loaded.y_train[rows], **options)
    trained = time.process_time()
    x, y, _ = loaded.select(task.test, seed=0)
    customary, adaptive = attacks(task)
    twin = DEFENSES[name].twin
    if name == twin:
        sources[name, seed] = craft(clf, x, y, adaptive[0], seed)
    crafted = None if name == twin else sources.get((twin, seed))
    found = endure(clf, x, y, task.eps, customary=customary, adaptive=adaptive, crafted=crafted, seed=seed)
    outcomes = {kind: [int(value) for value in getattr(found, kind)] for kind in KINDS}
    return {
        "task": task.dataset, "defense": name, "seed": seed, **outcomes, "transferred": crafted is not None,
        "train_seconds": round(trained - begun, 1), "attack_seconds": round(time.process_time() - trained, 1),
    }  # fmt: skip


def run(tasks: list[str], only: list[str], seeds: list[int]) -> None:
    """Compute what is missing, seed by seed, undefended twins first."""
    done = {(r["task"], r["defense"], r["seed"]) for r in finished()}
    for task in (TASKS[name] for name in tasks):
        loaded = data.load(task.dataset)
        names = [n for n in task.names() if task.dataset != "mnist" or n in MNIST_DEFENSES]
        for seed in seeds:
            sources: dict[tuple[str, int], Array] = {}
            wanted = [n for n in names if (task.dataset, n, seed) not in done and (not only or n in only)]
            twins = {DEFENSES[n].twin for n in wanted} - set(wanted)
            for name in [n for n in names if n in twins or n in wanted]:
                record = cell(task, name, seed, loaded, sources)
                if name in twins:
                    continue
                with RESULTS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                shares = " ".join(f"{kind} {np.mean(record[kind]):.2f}" for kind in KINDS)
                print(task.dataset, name, seed, shares, record["train_seconds"], record["attack_seconds"], flush=True)


def finished() -> list[dict[str, Any]]:
    """Finished cells."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def table(task: str) -> str:
    """One row per defense: accuracies over all seeds with 95 % intervals, gains over the twin, verdict."""
    cells = {(r["defense"], r["seed"]): r for r in finished() if r["task"] == task}
    lines = [
        "| defense | clean | customary attack | adaptive attack | apparent gain | gain | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in DEFENSES.items():
        seeds = [s for s in SEEDS if (name, s) in cells and (one.twin, s) in cells]
        if not seeds:
            continue
        own, twin = ([cells[n, s] for s in seeds] for n in (name, one.twin))
        columns = [np.array([r[k] for r in side], dtype=bool) for side in (own, twin) for k in KINDS]
        judged = Judgement(*columns)
        shares = " | ".join(str(judged.accuracy(kind)) for kind in KINDS)
        ends = "– | – | –" if name == one.twin else f"{judged.apparent_gain} | {judged.gain} | {judged.verdict}"
        mark = "" if len(seeds) == len(SEEDS) else f" ({len(seeds)} seeds)"
        lines.append(f"| `{name}`: {one.title}{mark} | {shares} | {ends} |")
    return "\n".join(lines)


def write_page() -> None:
    """Put the tables between their marks."""
    text = PAGE.read_text()
    for task in TASKS:
        begin, end = f"<!-- {task} -->", f"<!-- end {task} -->"
        text = re.sub(f"{begin}.*?{end}", f"{begin}\n{table(task)}\n{end}", text, flags=re.DOTALL)
    write_whole(PAGE, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="*", default=["digits", "events"], choices=list(TASKS))
    parser.add_argument("--only", nargs="*", default=[], choices=list(DEFENSES))
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not arguments.table:
        run(arguments.task, arguments.only, arguments.seeds)
    write_page()
