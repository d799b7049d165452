"""Measure SpikeRetiming beside its baselines, on the event network and on spikes of a latency code.

    python benchmarks/spike_retiming.py           # resumable: finished lines are not run again
    python benchmarks/spike_retiming.py --table   # the table from the lines
    python benchmarks/spike_retiming.py --picture # docs/images/spike_retiming.svg

The first 40 evaluation samples of the event network, 100 of the latency code (:mod:`train_reference`); 40 steps (for
random retimings: 41 draws), one run for each of three seeds; the projected attack draws no random numbers, so one seed
is all of them. One JSON line per network, budget, attack and seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from train_reference import OUT, SHAPE, digits_split, events_split

from art_snn import SNNClassifier
from art_snn.attacks.evasion import ProjectedRetiming, RandomRetiming, SpikeRetiming
from art_snn.networks import load
from art_snn.threats import Retiming

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "spike_retiming.svg"
LINES = Path(__file__).parent / "spike_retiming.jsonl"
SAMPLES = {"events": 40, "latency": 100}
STEPS, SEEDS = 40, (0, 1, 2)
ATTACKS = {"SpikeRetiming": SpikeRetiming, "projected": ProjectedRetiming, "random": RandomRetiming}
BUDGETS: dict[str, list[dict[str, int]]] = {
    "events": [{"jitter": 1}, {"jitter": 2}, {"delay": 80}, {"moves": 40}, {"jitter": 2, "moves": 60}],
    "latency": [{"jitter": 1}, {"jitter": 2}, {"delay": 12}, {"moves": 6}, {"jitter": 2, "moves": 8}],
}


def victim(name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """A classifier of spike trains, and spike trains ``[N, T, *]`` with labels."""
    if name == "events":
        x, y = events_split()["evaluation"]
        net = load(OUT / "digits_events_snn.safetensors")
        clf = SNNClassifier(net, nn.CrossEntropyLoss(), x.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu")
        return clf, x[: SAMPLES[name]], y[: SAMPLES[name]]
    x, y = digits_split()["evaluation"]
    net = load(OUT / "digits_snn_latency.safetensors")
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu")
    with torch.no_grad():
        spikes = net.encode(torch.tensor(x[: SAMPLES[name]])).transpose(0, 1).numpy()
    return clf.at_spikes(), spikes, y[: SAMPLES[name]]


def done() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def plan() -> Iterator[tuple[str, dict[str, int], str, int]]:
    finished = {(row["network"], row["threat"], row["attack"], row["seed"]) for row in done()}
    for network, budgets in BUDGETS.items():
        for seed in SEEDS:
            for budget in budgets:
                for attack in ATTACKS:
                    if attack == "projected" and seed != SEEDS[0]:
                        continue
                    if (network, repr(Retiming(**budget)), attack, seed) not in finished:
                        yield network, budget, attack, seed


def measure() -> None:
    loaded: dict[str, Any] = {}
    for network, budget, name, seed in plan():
        if network not in loaded:
            loaded[network] = victim(network)
        clf, x, y = loaded[network]
        kind = ATTACKS[name]
        start = time.perf_counter()
        steps = STEPS + 1 if name == "random" else STEPS
        attack = kind(clf, **budget, max_iter=steps, nb_random_init=1, batch_size=100, seed=seed)
        x_adv = attack.generate(x, y)
        run = attack.record
        row = {
            "network": network, "threat": repr(attack.threat), "attack": name, "seed": seed, "samples": len(x),
            "clean": float((clf.predict(x).argmax(1) == y).mean()),
            "robust": float((clf.predict(x_adv).argmax(1) == y).mean()),
            "inside": bool(attack.threat.contains(x, x_adv).all()), "spikes": float((x != 0).sum() / len(x)),
            **{f"used_{key}": float(used.max()) for key, used in run.usage.items()},
            "forwards": run.summary["forwards"], "backwards": run.summary["backwards"],
            "seconds": round(time.perf_counter() - start, 1),
        }  # fmt: skip
        with LINES.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def table() -> None:
    rows = done()
    for network, budgets in BUDGETS.items():
        for budget in budgets:
            threat = repr(Retiming(**budget))
            cells = []
            for attack in ATTACKS:
                found = [r for r in rows if (r["network"], r["threat"], r["attack"]) == (network, threat, attack)]
                cells.append(" / ".join(f"{100 * r['robust']:.0f}" for r in sorted(found, key=lambda r: r["seed"])))
            print(f"| {network} | `{threat}` | " + " | ".join(cells) + " |")


def picture() -> None:
    """Rasters of one recording before and after: time in steps, one row for each pixel and polarity that spikes."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "spike_retiming"
    clf, x, y = victim("events")
    attack = SpikeRetiming(clf, jitter=2, moves=60, batch_size=100)
    x_adv = attack.generate(x, y)
    chosen = int(np.flatnonzero(attack.record.success)[0])
    before, after = (v[chosen].reshape(x.shape[1], -1) for v in (x, x_adv))
    rows = np.flatnonzero(before.any(0))
    left, new = (before > after)[:, rows], (after > before)[:, rows]
    said = clf.predict(np.stack([x[chosen], x_adv[chosen]])).argmax(1)
    figure, axes = plt.subplots(1, 2, figsize=(8, 4.2), sharey=True, layout="constrained")
    panels = ((before, left, "clean", "#1f77b4", "leave"), (after, new, "retimed", "#d62728", "come"))
    for axis, (train, special, name, color, word), answer in zip(axes, panels, said, strict=True):
        stays = (train[:, rows] != 0) & ~special
        axis.scatter(*np.nonzero(stays), s=4, color="0.65", linewidths=0, label=f"{int(stays.sum())} stay")
        axis.scatter(*np.nonzero(special), s=10, color=color, linewidths=0, label=f"{int(special.sum())} {word}")
        axis.set_title(f"{name}: the network says {answer}")
        axis.set_xlabel("time step")
        axis.legend(loc="upper right", fontsize=8)
    axes[0].set_ylabel("pixel and polarity")
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the table from the lines")
    parser.add_argument("--picture", action="store_true", help="draw the rasters of the documentation")
    chosen = parser.parse_args()
    if chosen.table:
        table()
    elif chosen.picture:
        picture()
    else:
        measure()
