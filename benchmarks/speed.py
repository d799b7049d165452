"""Measure how fast art-snn is, beside SpikingJelly, the analog twin and other attack libraries.

    python benchmarks/speed.py                  # every part; each writes its lines to speed.jsonl
    python benchmarks/speed.py neuron network   # some parts
    python benchmarks/speed.py --threads 2 network
    python benchmarks/speed.py --table          # docs/benchmarks.md's tables from the lines

Every figure is a ratio of two things that run in turn, in one process, after one run that warms up. The clock counts
processor time, of all threads together, which other jobs on the machine disturb least. Minimum and median are over the
turns; peak memory is that of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.coding import Direct, Latency, MembraneMean
from art_snn.gradients.known import known_slope
from art_snn.networks import ann_twin, cnn, mlp
from art_snn.networks.fast import dynamics_of
from art_snn.neurons.fused import multi_step

LINES = Path(__file__).parent / "speed.jsonl"
EPS, STEP, STEPS = 8 / 255, 2 / 255, 20
clock = time.process_time


class Plain(nn.Module):
    """A spiking network as one writes it with SpikingJelly alone: reset, encode, multi-step body, read out."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.encoder, self.body, self.decoder = net.encoder, net.body, net.decoder

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]``."""
        functional.reset_net(self.body)
        z: Tensor = self.decoder(self.body(self.encoder(x)))
        return z


def in_turn(things: dict[str, Callable[[], Any]], turns: int = 9) -> dict[str, tuple[float, float]]:
    """Minimum and median milliseconds of each."""
    spent: dict[str, list[float]] = {name: [] for name in things}
    for thing in things.values():
        thing()
    for _ in range(turns):
        for name, thing in things.items():
            start = clock()
            thing()
            spent[name].append((clock() - start) * 1000)
    return {name: (min(times), statistics.median(times)) for name, times in spent.items()}


def ratio(times: dict[str, tuple[float, float]], slow: str, fast: str, share: float = 1.0) -> list[float]:
    """How many times longer ``slow`` takes, by minimum and by median."""
    return [round(a / b / share, 2) for a, b in zip(times[slow], times[fast], strict=True)]


def note(part: str, what: str, figures: dict[str, Any]) -> None:
    """Replace the line of this figure."""
    threads = torch.get_num_threads()
    line = {"part": part, "what": what, "threads": threads, **figures}
    key = (part, what, threads)
    old = [json.loads(row) for row in LINES.read_text().splitlines()] if LINES.exists() else []
    rows = [row for row in old if (row["part"], row["what"], row["threads"]) != key]
    LINES.write_text("".join(json.dumps(row) + "\n" for row in [*rows, line]))
    print(line, flush=True)


def input_gradient(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        point = x.clone().requires_grad_(True)
        return torch.autograd.grad(model(point).logsumexp(1).sum(), point)[0]

    return run


def prediction(model: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.no_grad():
            return model(x)

    return run


def part_neuron() -> None:
    """(a) One layer, the same input, the same spikes."""
    for T, shape in ((8, (64, 16, 28, 28)), (16, (64, 32, 14, 14)), (8, (64, 128))):
        torch.manual_seed(0)
        x = torch.randn(T, *shape, requires_grad=True)
        weight = torch.randn_like(x)
        node = neuron.LIFNode(surrogate_function=surrogate.ATan(), step_mode="m")
        slope, dynamics = known_slope(node.surrogate_function), dynamics_of(node)

        def theirs(node: Any = node, x: Tensor = x) -> Tensor:
            node.reset()
            return node(x)

        def ours(x: Tensor = x, dynamics: Any = dynamics, slope: Any = slope) -> Tensor:
            return multi_step(x, 0.0, dynamics, slope)[0]

        def silent(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
            return lambda: torch.no_grad()(run)()

        def back(run: Callable[[], Tensor], x: Tensor = x, weight: Tensor = weight) -> Callable[[], Any]:
            return lambda: torch.autograd.grad(run(), x, weight)

        times = in_turn(
            {"sj f": silent(theirs), "fused f": silent(ours), "sj fb": back(theirs), "fused fb": back(ours)}, 15
        )
        note("neuron", f"T={T}, {'x'.join(map(str, shape))}", {
            "forward": ratio(times, "sj f", "fused f"), "forward + backward": ratio(times, "sj fb", "fused fb"),
            "ms": [round(v, 1) for v in times["fused fb"]], "differing spikes": int((theirs() != ours()).sum()),
        })  # fmt: skip


def vgg11(encoder: Any) -> SpikingNetwork:
    """VGG-11 for images of 32 x 32."""
    layers: list[nn.Module] = []
    planes = 3
    for width in (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"):
        if width == "pool":
            layers.append(layer.AvgPool2d(2, step_mode="m"))
            continue
        layers += [layer.Conv2d(planes, width, 3, padding=1, bias=False, step_mode="m")]
        layers += [layer.BatchNorm2d(width, step_mode="m")]
        layers += [
            neuron.LIFNode(decay_input=False, detach_reset=True, surrogate_function=surrogate.ATan(), step_mode="m")
        ]
        planes = width
    layers += [layer.Flatten(step_mode="m"), layer.Linear(512, 10, step_mode="m")]
    return SpikingNetwork(encoder, nn.Sequential(*layers), MembraneMean())


NETWORKS: dict[str, tuple[Callable[[Any], SpikingNetwork], tuple[int, ...], int]] = {
    "mlp": (lambda code: mlp((1, 28, 28), 10, encoder=code), (64, 1, 28, 28), 5),
    "cnn": (lambda code: cnn((1, 28, 28), 10, encoder=code), (64, 1, 28, 28), 5),
    "vgg-11": (vgg11, (4, 3, 32, 32), 2),
}


def made(name: str, code: Any) -> tuple[SpikingNetwork, Tensor]:
    build, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    return build(code).eval().requires_grad_(False), torch.rand(shape)


def part_network() -> None:
    """(b) Forward and input gradient, beside SpikingJelly and T passes of the analog twin."""
    for name, (_, _, turns) in NETWORKS.items():
        for T in (4, 8, 16):
            for code in (Direct(T), Latency(T)):
                if name == "vgg-11" and (isinstance(code, Latency) or T == 16):
                    continue
                net, x = made(name, code)
                twin, plain = ann_twin(net).eval(), Plain(net).eval()
                times = in_turn({
                    "sj": input_gradient(plain, x), "fast": input_gradient(net, x), "ann": input_gradient(twin, x),
                    "sj f": prediction(plain, x), "fast f": prediction(net, x), "ann f": prediction(twin, x),
                }, turns)  # fmt: skip
                note("network", f"{name}, {type(code).__name__}, T={T}", {
                    "gradient: times faster than SpikingJelly": ratio(times, "sj", "fast"),
                    "gradient: share of T ANN passes": ratio(times, "fast", "ann", T),
                    "forward: times faster than SpikingJelly": ratio(times, "sj f", "fast f"),
                    "forward: share of T ANN passes": ratio(times, "fast f", "ann f", T),
                    "ms": [round(v, 1) for v in times["fast"]],
                })  # fmt: skip


def bare_loop(net: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        point = x.clone()
        for _ in range(STEPS):
            point.requires_grad_(True)
            grad = torch.autograd.grad(nn.functional.cross_entropy(net(point), y), point)[0]
            point = (point.detach() + STEP * grad.sign()).clamp(x - EPS, x + EPS).clamp(0, 1)
        return point

    return run


def part_attack() -> None:
    """(c) PGD of 20 steps, the same network inside each library."""
    import foolbox
    import torchattacks
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    for code in (Direct(8), Latency(8)):
        net, x = made("cnn", code)
        x, plain = x[:32], Plain(net).eval()
        y = net(x).argmax(1)
        settings = {"eps": EPS, "eps_step": STEP, "max_iter": STEPS, "batch_size": len(x), "verbose": False}
        loss, shape = nn.CrossEntropyLoss(), (1, 28, 28)
        ours = SNNClassifier(net, loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
        arts = PyTorchClassifier(plain, loss, shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
        arrays = x.numpy(), y.numpy()
        peer = foolbox.PyTorchModel(plain, bounds=(0, 1), device="cpu")
        pgd = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
        times = in_turn({
            "bare loop": bare_loop(net, x, y),
            "SNNClassifier": lambda a=ours, v=arrays, s=settings: ProjectedGradientDescent(a, **s).generate(*v),
            "ART": lambda a=arts, v=arrays, s=settings: ProjectedGradientDescent(a, **s).generate(*v),
            "torchattacks": lambda p=plain, x=x, y=y: torchattacks.PGD(p, EPS, STEP, STEPS, random_start=False)(x, y),
            "foolbox": lambda a=pgd, m=peer, x=x, y=y: a(m, x, y, epsilons=EPS),
        }, 3)  # fmt: skip
        rivals = ("ART", "torchattacks", "foolbox")
        best = tuple(min(times[name][i] for name in rivals) for i in range(2))
        note("attack", f"PGD-20, cnn, {type(code).__name__}, T=8", {
            "SNNClassifier / bare loop": ratio(times, "SNNClassifier", "bare loop"),
            "times faster than the best peer": ratio({**times, "best": best}, "best", "SNNClassifier"),
            **{f"times faster than {name}": ratio(times, name, "SNNClassifier") for name in rivals},
            "ms": [round(v, 1) for v in times["SNNClassifier"]],
        })  # fmt: skip


def part_autoattack() -> None:
    """(d) Time to ART AutoAttack's robust accuracy, on an adversarially trained network.

    ART's Square runs once with 1000 queries, not five times with 5000, so ART's time is far below that of its default.
    """
    from art.attacks.evasion import AutoAttack
    from train_reference import OUT, SHAPE, digits_split

    from art_snn.attacks import SNNAutoAttack
    from art_snn.evaluation.seeding import seeded_globals
    from art_snn.networks import load

    samples, eps = 50, 0.16
    data = digits_split()
    x, y = (part[:samples] for part in data["evaluation"])
    calibration = tuple(part[:samples] for part in data["calibration"])
    net = load(OUT / "digits_snn_direct_at.safetensors")
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), SHAPE, 10, clip_values=(0.0, 1.0), device_type="cpu")
    start = clock()
    attack = SNNAutoAttack(clf, eps=eps, preset="fast", batch_size=samples, calibration=calibration, verbose=False)
    attack.generate(x, y)
    ours = clock() - start
    rows = attack.last_run.rows
    print(attack.last_run.table(), f"{ours:.1f} s", flush=True)
    start = clock()
    with seeded_globals(0):
        peer = AutoAttack(clf, eps=eps, eps_step=eps / 4, batch_size=samples)
        peer.attacks[-1].set_params(max_iter=1000, nb_restarts=1)
        found = peer.generate(x, y)
    theirs = clock() - start
    robust = float((clf.predict(found).argmax(1) == y).mean())
    total = sum(row.seconds for row in rows)
    reached, until = None, 0.0
    for row in rows:
        until += row.seconds
        if row.robust_accuracy <= robust:
            reached = ours * until / total
            break
    calibrated = next(row.seconds for row in rows if row.rung == "calibration")
    note("autoattack", f"adversarially trained digits, eps {eps}, {samples} samples", {
        "ART AutoAttack: robust": robust, "ART AutoAttack: s": round(theirs, 1),
        "SNNAutoAttack fast: robust": attack.last_run.robust_accuracy, "SNNAutoAttack fast: s": round(ours, 1),
        "s to ART's robust accuracy": None if reached is None else round(reached, 1),
        "s of that for calibration": round(ours * calibrated / total, 1),
        "times sooner": None if reached is None else round(theirs / reached, 1),
    })  # fmt: skip


def off_line(sizes: list[int], times: list[float]) -> float:
    """Largest relative distance from the best straight line."""
    line = np.poly1d(np.polyfit(sizes, times, 1, w=1 / np.asarray(times)))
    return round(float(max(abs(line(n) - t) / t for n, t in zip(sizes, times, strict=True))), 3)


def part_scaling() -> None:
    """(e) Cost against time steps, batch size, samples and number of epsilons."""
    from art_snn.attacks.evasion import SNNAutoPGD

    steps = [4, 8, 16, 32]
    nets = {T: made("cnn", Direct(T)) for T in steps}
    times = in_turn({str(T): input_gradient(net, x[:32]) for T, (net, x) in nets.items()}, 7)
    least = [times[str(T)][0] for T in steps]
    figures = {str(T): round(v, 1) for T, v in zip(steps, least, strict=True)}
    note("scaling", "ms of a gradient against T", {**figures, "off a straight line": off_line(steps, least)})
    net = nets[8][0]
    for what, make in (("gradient", input_gradient), ("forward", prediction)):
        sizes = [1, 4, 16, 32, 64, 128, 256]
        batches = {str(n): make(net, torch.rand(n, 1, 28, 28)) for n in sizes}
        times = in_turn(batches, 5)
        figures = {str(n): round(times[str(n)][0] / n, 2) for n in sizes}
        note("scaling", f"ms per sample of a {what} against the batch size", figures)
    sizes = [64, 128, 256, 512]
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0.0, 1.0), device_type="cpu")
    images = np.random.default_rng(0).random((512, 1, 28, 28), dtype=np.float32)
    labels = clf.predict(images).argmax(1)

    def attack(samples: int, epsilons: int) -> Callable[[], None]:
        def run() -> None:
            for k in range(epsilons):
                tool = SNNAutoPGD(clf, eps=(k + 1) / 2550, max_iter=5, batch_size=64)
                tool.generate(images[:samples], labels[:samples])

        return run

    times = in_turn({str(n): attack(n, 1) for n in sizes}, 3)
    least = [times[str(n)][0] for n in sizes]
    figures = {str(n): round(v) for n, v in zip(sizes, least, strict=True)}
    note("scaling", "ms of an attack against samples", {**figures, "off a straight line": off_line(sizes, least)})
    counts = [1, 2, 4]
    times = in_turn({str(k): attack(64, k) for k in counts}, 3)
    least = [times[str(k)][0] for k in counts]
    figures = {str(k): round(v) for k, v in zip(counts, least, strict=True)}
    note("scaling", "ms of an attack against epsilons", {**figures, "off a straight line": off_line(counts, least)})


MEMORY = [
    ("sj", 8, 64, "gradient", None), ("fast", 8, 64, "gradient", None), ("sj", 16, 64, "gradient", None),
    ("fast", 16, 64, "gradient", None), ("sj", 16, 64, "forward", None), ("fast", 16, 64, "forward", None),
    ("fast", 8, 1000, "gradient", 256), ("fast", 8, 10000, "gradient", 256), ("fast", 8, 10000, "forward", 256),
]  # fmt: skip


def part_memory() -> None:
    """(f) Peak memory above what the process took before, each in a process of its own."""
    for case in MEMORY:
        command = [sys.executable, __file__, "--peak", json.dumps(case)]
        peak = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])  # noqa: S603
        kind, T, samples, what, limit = case
        bound = "" if limit is None else f", max_memory {limit} MiB"
        note("memory", f"{kind}, T={T}, {samples} samples, {what}{bound}", {"MiB": round(peak)})


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def peak(kind: str, T: int, samples: int, what: str, limit: int | None) -> float:
    net, _ = made("cnn", Direct(T))
    net.max_memory = None if limit is None else limit * 2**20
    model = Plain(net) if kind == "sj" else net
    make = input_gradient if what == "gradient" else prediction
    make(model, torch.rand(2, 1, 28, 28))()
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


def shown(value: Any) -> str:
    return " / ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


def table() -> None:
    rows = [json.loads(line) for line in LINES.read_text().splitlines()]
    for part in PARTS:
        for threads in (1, 2):
            for names in dict.fromkeys(tuple(r)[3:] for r in rows if r["part"] == part and r["threads"] == threads):
                mine = [r for r in rows if r["part"] == part and r["threads"] == threads and tuple(r)[3:] == names]
                print(f"\n{part}, {threads} thread{'s' * (threads > 1)}\n")
                print("| | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
                for row in mine:
                    print(f"| {row['what']} | " + " | ".join(shown(row[name]) for name in names) + " |")


PARTS: dict[str, Callable[[], None]] = {
    "neuron": part_neuron, "network": part_network, "attack": part_attack, "autoattack": part_autoattack,
    "scaling": part_scaling, "memory": part_memory,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        print(peak(*json.loads(options.peak)))
        return
    if options.table:
        table()
        return
    for name in options.parts or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
