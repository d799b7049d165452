"""Measure how fast art-snn is, beside SpikingJelly, the analog twin and other attack libraries.

    python benchmarks/speed.py                     # every piece that has no line yet; lines go to speed.jsonl
    python benchmarks/speed.py neuron network/cnn  # pieces whose names begin so
    python benchmarks/speed.py --again neuron      # once more, whether there is a line or not
    python benchmarks/speed.py --threads 2 neuron network/cnn attack
    python benchmarks/speed.py --without-numba neuron network/cnn attack
    python benchmarks/speed.py --list              # the names
    python benchmarks/speed.py --table             # docs/benchmarks.md's tables from the lines

Every figure is a ratio of two things that run in turn, in one process, after one run that warms up; the order changes
from turn to turn. A figure is the median over the turns of the ratio within a turn, with its quartiles. With one thread
the clock counts processor time, system time included, which other jobs on the machine disturb least; with several it
is the one on the wall. Peak memory is that of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from spikingjelly.activation_based import neuron, surrogate
from subjects import NETWORKS, Plain, input_gradient, made, prediction
from torch import Tensor, nn
from turns import Figures, Times, clock, in_turn, lines, note, quartiles, ratio, shown

from art_snn import SNNClassifier
from art_snn.coding import Direct, Latency
from art_snn.gradients.known import known_slope
from art_snn.networks import ann_twin
from art_snn.networks.fast import dynamics_of
from art_snn.neurons import compiled
from art_snn.neurons.fused import multi_step

EPS, STEP, STEPS = 8 / 255, 2 / 255, 20


def neuron_layer(T: int, shape: tuple[int, ...]) -> Figures:
    """(a) One layer, the same input, the same spikes."""
    torch.manual_seed(0)
    x = torch.randn(T, *shape, requires_grad=True)
    weight = torch.randn_like(x)
    node = neuron.LIFNode(surrogate_function=surrogate.ATan(), step_mode="m")
    slope, dynamics = known_slope(node.surrogate_function), dynamics_of(node)

    def theirs() -> Tensor:
        node.reset()
        return node(x)

    def ours() -> Tensor:
        return multi_step(x, 0.0, dynamics, slope)[0]

    def silent(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: torch.no_grad()(run)()

    def back(run: Callable[[], Tensor]) -> Callable[[], Any]:
        return lambda: torch.autograd.grad(run(), x, weight)

    times = in_turn(
        {"sj f": silent(theirs), "fused f": silent(ours), "sj fb": back(theirs), "fused fb": back(ours)}, 25
    )
    one, other = back(theirs)()[0], back(ours)()[0]
    return {
        "forward": ratio(times, "sj f", "fused f"), "forward + backward": ratio(times, "sj fb", "fused fb"),
        "ms": quartiles(times["fused fb"]), "differing spikes": int((theirs() != ours()).sum()),
        "gradients differ by": float(f"{float((one - other).abs().max() / one.abs().max()):.1g}"),
    }  # fmt: skip


def network(name: str, code: Any) -> Figures:
    """(b) Forward and input gradient, beside SpikingJelly and T passes of the analog twin."""
    net, x = made(name, code)
    twin, plain = ann_twin(net).eval(), Plain(net).eval()
    times = in_turn({
        "sj": input_gradient(plain, x), "fast": input_gradient(net, x), "ann": input_gradient(twin, x),
        "sj f": prediction(plain, x), "fast f": prediction(net, x), "ann f": prediction(twin, x),
    }, NETWORKS[name][2])  # fmt: skip
    return {
        "gradient: times faster than SpikingJelly": ratio(times, "sj", "fast"),
        "gradient: share of T ANN passes": ratio(times, "fast", "ann", code.T),
        "forward: times faster than SpikingJelly": ratio(times, "sj f", "fast f"),
        "forward: share of T ANN passes": ratio(times, "fast f", "ann f", code.T),
        "ms of a gradient": quartiles(times["fast"]),
    }


def bare_loop(net: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        point = x.clone()
        for _ in range(STEPS):
            point.requires_grad_(True)
            grad = torch.autograd.grad(nn.functional.cross_entropy(net(point), y), point)[0]
            point = (point.detach() + STEP * grad.sign()).clamp(x - EPS, x + EPS).clamp(0, 1)
        return point

    return run


def pgd(code: Any) -> Figures:
    """(c) PGD of 20 steps, the same network inside each library."""
    import foolbox
    import torchattacks
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    net, x = made("cnn", code)
    x, plain = x[:32], Plain(net).eval()
    y = net(x).argmax(1)
    settings = {"eps": EPS, "eps_step": STEP, "max_iter": STEPS, "batch_size": len(x), "verbose": False}
    loss, shape = nn.CrossEntropyLoss(), (1, 28, 28)
    ours = SNNClassifier(net, loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
    arts = PyTorchClassifier(plain, loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
    arrays = x.numpy(), y.numpy()
    peer = foolbox.PyTorchModel(plain, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
    times = in_turn({
        "bare loop": bare_loop(net, x, y),
        "SNNClassifier": lambda: ProjectedGradientDescent(ours, **settings).generate(*arrays),
        "ART": lambda: ProjectedGradientDescent(arts, **settings).generate(*arrays),
        "torchattacks": lambda: torchattacks.PGD(plain, EPS, STEP, STEPS, random_start=False)(x, y),
        "foolbox": lambda: attack(peer, x, y, epsilons=EPS),
    }, 5)  # fmt: skip
    rivals = ("ART", "torchattacks", "foolbox")
    times["best"] = [min(turn) for turn in zip(*(times[name] for name in rivals), strict=True)]
    return {
        "SNNClassifier / bare loop": ratio(times, "SNNClassifier", "bare loop"),
        "times faster than the best peer": ratio(times, "best", "SNNClassifier"),
        **{f"times faster than {name}": ratio(times, name, "SNNClassifier") for name in rivals},
        "ms": quartiles(times["SNNClassifier"]),
    }


def masked(samples: int) -> tuple[Any, float, dict[str, Any]]:
    """An adversarially trained network, epsilon, and samples to evaluate and to calibrate on."""
    from train_reference import OUT, SHAPE, digits_split

    from art_snn.networks import load

    data = {name: tuple(part[:samples] for part in pair) for name, pair in digits_split().items()}
    net = load(OUT / "digits_snn_direct_at.safetensors")
    return SNNClassifier(net, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu"), 0.16, data


def suite_of_art(*, short: bool, samples: int = 50) -> Figures:
    """(d) ART's AutoAttack: its default, or with one Square run of 1000 queries in place of five of 5000."""
    from art.attacks.evasion import AutoAttack

    from art_snn.evaluation.seeding import seeded_globals

    clf, eps, data = masked(samples)
    x, y = data["evaluation"]
    start = clock()
    with seeded_globals(0):
        peer = AutoAttack(clf, eps=eps, eps_step=eps / 4, batch_size=samples)
        if short:
            peer.attacks[-1].set_params(max_iter=1000, nb_restarts=1)
        found = peer.generate(x, y)
    spent = clock() - start
    return {"robust accuracy": float((clf.predict(found).argmax(1) == y).mean()), "s": round(spent, 2)}


def suite_of_ours(samples: int = 50) -> Figures:
    """(d) SNNAutoAttack(fast), and the time to each robust accuracy that a suite of ART reached."""
    from art_snn.attacks import SNNAutoAttack

    clf, eps, data = masked(samples)
    attack = SNNAutoAttack(
        clf, eps=eps, preset="fast", batch_size=samples, calibration=data["calibration"], verbose=False
    )
    start = clock()
    attack.generate(*data["evaluation"])
    spent = clock() - start
    rows = attack.last_run.rows
    print(attack.last_run.table(), flush=True)
    until = np.cumsum([row.seconds for row in rows]) * spent / sum(row.seconds for row in rows)
    figures: Figures = {"robust accuracy": attack.last_run.robust_accuracy, "s": round(spent, 2)}
    for line in lines():
        if line["part"] != "autoattack" or "ART" not in line["what"]:
            continue
        reached = [t for row, t in zip(rows, until, strict=True) if row.robust_accuracy <= line["robust accuracy"]]
        name = "default" if "default" in line["what"] else "short"
        figures[f"s to that of ART's {name}"] = round(reached[0], 2) if reached else None
        figures[f"times sooner than ART's {name}"] = round(line["s"] / reached[0], 1) if reached else None
    return figures


def off_line(sizes: list[int], times: list[float]) -> float:
    """Largest relative distance from the best straight line."""
    line = np.poly1d(np.polyfit(sizes, times, 1, w=1 / np.asarray(times)))
    return round(float(max(abs(line(n) - t) / t for n, t in zip(sizes, times, strict=True))), 3)


def straight(sizes: list[int], times: Times) -> Figures:
    """Medians, and how far they are from a line."""
    middle = [float(np.median(times[str(size)])) for size in sizes]
    return {**{str(n): round(v, 1) for n, v in zip(sizes, middle, strict=True)}, "off a line": off_line(sizes, middle)}


def against_steps(samples: int) -> Figures:
    """(e) A gradient against T."""
    steps = [4, 8, 16, 32]
    nets = {T: made("cnn", Direct(T)) for T in steps}
    return straight(steps, in_turn({str(T): input_gradient(net, x[:samples]) for T, (net, x) in nets.items()}, 9))


def against_batch(make: Callable[[nn.Module, Tensor], Callable[[], Tensor]]) -> Figures:
    """(e) Per sample, against the size of the batch."""
    net, _ = made("cnn", Direct(8))
    sizes = [1, 4, 16, 32, 64, 128, 256]
    times = in_turn({str(n): make(net, torch.rand(n, 1, 28, 28)) for n in sizes}, 5)
    return {str(n): round(float(np.median(times[str(n)])) / n, 2) for n in sizes}


def attack_of(samples: int, epsilons: int) -> Callable[[], None]:
    """Auto-PGD of five steps."""
    from art_snn.attacks.evasion import SNNAutoPGD

    net, _ = made("cnn", Direct(8))
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0), device_type="cpu")
    images = np.random.default_rng(0).random((samples, 1, 28, 28), dtype=np.float32)
    labels = clf.predict(images).argmax(1)

    def run() -> None:
        for k in range(epsilons):
            SNNAutoPGD(clf, eps=(k + 1) / 2550, max_iter=5, batch_size=64).generate(images, labels)

    return run


def against_samples() -> Figures:
    """(e) An attack against the number of samples."""
    sizes = [64, 128, 256, 512]
    return straight(sizes, in_turn({str(n): attack_of(n, 1) for n in sizes}, 5))


def against_epsilons() -> Figures:
    """(e) An attack against the number of epsilons."""
    counts = [1, 2, 4]
    return straight(counts, in_turn({str(k): attack_of(64, k) for k in counts}, 5))


MEMORY = [
    ("sj", 8, 64, "gradient", None), ("fast", 8, 64, "gradient", None), ("sj", 16, 64, "gradient", None),
    ("fast", 16, 64, "gradient", None), ("sj", 16, 64, "forward", None), ("fast", 16, 64, "forward", None),
    ("fast", 8, 1000, "gradient", 256), ("fast", 8, 10000, "gradient", 256), ("fast", 8, 10000, "forward", 256),
]  # fmt: skip


def memory(case: tuple[Any, ...] | str) -> Figures:
    """(f) Peak memory above what the process took before, in a process of its own."""
    way = [] if compiled.installed() else ["--without-numba"]
    command = [sys.executable, __file__, *way, "--peak", json.dumps(case)]
    highest = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])  # noqa: S603
    return {"MiB": round(highest)}


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def load(model: nn.Module, make: Callable[[nn.Module, Tensor], Callable[[], Tensor]]) -> None:
    """One small run, and one as if it were large, so that machine code is there and takes its memory."""
    run = make(model, torch.rand(2, 1, 28, 28))
    run()
    with mock.patch.object(compiled, "is_large", return_value=True):
        run()


def taken_by_numba() -> float:
    """What numba and the machine code take themselves."""
    net, _ = made("cnn", Direct(8))
    input_gradient(net, torch.rand(2, 1, 28, 28))()
    before = resident()
    load(net, input_gradient)
    return resident() - before


def peak(kind: str, T: int, samples: int, what: str, limit: int | None) -> float:
    net, _ = made("cnn", Direct(T))
    net.max_memory = None if limit is None else limit * 2**20
    model = Plain(net) if kind == "sj" else net
    make = input_gradient if what == "gradient" else prediction
    load(model, make)
    run = make(model, torch.rand(samples, 1, 28, 28))
    before, highest, done = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return highest[0] - before


def table() -> None:
    rows = lines()
    order = list(PIECES)
    for part in dict.fromkeys(name.split("/")[0] for name in order):
        for threads, numba in ((1, True), (1, False), (2, True), (2, False)):
            mine = [r for r in rows if r["part"] == part and r["threads"] == threads and r["numba"] is numba]
            mine.sort(key=lambda r: order.index(f"{r['part']}/{r['what']}"))
            for names in dict.fromkeys(tuple(r)[4:] for r in mine):
                print(f"\n{part}, {threads} thread{'s' * (threads > 1)}{'' if numba else ', without numba'}\n")
                print("| | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
                for row in mine:
                    if tuple(row)[4:] == names:
                        print(f"| {row['what']} | " + " | ".join(shown(row[name]) for name in names) + " |")


def pieces() -> dict[str, Callable[[], Figures]]:
    """Everything there is to measure, by name."""
    found: dict[str, Callable[[], Figures]] = {}
    for T, shape in ((8, (64, 16, 28, 28)), (16, (64, 32, 14, 14)), (8, (64, 128))):
        found[f"neuron/T={T}, {'x'.join(map(str, shape))}"] = partial(neuron_layer, T, shape)
    for name in NETWORKS:
        for T in (4, 8, 16):
            for code in (Direct(T), Latency(T)):
                found[f"network/{name}, {type(code).__name__}, T={T}"] = partial(network, name, code)
    for code in (Direct(8), Latency(8)):
        found[f"attack/PGD-20, cnn, {type(code).__name__}, T=8"] = partial(pgd, code)
    found["autoattack/ART, short Square"] = partial(suite_of_art, short=True)
    found["autoattack/ART, default"] = partial(suite_of_art, short=False)
    found["autoattack/SNNAutoAttack fast"] = suite_of_ours
    for samples in (32, 64):
        found[f"scaling/ms of a gradient of {samples} samples against T"] = partial(against_steps, samples)
    found["scaling/ms per sample of a gradient against the batch size"] = partial(against_batch, input_gradient)
    found["scaling/ms per sample of a forward against the batch size"] = partial(against_batch, prediction)
    found["scaling/ms of an attack against samples"] = against_samples
    found["scaling/ms of an attack against epsilons"] = against_epsilons
    for case in MEMORY:
        kind, T, samples, what, limit = case
        bound = "" if limit is None else f", max_memory {limit} MiB"
        found[f"memory/{kind}, T={T}, {samples} samples, {what}{bound}"] = partial(memory, case)
    found["memory/numba and its machine code"] = partial(memory, "numba")
    return found


PIECES = pieces()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="*", help="beginnings of names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-numba", action="store_true", help="all layers as torch operations")
    parser.add_argument("--again", action="store_true", help="also pieces that have a line")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--table", action="store_true", help="print the tables and stop")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.without_numba:
        sys.modules["numba"] = None  # type: ignore[assignment]
    if options.peak:
        case = json.loads(options.peak)
        print(taken_by_numba() if case == "numba" else peak(*case))
    elif options.table:
        table()
    elif options.list:
        print("\n".join(PIECES))
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    way = {"threads": options.threads, "numba": compiled.installed()}
    done = {(line["part"], line["what"]) for line in lines() if way.items() <= line.items()}
    for name, piece in PIECES.items():
        part, _, what = name.partition("/")
        wanted = not options.pieces or any(name.startswith(asked) for asked in options.pieces)
        if wanted and (options.again or (part, what) not in done):
            note({"part": part, "what": what, **way, **piece()})


if __name__ == "__main__":
    main()
