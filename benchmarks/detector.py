"""How well SpikeTimingDetector tells attacked samples, and what is left of it when the attack knows it.

    python benchmarks/detector.py            # resumable: finished lines are not run again
    python benchmarks/detector.py --table    # the table from the lines
    python benchmarks/detector.py --picture  # docs/images/detector.svg

Networks and splits of :mod:`train_reference`: the detector is fitted on the calibration samples (half for the
Gaussians, half for the threshold at 5 % false positives), its false positives are counted on all 400 evaluation
samples, and the first 60 of them are attacked, with 40 steps. One JSON line per network, radius and attack, with the
scores of its
misclassified samples.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from torch import nn
from train_reference import OUT, SHAPE, digits_split

from art_snn import SNNClassifier
from art_snn.attacks.evasion import DetectorAwarePGD, SNNAutoPGD
from art_snn.defenses.detector import SpikeTimingDetector, detection_curve
from art_snn.evaluation.seeding import seeded_globals
from art_snn.evaluation.statistics import proportion
from art_snn.networks import load

LINES = Path(__file__).parent / "detector.jsonl"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "detector.svg"
NETWORKS = ("digits_snn_direct", "digits_snn_latency")
RADII = {"digits_snn_direct": (0.06, 0.12), "digits_snn_latency": (0.06, 0.12)}
SAMPLES, STEPS, FPR = 60, 40, 0.05
ATTACKS = ("PGD", "SNNAutoPGD", "aware, penalty", "aware, orthogonal")


def made(name: str, detector: SpikeTimingDetector, eps: float) -> Any:
    clf = detector.classifier
    if name == "PGD":
        return ProjectedGradientDescent(
            clf, eps=eps, eps_step=eps / 4, max_iter=STEPS, num_random_init=1, batch_size=100, verbose=False
        )
    if name == "SNNAutoPGD":
        return SNNAutoPGD(clf, eps=eps, max_iter=STEPS, batch_size=100)
    return DetectorAwarePGD(detector, eps=eps, max_iter=STEPS, variant=name.split(", ")[1], batch_size=100)


def fitted(name: str) -> SpikeTimingDetector:
    clf = SNNClassifier(
        load(OUT / f"{name}.safetensors"), nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    detector = SpikeTimingDetector(clf, fpr=FPR)
    detector.fit(*digits_split()["calibration"])
    return detector


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LINES.read_text().splitlines()] if LINES.exists() else []


def plan() -> Iterator[tuple[str, float, str]]:
    done = {(row["network"], row["eps"], row["attack"]) for row in rows()}
    cells = [(n, 0.0, "clean") for n in NETWORKS]
    cells += [(n, eps, attack) for n in NETWORKS for eps in RADII[n] for attack in ATTACKS]
    yield from (cell for cell in sorted(cells, key=lambda c: NETWORKS.index(c[0])) if cell not in done)


def measure(cells: int) -> None:
    known: dict[str, SpikeTimingDetector] = {}
    for network, eps, name in islice(plan(), cells):
        if network not in known:
            known[network] = fitted(network)
        detector = known[network]
        x, y = digits_split()["evaluation"]
        start = time.perf_counter()
        if name != "clean":
            x, y = x[:SAMPLES], y[:SAMPLES]
            with seeded_globals(0):
                x = made(name, detector, eps).generate(x, y)
        report, flagged = detector.detect(x)
        wrong = detector.classifier.predict(x).argmax(1) != y
        row = {
            "network": network, "eps": eps, "attack": name, "samples": len(x), "wrong": wrong.astype(int).tolist(),
            "flagged": flagged.astype(int).tolist(), "scores": report["scores"].round(5).tolist(),
            "threshold": detector.threshold, "seconds": round(time.perf_counter() - start, 1),
        }  # fmt: skip
        with LINES.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(network, eps, name, row["seconds"], flush=True)


def curve(row: dict[str, Any]) -> Any:
    clean = next(r for r in rows() if r["network"] == row["network"] and r["attack"] == "clean")
    wrong = np.array(row["wrong"], dtype=bool)
    return detection_curve(clean["scores"], np.array(row["scores"])[wrong]) if wrong.any() else None


def table() -> None:
    for row in rows():
        wrong, flagged = (np.array(row[key], dtype=bool) for key in ("wrong", "flagged"))
        if row["attack"] == "clean":
            print(f"{row['network']}: accuracy {100 * (1 - wrong.mean()):.1f} %, flagged {proportion(flagged)} %")
            continue
        found = curve(row)
        rates = "– | – | –" if found is None else (
            f"{found.auc:.3f} | {100 * found.tpr_at(0.01):.0f} | {100 * found.tpr_at(0.05):.0f}"
        )  # fmt: skip
        print(f"| {row['network'][7:]} | {row['eps']} | {row['attack']} | {100 * wrong.mean():.0f} | {rates} | "
              f"{proportion(wrong & ~flagged)} |")  # fmt: skip


def picture() -> None:
    """One panel per network, at its larger radius."""
    import matplotlib as mpl

    from art_snn.evaluation.plots import new_figure, svg

    mpl.rcParams["svg.hashsalt"] = "detector"
    figure = new_figure(4.6 * len(NETWORKS), 3.8)
    for ax, network in zip(figure.subplots(1, len(NETWORKS)), NETWORKS, strict=True):
        for row in rows():
            if (row["network"], row["eps"]) == (network, RADII[network][-1]) and curve(row) is not None:
                curve(row).plot(ax, row["attack"])
        ax.set_title(f"{network[7:]}, eps = {RADII[network][-1]}")
    PICTURE.write_text(svg(figure))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="at most this many lines in this run")
    parser.add_argument("--table", action="store_true", help="print the table")
    parser.add_argument("--picture", action="store_true", help="draw the curves")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.table:
        table()
    elif chosen.picture:
        picture()
    else:
        measure(chosen.cells)
