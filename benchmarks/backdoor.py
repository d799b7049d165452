"""Backdoors in the event task: victims trained from scratch on poisoned event frames, measured on clean test frames.

python benchmarks/backdoor.py             # trains what is missing in benchmarks/backdoor.jsonl, one line per victim
python benchmarks/backdoor.py --table     # prints the table of docs/attacks/backdoor.md, draws its picture
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from train_reference import events_split, spiking_on_events, train

from art_snn import SNNClassifier
from art_snn.attacks.poisoning import (
    FlashTrigger,
    MovingTrigger,
    SmartTrigger,
    StaticTrigger,
    StrobingTrigger,
    learn_dynamic_trigger,
    measure_backdoor,
    poison_dataset,
)

RESULTS = Path(__file__).parent / "backdoor.jsonl"
PICTURE = Path(__file__).parents[1] / "docs/images/backdoor_triggers.svg"
TARGET = 0
EPOCHS = 20
FRACTIONS = (0.01, 0.05, 0.1)
SIZE = 0.15  # two pixels of sixteen
TRIGGERS: dict[str, Any] = {
    "static": StaticTrigger(SIZE),
    "static, middle": StaticTrigger(SIZE, place="middle"),
    "moving": MovingTrigger(SIZE),
    "smart": SmartTrigger(SIZE),
    "framed": StrobingTrigger(SIZE, start=3, on=3, length=3),
    "strobing": StrobingTrigger(SIZE, on=1, gap=2),
    "flash": FlashTrigger(start=4, length=1),
}
HEAD = (
    "| trigger | poisoned % | clean accuracy % | success % | success, clean model % | added | deleted | MSE | SSIM | "
    "seeds |"
)
DYNAMIC = {"dynamic, binary": ("binary", 0.01), "dynamic, clamp": ("clamp", 0.1), "dynamic, real": ("real", 0.1)}


def victim(x: np.ndarray, y: np.ndarray, seed: int) -> SNNClassifier:
    """The reference architecture, trained on what it is given."""
    net = train(spiking_on_events(), torch.tensor(x), torch.tensor(y), 0.0, EPOCHS, seed)
    return SNNClassifier(net, nn.CrossEntropyLoss(), x.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu")


def trigger(name: str, x: np.ndarray, y: np.ndarray) -> Any:
    """A trigger by name; the dynamic ones are learned on the poisoner's samples with a model of its own."""
    if name not in DYNAMIC:
        return TRIGGERS[name]
    kind, gamma = DYNAMIC[name]
    return learn_dynamic_trigger(spiking_on_events(), x, y, TARGET, gamma=gamma, kind=kind, epochs=8)


def plan(seeds: list[int]) -> list[tuple[str, float, int]]:
    """Trigger, poisoned share and seed of every victim; share 0 is the victim without poison."""
    names = [*TRIGGERS, *DYNAMIC]
    return [(name, share, seed) for seed in seeds for share in (0.05, 0.01, 0.1) for name in names]


def picture(x: np.ndarray, y: np.ndarray) -> None:
    """One recording, and where each trigger changes it: on events right, off events left, frames added up."""
    import matplotlib.pyplot as plt

    names = [name for name in [*TRIGGERS, *DYNAMIC] if name != "dynamic, real"]
    figure, axes = plt.subplots(2, len(names) // 2 + 1, figsize=(11, 4.6), constrained_layout=True)
    frames = {"clean": x[:1], **{name: trigger(name, x, y)(x[:1]) for name in names}}
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, grid) in zip(axes.flat, frames.items(), strict=False):
        off, on = grid[0].sum(0) / 9
        axis.imshow(np.hstack([off, on]), cmap="gray_r", vmin=0, vmax=0.5)
        axis.axvline(15.5, color="tab:red", linewidth=0.5)
        axis.set_title(name, fontsize=9)
    figure.savefig(PICTURE, metadata={"Date": None})


def table(records: list[dict[str, Any]]) -> None:
    """Means over seeds, one line per trigger and share."""
    print(HEAD + "\n" + "|---" * (HEAD.count("|") - 1) + "|")
    for name in [*TRIGGERS, *DYNAMIC]:
        for share in FRACTIONS:
            rows = [r for r in records if (r["trigger"], r["share"]) == (name, share)]
            if rows:
                mean = {key: float(np.mean([r[key] for r in rows])) for key in rows[0] if key != "trigger"}
                keys = ("clean_accuracy", "success_rate", "success_without")
                rates = " | ".join(f"{100 * mean[key]:.1f}" for key in keys)
                events = f"{mean['added_events']:.1f} | {mean['deleted_events']:.1f}"
                seen = f"{mean['mse']:.4f} | {mean['ssim']:.3f} | {len(rows)}"
                print(f"| {name} | {100 * share:g} | {rates} | {events} | {seen} |")
    clean = {r["seed"]: r["accuracy_without"] for r in records}
    print("\nvictims without poison: " + ", ".join(f"{100 * value:.1f}" for value in clean.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", action="store_true", help="print what has been measured, and draw the triggers")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    parts = events_split()
    (x, y), (x_test, y_test) = parts["train"], parts["evaluation"]
    if chosen.table:
        table(done)
        picture(x, y)
        return
    known = {(r["trigger"], r["share"], r["seed"]) for r in done}
    clean: dict[int, SNNClassifier] = {}
    triggers: dict[str, Any] = {}
    for name, share, seed in plan(chosen.seeds):
        if (name, share, seed) in known:
            continue
        if seed not in clean:
            clean[seed] = victim(x, y, seed)
        if name not in triggers:
            triggers[name] = trigger(name, x, y)
        data = poison_dataset(x, y, triggers[name], TARGET, share, seed)
        report = measure_backdoor(victim(data.x, data.y, seed), x_test, y_test, triggers[name], TARGET)
        without = measure_backdoor(clean[seed], x_test, y_test, triggers[name], TARGET)
        record = {
            "trigger": name, "share": share, "seed": seed, "poisoned": len(data.rows), **asdict(report),
            "accuracy_without": without.clean_accuracy, "success_without": without.success_rate,
        }  # fmt: skip
        with RESULTS.open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
