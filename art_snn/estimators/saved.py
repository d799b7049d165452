"""Files that ART's ``PyTorchClassifier.save`` wrote: weights and optimizer state, read without unpickling objects."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from art_snn.errors import explain


def read_saved(stem: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, device: torch.device) -> None:
    """Fill ``model`` from ``<stem>.model``, and ``optimizer`` from ``<stem>.optimizer`` where both are there.

    :raises FileNotFoundError: if there are no weights.
    """
    weights, state = (stem.with_name(f"{stem.name}.{part}") for part in ("model", "optimizer"))
    if not weights.is_file():
        raise FileNotFoundError(
            explain(f"no file {weights}", "a classifier saved with save(filename, path)", "check the path")
        )
    model.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    if optimizer is not None and state.is_file():
        optimizer.load_state_dict(torch.load(state, map_location=device, weights_only=True))
