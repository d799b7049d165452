"""Train a small MNIST network, convert it by every method, and attack both ends of each pair.

    python examples/convert_and_attack.py --out runs/convert

Finished cells are kept in ``results.jsonl``: a run that was stopped goes on where it was. Minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import art.config
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from art_snn import SNNClassifier, SpikingNetwork, data
from art_snn.attacks.evasion import SNNAutoPGD, Transfer
from art_snn.conversion import (
    UniformNoise,
    convert,
    fine_tune,
    latency,
    operations,
    replace_activations,
    robust_convert,
)
from art_snn.evaluation.statistics import proportion
from art_snn.evaluation.store import ResultStore
from art_snn.gradients import BPTR
from art_snn.networks import load, save

STEPS = (1, 2, 4, 8, 16, 32)
METHODS = ("qcfs", "srp", "cos", "residual_noise", "rate_coding", "local_threshold_balancing")
ROBUST = (("robust_ann", 0), ("robust", 8))
EPS = 0.1
WIDE_EPS = 0.5
COLORS = dict(zip(METHODS, ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#999999", "#56B4E9"), strict=True))


def network() -> nn.Sequential:
    """Strides instead of pooling: every layer sees spikes."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 24, 5, stride=2, padding=2), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Flatten(), nn.Linear(1176, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def train(model: nn.Module, x: Tensor, y: Tensor, epochs: int, lr: float, seed: int) -> nn.Module:
    """Weight decay holds thresholds too: small ones quantize finely, and few steps suffice."""
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=2e-3)
    generator = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * (len(x) // 128 + 1))
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def models(folder: Path, x: Tensor, y: Tensor, levels: int) -> dict[str, nn.Module]:
    """ANN, QNN and noise-trained QNN; trained once and kept in ``folder``."""
    noise = UniformNoise(0.1, seed=0)
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {}
    for name in ("ann", "qnn", "noisy"):
        if name == "ann":
            model: nn.Module = network()
        else:
            added = noise if name == "noisy" else None
            model = replace_activations(made["ann"], levels, noise=added, calibration=x[:512])
        path = folder / f"{name}-{levels}.safetensors"
        if path.exists():
            model = load(path, into=model)
        else:
            epochs, lr = (4, 0.05) if name == "ann" else (8, 0.02)
            model = train(model, x, y, epochs, lr, seed=0)
            save(model, path)
        made[name] = model
    return made


def robust_models(folder: Path, x: Tensor, y: Tensor) -> dict[str, nn.Module]:
    """The robust conversion: an ANN trained on the divergence at perturbed inputs, converted to T = 8, fine-tuned."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    ann = network()
    path = folder / "robust_ann.safetensors"
    if path.exists():
        load(path, into=ann)
    else:
        epochs(ann, x, y, 4, 0.05, generator)
        save(ann, path)
    path = folder / "robust.safetensors"
    if path.exists():
        return {"robust_ann": ann, "robust": load(path)}
    snn = robust_convert(ann.eval(), 8, x[:256])
    epochs(snn, x[:5000], y[:5000], 1, 0.01, generator)
    save(snn, path)
    return {"robust_ann": ann, "robust": snn}


def epochs(model: nn.Module, x: Tensor, y: Tensor, count: int, lr: float, generator: torch.Generator) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    for epoch in range(count):
        order = torch.randperm(len(x), generator=generator)
        fine_tune(model, [(x[b], y[b]) for b in order.split(128)], optimizer, eps=EPS, seed=epoch)
    model.eval()


def classifier(model: nn.Module) -> PyTorchClassifier:
    kind = SNNClassifier if isinstance(model, SpikingNetwork) else PyTorchClassifier
    return kind(model, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0))


def measure(model: nn.Module, sources: dict[str, nn.Module], test: Any, attacked: Any, max_iter: int) -> dict[str, Any]:
    """Accuracy, cost, and the per-sample worst case over white-box attacks and transfers from ``sources``."""
    clf = classifier(model)
    x, y = test
    clean = clf.predict(x, batch_size=200).argmax(1) == y
    work = operations(model, torch.tensor(x[:100]))
    x, y = attacked
    common = {"eps": EPS, "max_iter": max_iter, "batch_size": len(x)}
    attacks = {"white box": SNNAutoPGD(clf, **common)}
    if isinstance(model, SpikingNetwork):
        attacks["white box, BPTR"] = SNNAutoPGD(clf, policy=BPTR(), **common)
    for name, source in sources.items():
        if source is not model:
            attacks[f"transfer, {name}"] = Transfer(clf, source=classifier(source), **common)
    robust = clf.predict(x, batch_size=200).argmax(1) == y
    each = {}
    for name, attack in attacks.items():
        left = clf.predict(attack.generate(x, y), batch_size=200).argmax(1) == y
        each[name] = float(left.mean())
        robust &= left
    wide = SNNAutoPGD(clf, eps=WIDE_EPS, max_iter=max_iter, batch_size=len(x)).generate(x, y)
    return {
        "clean": proportion(clean).record(), "robust": proportion(robust).record(), "each": each,
        "wide": float((clf.predict(wide, batch_size=200).argmax(1) == y).mean()),
        "rate": work.rate, "accumulates": work.accumulates, "multiplies": work.multiplies,
    }  # fmt: skip


def cells(args: argparse.Namespace) -> list[tuple[str, int]]:
    return [("ann", 0), ("qnn", 0), *((method, T) for T in args.steps for method in METHODS), *ROBUST]


def run(args: argparse.Namespace, store: ResultStore) -> None:
    if args.data:
        art.config.set_data_path(str(args.data))
    mnist = data.load("mnist")
    x, y = torch.tensor(mnist.x_train[: args.train]), torch.tensor(mnist.y_train[: args.train])
    made = models(args.out, x, y, args.levels)
    test, attacked = mnist.select(args.test, seed=0)[:2], mnist.select(args.attacked, seed=1)[:2]
    for name, T in cells(args):
        chosen = [args.levels, args.train, args.test, args.attacked, args.max_iter]
        key = json.dumps([name, T, *chosen])
        if store.get(key) is not None:
            continue
        start = time.perf_counter()
        quantized = made["noisy"] if name == "residual_noise" else made["qnn"]
        if name in ("robust_ann", "robust"):
            pair = robust_models(args.out, x, y)
            model, sources = pair[name], {"ANN": made["ann"], "robust ANN": pair["robust_ann"]}
            steps = latency(model) if T else None
        elif T == 0:
            model, sources, steps = made[name], {"ANN": made["ann"], "QNN": made["qnn"]}, None
        else:
            relu = name in ("rate_coding", "local_threshold_balancing")
            source = made["ann"] if relu else quantized
            model = convert(source, T, name, calibration=x[:512] if relu else None)
            sources = {"ANN": made["ann"], "QNN": quantized}
            steps = latency(model)
        found = measure(model, sources, test, attacked, args.max_iter)
        seconds = time.perf_counter() - start
        total = None if steps is None else steps.total
        store.add({"key": key, "kind": "cell", "name": name, "T": T, "steps": total, "seconds": seconds, **found})
        print(
            f"{name:26} T={T:<3} clean {found['clean']['value']:.3f} "
            f"robust {found['robust']['value']:.3f} {seconds:.0f} s"
        )


def table(records: list[dict[str, Any]]) -> str:
    lines = [
        "| network | T | all steps | accuracy % | firing rate | MAC | AC | robust % [95 %] | at 0.5 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(
        records, key=lambda r: (r["T"] > 0, [*METHODS, "robust"].index(r["name"]) if r["T"] else r["name"], r["T"])
    ):
        robust = "{value:.1f} [{low:.0f}, {high:.0f}]".format(**{k: 100 * v for k, v in r["robust"].items()})
        robust = robust if r["wide"] <= 0.05 else f"invalid ({robust})"
        row = [
            r["name"], r["T"] or "-", r["steps"] or "-", f"{100 * r['clean']['value']:.2f}",
            f"{r['rate']:.3f}" if r["T"] else "-", f"{r['multiplies']:,.0f}", f"{r['accumulates']:,.0f}", robust,
            f"{100 * r['wide']:.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def figure(records: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "art-snn"
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for ax, kind, title in zip(axes, ("clean", "robust"), ("accuracy", f"worst case at eps = {EPS}"), strict=True):
        for method in METHODS:
            rows = sorted((r for r in records if r["name"] == method), key=lambda r: r["T"])
            shown = [r for r in rows if kind == "clean" or r["wide"] <= 0.05]
            values = [100 * r[kind]["value"] for r in shown]
            ax.plot([r["steps"] for r in shown], values, "o-", color=COLORS[method], label=method)
        for name, style in (("ann", "-"), ("qnn", "--")):
            for r in (r for r in records if r["name"] == name):
                ax.axhline(100 * r[kind]["value"], color="black", ls=style, lw=0.8, label=name)
        ax.set(xscale="log", xlabel="steps, pre-simulation included", ylabel=f"{title}, %")
        ax.set_xticks([1, 2, 4, 8, 16, 32], [1, 2, 4, 8, 16, 32])
        ax.minorticks_off()
    axes[0].set_ylim(bottom=84)
    axes[0].legend(fontsize=7, frameon=False)
    fig.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/convert"), help="folder for networks, cells and figure")
    parser.add_argument("--data", type=Path, help="ART data folder that has mnist.npz; ART's own by default")
    parser.add_argument("--levels", type=int, default=4)
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=4_000)
    parser.add_argument("--attacked", type=int, default=100)
    parser.add_argument("--max-iter", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, metavar="T")
    args = parser.parse_args()
    store = ResultStore(args.out)
    run(args, store)
    chosen = [args.levels, args.train, args.test, args.attacked, args.max_iter]
    records = [store.records[json.dumps([name, T, *chosen])] for name, T in cells(args)]
    (args.out / "table.md").write_text(table(records) + "\n", encoding="utf-8")
    figure(records, args.out / "conversion.svg")
    print(table(records))
    print(f"{np.sum([r['seconds'] for r in records]):.0f} s in all; figure in {args.out / 'conversion.svg'}")


if __name__ == "__main__":
    main()
