"""Train the reference networks of the benchmarks on scikit-learn's digits, from fixed seeds, on the CPU.

    python benchmarks/train_reference.py [--only NAME] [--out benchmarks/models]

Split of the images (:func:`digits_split`): stratified, 997 images to train on, 400 to calibrate attacks on, 400 to
evaluate on. Split of the event frames (:func:`events_split`): 897, 400, and the 500 test samples of the data set
``events``. Every network here is trained on the first part only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from art_snn.coding import Direct, EventFrames, Latency, MembraneMean, Poisson
from art_snn.data import event_digits
from art_snn.data.recordings import CAMERA, FRAMES
from art_snn.networks import ann_twin, cnn, mlp, save

OUT = Path(__file__).parent / "models"
SHAPE = (1, 8, 8)


def digits_split() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """``train``, ``calibration`` and ``evaluation``: images [N, 1, 8, 8] in [0, 1] and labels."""
    data = load_digits()
    x = (data.images[:, None] / 16.0).astype(np.float32)
    y = data.target.astype(np.int64)
    rest, test = train_test_split(np.arange(len(y)), test_size=400, stratify=y, random_state=0)
    train, calibration = train_test_split(rest, test_size=400, stratify=y[rest], random_state=1)
    parts = {"train": train, "calibration": calibration, "evaluation": test}
    return {name: (x[index], y[index]) for name, index in parts.items()}


def events_split() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """``train``, ``calibration`` and ``evaluation``: event frames [N, T, 2, H, W] in {0, 1} and labels."""
    data = event_digits()
    rows = np.arange(len(data.y_train))
    train, calibration = train_test_split(rows, test_size=400, stratify=data.y_train, random_state=1)
    parts = {"train": train, "calibration": calibration}
    halves = {name: (data.x_train[index], data.y_train[index]) for name, index in parts.items()}
    return {**halves, "evaluation": (data.x_test, data.y_test)}


def spiking(encoder: nn.Module, surrogate_function: str = "atan", neuron: str = "lif") -> nn.Module:
    """Convolution, neuron, convolution, neuron, linear, neuron, linear; the mean output current is the logit."""
    return cnn(
        SHAPE, 10, channels=(16, 32), hidden=64, batch_norm=False, encoder=encoder, decoder=MembraneMean(tau=1.0),
        neuron=neuron, surrogate_function=surrogate_function, seed=0,
    )  # fmt: skip


def spiking_on_events() -> nn.Module:
    """Linear, neuron, linear, neuron, linear on every event frame; the mean output current is the logit."""
    code, readout = EventFrames(T=FRAMES), MembraneMean(tau=1.0)
    return mlp((2, *CAMERA.size), 10, hidden=(96, 96), encoder=code, decoder=readout, seed=0)


MODELS: dict[str, tuple[Callable[[], nn.Module], float, int]] = {
    "digits_ann": (lambda: ann_twin(spiking(Direct(T=6))), 0.0, 60),
    "digits_snn_direct": (lambda: spiking(Direct(T=6)), 0.0, 60),
    "digits_snn_poisson": (lambda: spiking(Poisson(T=16, seed=0)), 0.0, 60),
    "digits_snn_latency": (lambda: spiking(Latency(T=8, convention="floor"), neuron="if"), 0.0, 60),
    "digits_snn_direct_at": (lambda: spiking(Direct(T=6), "triangle"), 0.12, 120),
    "digits_ann_at": (lambda: ann_twin(spiking(Direct(T=6))), 0.12, 120),
    "digits_events_snn": (spiking_on_events, 0.0, 40),
}
"""Builder, epsilon of adversarial training (0: none), epochs."""


def perturbed(net: nn.Module, x: Tensor, y: Tensor, eps: float, generator: torch.Generator, steps: int = 4) -> Tensor:
    """PGD with the network's own surrogate, from a random start, step ``eps / 2``."""
    start = torch.empty_like(x).uniform_(-eps, eps, generator=generator)
    point = (x + start).clamp(0, 1)
    for _ in range(steps):
        point.requires_grad_(True)
        grad = torch.autograd.grad(nn.functional.cross_entropy(net(point), y, reduction="sum"), point)[0]
        point = point.detach() + eps / 2 * grad.sign()
        point = torch.min(torch.max(point, x - eps), x + eps).clamp(0, 1)
    return point


def train(net: nn.Module, x: Tensor, y: Tensor, eps: float, epochs: int, seed: int = 0) -> nn.Module:
    """Adam with a cosine schedule, batches of 64; on PGD examples alone where ``eps`` is not 0."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    net.train()
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(64):
            inputs = perturbed(net, x[index], y[index], eps, generator) if eps else x[index]
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), y[index]).backward()
            optimizer.step()
        schedule.step()
    return net.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(MODELS), help="train one network instead of all")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the .safetensors files")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name, (build, eps, epochs) in MODELS.items():
        if chosen.only in (None, name):
            split = events_split() if "events" in name else digits_split()
            parts = {part: (torch.tensor(x), torch.tensor(y)) for part, (x, y) in split.items()}
            net = train(build(), *parts["train"], eps, epochs)
            x, y = parts["evaluation"]
            with torch.no_grad():
                accuracy = float((net(x).argmax(1) == y).double().mean())
            path = save(net, chosen.out / f"{name}.safetensors")
            print(f"{name}: accuracy {accuracy:.4f}, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
