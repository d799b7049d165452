"""The folder in which ART's test files run: a copy of its ``tests``, the weights they load, the data they read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import nn

MODELS = Path("utils") / "resources" / "models"
_IRIS_EPOCHS = 400


def prepare(work: Path, source: Path, weights: Path | None, mnist: Path | None) -> Path:
    """Fill ``work``; what is already there is kept.

    :param source: an unpacked source distribution of ART, or a clone of its repository.
    :param weights: folder with the reference weights ``*.npy``; those of ``source`` where it has them.
    :param mnist: Keras' ``mnist.npz``; without it ART downloads the data.
    :raises FileNotFoundError: if ``source`` has no ``tests``, or there are no reference weights.
    """
    if not (source / "tests" / "utils.py").is_file():
        raise FileNotFoundError(f"no ART tests in {source}: pass the unpacked source distribution of ART")
    if not (work / "tests").exists():
        shutil.copytree(source / "tests", work / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    (work / MODELS).mkdir(parents=True, exist_ok=True)
    for folder in (source / MODELS, weights):
        for file in sorted(folder.glob("*.npy")) if folder is not None else ():
            shutil.copyfile(file, work / MODELS / file.name)
    if not (work / MODELS / "W_CONV2D_MNIST.npy").exists():
        raise FileNotFoundError("no reference weights: pass --weights FOLDER with ART's utils/resources/models/*.npy")
    if not (work / MODELS / "W_DENSE1_IRIS.npy").exists():
        _iris_weights(work / MODELS)
    return _home(work, mnist)


def _home(work: Path, mnist: Path | None) -> Path:
    """A home folder of its own, so that ART's configuration and data of the user stay as they are."""
    home = work / "home"
    data = home / ".art" / "data"
    data.mkdir(parents=True, exist_ok=True)
    (home / ".art" / "config.json").write_text(json.dumps({"ART_DATA_PATH": str(data.resolve())}))
    if mnist is not None and not (data / "mnist.npz").exists():
        shutil.copyfile(mnist, data / "mnist.npz")
    return home


def _iris_weights(folder: Path) -> None:
    """Weights for ART's tabular network (4-10-10-3, linear) where its own are missing: trained on iris."""
    from sklearn.datasets import load_iris

    iris = load_iris()
    x = torch.tensor(iris.data / iris.data.max(), dtype=torch.float32)
    y = torch.tensor(iris.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 10), nn.Linear(10, 10), nn.Linear(10, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(_IRIS_EPOCHS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    for number, layer in enumerate(net, start=1):
        np.save(folder / f"W_DENSE{number}_IRIS.npy", layer.weight.detach().numpy().T)
        np.save(folder / f"B_DENSE{number}_IRIS.npy", layer.bias.detach().numpy())
