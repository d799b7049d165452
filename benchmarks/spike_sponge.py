"""Measure SpikeSponge on the reference networks, beside its brightness baseline.

    python benchmarks/spike_sponge.py [--samples 100] [--seeds 0 1 2]

Prints the tables of docs/attacks/spike_sponge.md and draws docs/images/spike_sponge.svg.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from train_reference import SHAPE, digits_split, events_split

from art_snn import SNNClassifier
from art_snn.attacks import SpikeSponge
from art_snn.networks import load
from art_snn.threats import SpikeFlips

MODELS = Path(__file__).parent / "models"
PICTURE = Path(__file__).parents[1] / "docs/images/spike_sponge.svg"
IMAGES = ("digits_snn_direct", "digits_snn_direct_at", "digits_snn_latency")
EPS = (0.08, 0.16)
FLIPS = (20, 60)
HEAD = (
    "| model | budget | clean SynOps | sponge | baseline | beats it % | any label | label lost % | per event | seeds |"
)


def classifier(name: str) -> SNNClassifier:
    """A reference network, its weights read back."""
    shape = (9, 2, 16, 16) if "events" in name else SHAPE
    net = load(MODELS / f"{name}.safetensors").eval()
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")


def row(name: str, budget: dict[str, Any], x: np.ndarray, y: np.ndarray, seeds: list[int]) -> str:
    """One line of the table: means over the samples that are classified correctly, and the seeds' ratios."""
    runs = []
    for seed in seeds:
        pair = []
        for keep in (True, False):
            attack = SpikeSponge(classifier(name), seed=seed, keep_label=keep, penalty=0.1 if keep else 0.0, **budget)
            attack.generate(x, y)
            pair.append(attack.record.summary)
        runs.append(pair)
    kept, free = ({key: float(np.mean([run[i][key] for run in runs])) for key in runs[0][i]} for i in (0, 1))
    unit = str(budget.get("threat", f"Linf({budget.get('eps')})"))
    ratios = ", ".join(f"{run[0]['attack_ratio']:.3f}" for run in runs)
    return (
        f"| {name} | {unit} | {kept['clean']:.0f} | x {kept['attack_ratio']:.3f} | x {kept['baseline_ratio']:.3f} | "
        f"{100 * kept['beats_baseline']:.0f} | x {free['attack_ratio']:.3f} | {100 * (1 - free['label_kept']):.0f} | "
        f"{kept['per_event_clean']:.0f} to {kept['per_event']:.0f} | {ratios} |"
    )


def picture(x: np.ndarray, y: np.ndarray) -> None:
    """A digit, the baseline and the sponge, and the recording of an event camera before and after."""
    import matplotlib.pyplot as plt

    attack = SpikeSponge(classifier("digits_snn_direct"), eps=0.16)
    x_adv = attack.generate(x[:1], y[:1])
    run = attack.record
    grids, labels = events_split()["evaluation"]
    flips = SpikeSponge(classifier("digits_events_snn"), threat=SpikeFlips(60))
    grid_adv = flips.generate(grids[:1], labels[:1])
    spent = flips.record
    panels = [
        (x[0, 0], f"clean, {run.clean[0]:.0f} SynOps"),
        (np.clip(x[0, 0] + 0.16, 0, 1), f"brighter by 0.16, {run.baseline[0]:.0f}"),
        (x_adv[0, 0], f"sponge, {run.adversarial[0]:.0f}"),
        (raster(grids[0]), f"clean events, {spent.clean[0]:.0f} SynOps"),
        (raster(grid_adv[0]), f"sponge, 60 flips, {spent.adversarial[0]:.0f}"),
        (raster(grid_adv[0] - grids[0]), "what changed"),
    ]
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), constrained_layout=True)
    for axis, (image, title) in zip(axes.flat, panels, strict=True):
        signed = image.min() < 0
        limits = {"vmin": -1 if signed else 0, "vmax": 1}
        axis.imshow(image, cmap="coolwarm" if signed else "gray_r", aspect="auto", interpolation="none", **limits)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
    for axis in axes[1]:
        axis.set_xlabel("time step", fontsize=8)
        axis.set_ylabel("pixel and polarity", fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None})


def raster(grid: np.ndarray) -> np.ndarray:
    """Event frames ``[T, 2, H, W]`` as one line per pixel, time to the right."""
    return grid.reshape(len(grid), -1).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100, help="evaluation samples, the first ones")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(HEAD + "\n" + "|---" * (HEAD.count("|") - 1) + "|", flush=True)
    x, y = (part[: chosen.samples] for part in digits_split()["evaluation"])
    for name in IMAGES:
        for eps in EPS:
            print(row(name, {"eps": eps}, x, y, chosen.seeds), flush=True)
    grids, labels = (part[: chosen.samples] for part in events_split()["evaluation"])
    for k in FLIPS:
        for kind in ({}, {"delete": False}):
            print(row("digits_events_snn", {"threat": SpikeFlips(k, **kind)}, grids, labels, chosen.seeds), flush=True)
    picture(x, y)


if __name__ == "__main__":
    main()
