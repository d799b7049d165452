"""Where calibration pays: a deeper MNIST network, few steps, accuracy on the whole test set.

    python examples/conversion_depth.py --out runs/depth

Seven spiking layers: unevenness grows from layer to layer, and with it what SRP and COS can repair. Some minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import art.config
import torch
from convert_and_attack import train
from torch import Tensor, nn

from art_snn import convert, data, replace_activations
from art_snn.conversion import COS, SRP, latency
from art_snn.networks import load, save

ROWS = (
    ("qcfs", (1, 2, 4, 8, 16)), (SRP(pre=4), (1, 2, 4)), (SRP(pre=8), (1, 2, 4)), (SRP(pre=8, certain=False), (2,)),
    (COS(pre=4), (1, 2, 4)), (COS(pre=8), (1, 2, 4)),
)  # fmt: skip


def network(width: int = 12) -> nn.Sequential:
    """Six 3 x 3 convolutions, every other one with stride 2, and a hidden layer of 64."""
    layers: list[nn.Module] = []
    channels = (1, width, width, 2 * width, 2 * width, 2 * width, 2 * width)
    for index in range(6):
        before, after = channels[index : index + 2]
        layers += [nn.Conv2d(before, after, 3, 2 - index % 2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * width, 64), nn.ReLU(), nn.Linear(64, 10))


def quantized(folder: Path, x: Tensor, y: Tensor, levels: int) -> nn.Module:
    """The QNN of this depth; trained once and kept in ``folder``."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    ann: nn.Module = network()
    path = folder / "ann.safetensors"
    if path.exists():
        load(path, into=ann)
    else:
        save(train(ann, x, y, 4, 0.05, seed=0), path)
    qnn: nn.Module = replace_activations(ann.eval(), levels, calibration=x[:512])
    path = folder / f"qnn-{levels}.safetensors"
    if path.exists():
        return load(path, into=qnn)
    save(train(qnn, x, y, 8, 0.02, seed=0), path)
    return qnn


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    with torch.no_grad():
        hits = sum(int((model(a).argmax(1) == b).sum()) for a, b in zip(x.split(1000), y.split(1000), strict=True))
    return 100 * hits / len(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/depth"), help="folder for networks")
    parser.add_argument("--data", type=Path, help="ART data folder that has mnist.npz; ART's own by default")
    parser.add_argument("--levels", type=int, default=16)
    parser.add_argument("--train", type=int, default=20_000)
    args = parser.parse_args()
    if args.data:
        art.config.set_data_path(str(args.data))
    mnist = data.load("mnist")
    qnn = quantized(args.out, torch.tensor(mnist.x_train[: args.train]), torch.tensor(mnist.y_train[: args.train]),
                    args.levels)  # fmt: skip
    x, y = torch.tensor(mnist.x_test), torch.tensor(mnist.y_test)
    print(f"| network, L = {args.levels} | T | all steps | accuracy % |\n|---|---|---|---|")
    print(f"| qnn | - | - | {accuracy(qnn, x, y):.2f} |", flush=True)
    for method, steps in ROWS:
        for T in steps:
            net = convert(qnn, T, method)
            print(f"| {method} | {T} | {latency(net)} | {accuracy(net, x, y):.2f} |", flush=True)


if __name__ == "__main__":
    main()
