"""Certified accuracy of smoothed networks, and attacks inside and beyond the certified budgets.

    python benchmarks/certificates.py            # resumable: finished lines are not run again
    python benchmarks/certificates.py --table    # the table from the lines
    python benchmarks/certificates.py --picture  # docs/images/certificates.svg

Each network is trained on its own random trains (Adam, cosine schedule), on the training part of
:mod:`train_reference`'s splits, with its random code in front. 100 evaluation samples, n0 = 100 and n = 2,000 draws,
alpha = .001. The attacks act on the first 40 of them, at the spike edge, with gradients averaged over 10 draws; their
result is judged by 1,000 draws that they have not seen. One JSON line per network, and one per attack.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from train_reference import SHAPE, digits_split, events_split, train

from art_snn.attacks.evasion import HammingFW, SpikeRetiming
from art_snn.coding import (
    EventFrames,
    FrameDrop,
    Latency,
    MembraneMean,
    Poisson,
    SpikeDropout,
    SpikeJitter,
    Transformed,
)
from art_snn.data.recordings import CAMERA, FRAMES
from art_snn.estimators import SmoothedSNN
from art_snn.evaluation.certified import certified_accuracy
from art_snn.networks import SpikingNetwork, mlp

LINES = Path(__file__).parent / "certificates.jsonl"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "certificates.svg"
SAMPLES, ATTACKED, DRAWS, STEPS, T = 100, 40, 2_000, 20, 16


def on_digits(code: Any) -> SpikingNetwork:
    return mlp(SHAPE, 10, hidden=(128,), encoder=code, decoder=MembraneMean(tau=1.0), seed=0)


def on_events(transform: Any) -> SpikingNetwork:
    code = Transformed(EventFrames(FRAMES), transform)
    return mlp((2, *CAMERA.size), 10, hidden=(96,), encoder=code, decoder=MembraneMean(tau=1.0), seed=0)


def jittered(J: float, law: str = "uniform") -> Callable[[], SpikingNetwork]:
    return lambda: on_digits(Transformed(Latency(T), SpikeJitter(J, law)))


NETWORKS: dict[str, tuple[Callable[[], SpikingNetwork], str]] = {
    "latency, jitter J=2": (jittered(2), "digits"),
    "latency, jitter J=4": (jittered(4), "digits"),
    "latency, jitter J=7": (jittered(7), "digits"),
    "latency, Laplace b=3": (jittered(3.0, "laplace"), "digits"),
    "Poisson T=4": (lambda: on_digits(Poisson(4)), "digits"),
    "Poisson T=16": (lambda: on_digits(Poisson(16)), "digits"),
    "events, dropout q=.2": (lambda: on_events(SpikeDropout(0.2)), "events"),
    "events, dropout q=.05": (lambda: on_events(SpikeDropout(0.05)), "events"),
    "events, 2 of 9 frames": (lambda: on_events(FrameDrop(2, FRAMES)), "events"),
}
ATTACKS: dict[str, list[int]] = {
    "latency, jitter J=4": [2, 5, 16], "latency, jitter J=7": [5, 16], "events, dropout q=.05": [8, 32],
}  # fmt: skip


def data(kind: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    split = events_split() if kind == "events" else digits_split()
    return split, split["train"][0].shape[1:]


def trained(name: str) -> tuple[SmoothedSNN, np.ndarray, np.ndarray]:
    build, kind = NETWORKS[name]
    split, shape = data(kind)
    net = build()
    train(net, *(torch.tensor(part) for part in split["train"]), eps=0.0, epochs=30)
    clf = SmoothedSNN(net, nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
    x, y = split["evaluation"]
    return clf, x[:SAMPLES], y[:SAMPLES]


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def plan(only: str | None) -> Iterator[tuple[str, list[int | None]]]:
    done = {(row["network"], row["budget"]) for row in rows()}
    for name in NETWORKS:
        open_ones = [budget for budget in (None, *ATTACKS.get(name, [])) if (name, budget) not in done]
        if open_ones and only in (None, name):
            yield name, open_ones


def certify(clf: SmoothedSNN, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    found = clf.certified(x, n=DRAWS)
    return {
        "unit": found.unit, "y": y.tolist(), "prediction": found.prediction.tolist(), "radius": found.radius.tolist(),
        "p_lower": found.p_lower.round(6).tolist(), "votes": clf.predict(x).argmax(1).tolist(),
    }  # fmt: skip


def attack(clf: SmoothedSNN, x: np.ndarray, y: np.ndarray, budget: int, certified: dict[str, Any]) -> dict[str, Any]:
    """The attack of the certificate's own threat; violations are certified samples that it changed within budget."""
    x, y = x[:ATTACKED], y[:ATTACKED]
    net, events = clf.model, clf.model.encoder.encoder.__class__ is EventFrames
    with torch.no_grad():
        spikes = net.encoder.encoder(torch.tensor(x)).transpose(0, 1).numpy()
    arguments: Any = {"max_iter": STEPS, "eot": 10, "votes": 10, "batch_size": 40}
    edge = clf.at_spikes()
    kind = HammingFW(edge, k=budget, **arguments) if events else SpikeRetiming(edge, 1, moves=budget, **arguments)
    s_adv = kind.generate(spikes, y)
    judge = SmoothedSNN(net.at_spikes(), nn.CrossEntropyLoss(), spikes.shape[1:], 10, clip_values=(0.0, 1.0),
                        device_type="cpu", sample_size=1000, seed=1)  # fmt: skip
    after = judge.predict(s_adv).argmax(1)
    radius, prediction = (np.array(certified[key])[: len(x)] for key in ("radius", "prediction"))
    safe = (radius >= budget) & (prediction >= 0)
    return {
        "attack": type(kind).__name__, "robust": float((after == y).mean()), "certified": int(safe.sum()),
        "violations": int((after != prediction)[safe].sum()),
        "used": int((s_adv != spikes).sum(tuple(range(1, spikes.ndim))).max()),
    }  # fmt: skip


def measure(only: str | None) -> None:
    for name, budgets in plan(only):
        clf, x, y = trained(name)
        for budget in budgets:
            start = time.perf_counter()
            if budget is None:
                found = certify(clf, x, y)
            else:
                known = next(row for row in rows() if (row["network"], row["budget"]) == (name, None))
                found = attack(clf, x, y, budget, known)
            row = {"network": name, "budget": budget, **found, "seconds": round(time.perf_counter() - start, 1)}
            with LINES.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(name, budget, row["seconds"], flush=True)


def table() -> None:
    for row in (row for row in rows() if row["budget"] is None):
        curve = certified_accuracy(row["prediction"], row["radius"], row["y"], unit=row["unit"])
        votes = 100 * float((np.array(row["votes"]) == np.array(row["y"])).mean())
        cells = " · ".join(
            f"{r:.3g}: {100 * p.value:.0f}" for r, p in zip(curve.radii, curve.accuracy, strict=True)
        ) if len(curve.radii) < 25 else ", ".join(
            f"{r:.3g}: {100 * certified_accuracy(row['prediction'], row['radius'], row['y'], [r]).at(r).value:.0f}"
            for r in np.linspace(0, max(curve.radii), 6).round(3).tolist()
        )  # fmt: skip
        print(f"| {row['network']} | {votes:.0f} | {100 * curve.abstained.value:.0f} | {row['unit']} | {cells} |")
    for row in (row for row in rows() if row["budget"] is not None):
        print(f"| {row['network']} | {row['attack']} | {row['budget']} | {row['certified']} | "
              f"{row['violations']} | {100 * row['robust']:.0f} |")  # fmt: skip


def picture() -> None:
    """Certified accuracy over the radius, one panel per unit."""
    import matplotlib as mpl

    from art_snn.evaluation.plots import COLORS, new_figure, svg

    mpl.rcParams["svg.hashsalt"] = "certificates"
    known = [row for row in rows() if row["budget"] is None]
    units = sorted({row["unit"] for row in known})
    figure = new_figure(4.2 * len(units), 3.6)
    for ax, unit in zip(figure.subplots(1, len(units), squeeze=False)[0], units, strict=True):
        for i, row in enumerate(row for row in known if row["unit"] == unit):
            curve = certified_accuracy(row["prediction"], row["radius"], row["y"], unit=unit)
            curve.plot(ax, row["network"], COLORS[i])
    PICTURE.write_text(svg(figure))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(NETWORKS), help="one network instead of all")
    parser.add_argument("--table", action="store_true", help="print the tables")
    parser.add_argument("--picture", action="store_true", help="draw the curves")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.table:
        table()
    elif chosen.picture:
        picture()
    else:
        measure(chosen.only)
