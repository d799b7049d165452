"""Measure SNNAutoAttack and what it is compared with, on the reference networks.

    python benchmarks/snn_autoattack.py                 # everything, resumable: finished lines are not run again
    python benchmarks/snn_autoattack.py --only standard # methods whose name holds the word
    python benchmarks/snn_autoattack.py --table         # the table from the lines

Evaluation: the first 150 samples of the evaluation part of :func:`train_reference.digits_split`; calibration: the
first 150 of the calibration part. One JSON line per model, epsilon, method and seed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.attacks.evasion import AutoAttack, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import nn
from train_reference import OUT, SHAPE, digits_split

from art_snn import SNNClassifier
from art_snn.attacks.evasion import PRESETS, RandomCorners, SNNAutoAttack, SNNAutoPGD, SNNSquare, StableAdaptivePGD
from art_snn.evaluation.attacks import averaged
from art_snn.evaluation.cost import Cost, counted
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, ANNTwin, Surrogate
from art_snn.networks import load

LINES = Path(__file__).parent / "snn_autoattack.jsonl"
BATCH = 150
SEEDS = (0, 1, 2)

Method = Callable[[Any, float, int, "Data"], dict[str, Any]]
Data = dict[str, tuple[np.ndarray, np.ndarray]]

POLICIES: dict[str, Callable[[], Any]] = {
    "own": lambda: None, "atan 8": lambda: Surrogate("atan", 8.0), "assg .45": lambda: ASSG(0.45),
    "hart .3": lambda: HART(0.3), "hart 1": lambda: HART(1.0), "rga": RGA, "bptr": BPTR, "pdsg": PDSG,
    "twin": ANNTwin,
}  # fmt: skip


def classifier(name: str) -> Any:
    """A reference network as an ART classifier."""
    net = load(OUT / f"{name}.safetensors")
    kind = PyTorchClassifier if "ann" in name else SNNClassifier
    return kind(net, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu")


def judged(clf: Any, x_adv: np.ndarray, y: np.ndarray, counter: Cost, **more: Any) -> dict[str, Any]:
    """Robust accuracy by a fresh prediction (of a stochastic network, the mean of ten draws), and the cost so far."""
    spent = {"forwards": counter.forwards, "backwards": counter.backwards}
    with averaged(clf.model, 10):
        robust = clf.predict(x_adv, batch_size=BATCH).argmax(1) == y
    return {"robust": float(robust.mean()), **spent, **more}


def suite(preset: str, *, doubled: bool = False) -> Method:
    def run(clf: Any, eps: float, seed: int, data: Data) -> dict[str, Any]:
        plan = PRESETS[preset]
        attack = SNNAutoAttack(
            clf, eps=eps, preset=replace(plan, steps=2 * plan.steps) if doubled else preset, batch_size=BATCH,
            seed=seed, verbose=False, calibration=data["calibration"],
        )  # fmt: skip
        attack.generate(*data["evaluation"])
        run = attack.last_run
        if run is None:
            raise RuntimeError("no record")
        cost = {"forwards": int(run.forwards.sum()), "backwards": int(run.backwards.sum())}
        ladder = [(row.rung, row.gradients, row.broken, round(row.robust_accuracy, 4)) for row in run.rows]
        return {
            "robust": run.robust_accuracy, **cost, "calibration_cost": run.calibration_cost, "ladder": ladder,
            "calibration": run.calibration[:8], "gap": run.surrogate_gap, "unconfirmed": run.unconfirmed,
        }  # fmt: skip

    return run


def native(kind: Any, policy: str | None, **settings: Any) -> Method:
    def run(clf: Any, eps: float, seed: int, data: Data) -> dict[str, Any]:
        chosen = None if policy is None else POLICIES[policy]()
        attack = kind(clf, eps=eps, policy=chosen, batch_size=BATCH, seed=seed, **settings)
        attack.generate(*data["evaluation"])
        summary = attack.record.summary
        cost = {"forwards": int(summary["forwards"]), "backwards": int(summary["backwards"])}
        return {"robust": summary["robust_accuracy"], **cost}

    return run


def art_autoattack(*, short: bool = False) -> Method:
    """ART's AutoAttack as it comes, or with one Square run of 1000 queries instead of five of 5000."""

    def run(clf: Any, eps: float, seed: int, data: Data) -> dict[str, Any]:
        x, y = data["evaluation"]
        np.random.seed(seed)  # noqa: NPY002 - ART's attacks draw from the global generator
        torch.manual_seed(seed)
        with counted(clf.model) as counter:
            attack = AutoAttack(clf, eps=eps, eps_step=eps / 4, batch_size=BATCH)
            if short:
                attack.attacks[-1].set_params(max_iter=1000, nb_restarts=1)
            return judged(clf, attack.generate(x, y), y, counter)

    return run


def art_pgd(clf: Any, eps: float, seed: int, data: Data) -> dict[str, Any]:
    x, y = data["evaluation"]
    np.random.seed(seed)  # noqa: NPY002 - ART's attacks draw from the global generator
    torch.manual_seed(seed)
    with counted(clf.model) as counter:
        attack = ProjectedGradientDescent(
            clf, eps=eps, eps_step=eps / 4, max_iter=20, num_random_init=1, batch_size=BATCH, verbose=False
        )
        return judged(clf, attack.generate(x, y), y, counter)


def reference_autoattack(clf: Any, eps: float, seed: int, data: Data) -> dict[str, Any]:
    """The standard AutoAttack of torchattacks, with the 100 steps of the original in place of its 10."""
    import torchattacks

    x, y = data["evaluation"]
    with counted(clf.model) as counter:
        attack = torchattacks.AutoAttack(clf.model, norm="Linf", eps=eps, version="standard", n_classes=10, seed=seed)
        for part in attack._autoattack.attacks[:3]:
            part.steps = 100
        x_adv = attack(torch.tensor(x), torch.tensor(y)).detach().numpy()
        return judged(clf, x_adv, y, counter)


AT, ANN_AT = "digits_snn_direct_at", "digits_ann_at"
SUITES = {"SNNAutoAttack fast": suite("fast"), "SNNAutoAttack standard": suite("standard")}
SINGLE = {
    **{f"APGD-100, {name}": native(SNNAutoPGD, name, max_iter=100) for name in POLICIES},
    "SA-PGD-100, assg .45": native(StableAdaptivePGD, "assg .45", max_iter=100),
    "Square-1000": native(SNNSquare, None, max_iter=1000),
    "random corners-200": native(RandomCorners, None, max_iter=200),
}
LONG = {"APGD-100 x 20, own": native(SNNAutoPGD, "own", max_iter=100, nb_random_init=20)}


def plan() -> Iterator[tuple[str, float, str, Method, tuple[int, ...]]]:
    """Everything to measure: model, epsilon, name, method, seeds."""
    for name, method in {**SINGLE, **LONG, "ART PGD-20, own": art_pgd, **SUITES}.items():
        yield AT, 0.16, name, method, SEEDS
    for name, method in {**SUITES, "AutoAttack of torchattacks, 100 steps": reference_autoattack}.items():
        yield ANN_AT, 0.16, name, method, SEEDS
    fast = SUITES["SNNAutoAttack fast"]
    for model in (AT, ANN_AT, "digits_ann", "digits_snn_direct", "digits_snn_latency"):
        yield model, 1.0, "SNNAutoAttack fast", fast, SEEDS[:1]
    for eps in (0.16, 0.14, 0.12, 0.08):
        for model in ("digits_snn_direct", "digits_snn_latency"):
            yield model, eps, "ART PGD-20, own", art_pgd, SEEDS
            yield model, eps, "SNNAutoAttack fast", fast, SEEDS
    yield AT, 0.16, "SNNAutoAttack standard, doubled steps", suite("standard", doubled=True), SEEDS
    for eps in (0.08, 0.12, 0.16, 1.0):
        yield "digits_snn_poisson", eps, "ART PGD-20, own", art_pgd, SEEDS[:1]
        yield "digits_snn_poisson", eps, "SNNAutoAttack fast", fast, SEEDS[:1]
    yield AT, 0.16, "ART AutoAttack, short Square", art_autoattack(short=True), SEEDS
    yield AT, 0.16, "ART AutoAttack", art_autoattack(), SEEDS[:1]


def wilson(rate: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a share."""
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return middle - half, middle + half


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown: mean over seeds, the seeds, the interval over samples, and the cost per sample."""
    rows = ["| model | eps | attack | robust % | seeds | 95 % interval | forwards | backwards | seconds |",
            "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    groups: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["model"], line["eps"], line["method"]), []).append(line)

    def place(item: tuple[tuple[str, float, str], list[dict[str, Any]]]) -> tuple[str, float, float]:
        (model, eps, _), found = item
        return model, eps, -float(np.mean([line["robust"] for line in found]))

    for (model, eps, method), found in sorted(groups.items(), key=place):
        robust = [line["robust"] for line in sorted(found, key=lambda one: one["seed"])]
        low, high = wilson(float(np.mean(robust)), found[0]["samples"])
        cost = [float(np.mean([line[key] for line in found])) for key in ("forwards", "backwards", "seconds")]
        n = found[0]["samples"]
        rows.append(
            f"| {model} | {eps:g} | {method} | {100 * np.mean(robust):.1f} | "
            f"{', '.join(f'{100 * one:.1f}' for one in robust)} | {100 * low:.1f} to {100 * high:.1f} | "
            f"{cost[0] / n:.0f} | {cost[1] / n:.0f} | {cost[2]:.0f} |"
        )
    return "\n".join(rows)


def read() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="methods whose name holds this")
    parser.add_argument("--skip", default=None, help="leave out methods whose name holds this")
    parser.add_argument("--model", default="", help="models whose name holds this")
    parser.add_argument("--samples", type=int, default=150)
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    chosen = parser.parse_args()
    if chosen.table:
        print(table(read()))
        return
    torch.set_num_threads(1)
    data = {name: (x[: chosen.samples], y[: chosen.samples]) for name, (x, y) in digits_split().items()}
    for seed in SEEDS:
        for model, eps, name, method, seeds in plan():
            skipped = chosen.skip is not None and chosen.skip in name
            if chosen.only not in name or chosen.model not in model or skipped or seed not in seeds:
                continue
            done = {(one["model"], one["eps"], one["method"], one["seed"], one["samples"]) for one in read()}
            if (model, eps, name, seed, chosen.samples) in done:
                continue
            started = time.perf_counter()
            line = {"model": model, "eps": eps, "method": name, "seed": seed, "samples": chosen.samples}
            line |= method(classifier(model), eps, seed, data)
            line["seconds"] = round(time.perf_counter() - started, 1)
            with LINES.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{model} {eps:g} {name} #{seed}: {line['robust']:.4f} in {line['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
