"""What a model is, in a few words that a report can print."""

from __future__ import annotations

from typing import Any

from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.conversion.qcfs import QCFS
from art_snn.networks import SpikingNetwork
from art_snn.neurons import StochasticGate
from art_snn.spiking import spiking_neurons


def card(classifier: PyTorchClassifier) -> dict[str, Any]:
    """Parameters, layers, neurons, codes and what stands in front of a classifier, JSON-ready."""
    model = classifier.model
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": sum(isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in model.modules()),
        "in front": [type(part).__name__ for part in classifier.preprocessing_defences or []],
    }
    if isinstance(model, SpikingNetwork):
        found |= {"T": model.T, "encoder": repr(model.encoder), "decoder": repr(model.decoder)}
        found |= {"backward": model.encoder.backward, "random": bool(model.is_stochastic)}
    found["activation"] = _activation(model)
    return found


def _activation(model: nn.Module) -> str:
    neurons = list(spiking_neurons(model).values())
    if neurons:
        node: Any = neurons[0]
        reset = "soft reset" if getattr(node, "v_reset", 0.0) is None else "hard reset"
        gate = ", StochasticGate" if any(isinstance(module, StochasticGate) for module in model.modules()) else ""
        return f"{type(node).__name__}{gate}, {reset}, surrogate {type(node.surrogate_function).__name__}"
    if any(isinstance(module, QCFS) for module in model.modules()):
        levels = next(module.levels for module in model.modules() if isinstance(module, QCFS))
        return f"quantized, {levels} levels"
    return "ReLU" if any(isinstance(module, nn.ReLU) for module in model.modules()) else "other"
