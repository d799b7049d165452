"""Membership inference on spiking networks and their ANN twins: scikit-learn's digits, a small training set, many
epochs.

    python benchmarks/membership.py           # measures what is missing in benchmarks/membership.jsonl
    python benchmarks/membership.py --table   # prints the table of docs/attacks/membership.md

Networks: one hidden layer of 128, trained on 300 images for 80 epochs, direct and Poisson code, T in 2, 4, 8, 16. The
300 members and 300 others are each split in half: one to fit an attack on, one to judge it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.attacks.inference.membership_inference import (
    MembershipInferenceBlackBox,
    MembershipInferenceBlackBoxRuleBased,
)
from art.estimators.classification import PyTorchClassifier
from torch import nn
from train_reference import SHAPE, digits_split, train

from art_snn import SNNClassifier
from art_snn.attacks.inference import InputDropoutMIA, MembershipReport, membership_report
from art_snn.coding import Direct, MembraneMean, Poisson
from art_snn.evaluation.seeding import seeded_globals
from art_snn.networks import ann_twin, mlp

RESULTS = Path(__file__).parent / "membership.jsonl"
MEMBERS, EPOCHS, HIDDEN = 300, 80, (128,)
STEPS = (2, 4, 8, 16)
HEAD = (
    "| model | T | attack | train accuracy % | test accuracy % | balanced accuracy % | AUC | TPR at 1 % FPR | seeds |"
)


def network(code: str, T: int) -> nn.Module:
    """One hidden layer; ``ann`` is the ReLU twin of the same size."""
    encoder = Poisson(T=T, seed=0) if code == "poisson" else Direct(T=T)
    net = mlp(SHAPE, 10, hidden=HIDDEN, encoder=encoder, decoder=MembraneMean(tau=1.0))
    return ann_twin(net) if code == "ann" else net


def classifier(code: str, T: int, x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    """A network that has seen its training set too often."""
    net = train(network(code, T), torch.tensor(x), torch.tensor(y), 0.0, EPOCHS, seed)
    if code == "poisson":
        net.votes = 8
    kind = PyTorchClassifier if code == "ann" else SNNClassifier
    return kind(net, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu")


def judged(clf: Any, inside: Any, outside: Any) -> dict[str, MembershipReport]:
    """Every attack, fitted on the first halves of members and others and judged on the second ones."""
    (xi, yi), (xo, yo) = inside, outside
    half = len(xi) // 2
    reports = {}
    rule = MembershipInferenceBlackBoxRuleBased(clf)
    reports["ART rule based"] = membership_report(rule.infer(xi[half:], yi[half:]), rule.infer(xo[half:], yo[half:]))
    for kind in ("rf", "nn"):
        learned = MembershipInferenceBlackBox(clf, attack_model_type=kind)
        learned.fit(xi[:half], yi[:half], xo[:half], yo[:half])
        scores = [
            np.asarray(learned.infer(x[half:], y[half:], probabilities=True)).reshape(half, -1)[:, -1]
            for x, y in (inside, outside)
        ]
        reports[f"ART black box, {kind}"] = membership_report(*scores, threshold=0.5)
    for name, drop, queries in (("loss", 0.0, 1), ("input dropout", 0.2, 32)):
        attack = InputDropoutMIA(clf, drop=drop, queries=queries)
        attack.fit(xi[:half], yi[:half], xo[:half], yo[:half])
        scores = [attack.score(xi[half:], yi[half:]), attack.score(xo[half:], yo[half:])]
        reports[name] = membership_report(*scores, threshold=attack.threshold)
    return reports


def table(records: list[dict[str, Any]]) -> None:
    """Means over seeds."""
    print(HEAD + "\n" + "|---" * (HEAD.count("|") - 1) + "|")
    groups: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["model"], record["T"], record["attack"]), []).append(record)
    for (model, steps, attack), rows in groups.items():
        mean = {key: float(np.mean([r[key] for r in rows])) for key in rows[0] if key not in ("model", "attack")}
        gap = f"{100 * mean['train']:.1f} | {100 * mean['test']:.1f}"
        curve = " | ".join("-" if np.isnan(mean[key]) else f"{mean[key]:.3f}" for key in ("auc", "tpr_at_fpr"))
        print(
            f"| {model} | {steps} | {attack} | {gap} | {100 * mean['balanced_accuracy']:.1f} | {curve} | {len(rows)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what has been measured")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    if chosen.table:
        table(done)
        return
    known = {(r["model"], r["T"], r["seed"]) for r in done}
    x, y = digits_split()["train"]
    plan = [(code, T, s) for s in chosen.seeds for code in ("ann", "direct", "poisson") for T in STEPS]
    for code, T, seed in plan:
        T = 1 if code == "ann" else T
        if (code, T, seed) in known:
            continue
        known.add((code, T, seed))
        rows = np.random.default_rng(seed).permutation(len(x))
        inside, outside = ((x[part], y[part]) for part in (rows[:MEMBERS], rows[MEMBERS : 2 * MEMBERS]))
        clf = classifier(code, T, *inside, seed)
        accuracy = [float((clf.predict(a).argmax(1) == b).mean()) for a, b in (inside, outside)]
        with seeded_globals(seed):
            reports = judged(clf, inside, outside)
        with RESULTS.open("a") as file:
            for name, report in reports.items():
                record = {
                    "model": code,
                    "T": T,
                    "seed": seed,
                    "attack": name,
                    "train": accuracy[0],
                    "test": accuracy[1],
                }
                file.write(json.dumps({**record, **asdict(report)}) + "\n")


if __name__ == "__main__":
    main()
