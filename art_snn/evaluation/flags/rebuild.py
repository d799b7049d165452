"""An ART classifier around another module, with everything else as it was."""

from __future__ import annotations

from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.networks.twin import ann_twin


def rebuilt(classifier: PyTorchClassifier, module: nn.Module | None = None) -> PyTorchClassifier:
    """What ART's APGD, ACG and Brendel-Bethge make of a classifier: a new one around its module, or another one."""
    return PyTorchClassifier(
        model=classifier.model if module is None else module, loss=classifier._loss,
        input_shape=classifier.input_shape, nb_classes=classifier.nb_classes, optimizer=None,
        channels_first=classifier.channels_first, clip_values=classifier.clip_values,
        preprocessing_defences=classifier.preprocessing_defences,
        postprocessing_defences=classifier.postprocessing_defences, preprocessing=classifier.preprocessing,
        device_type="cpu" if str(classifier.device) == "cpu" else "gpu",
    )  # fmt: skip


def relu_twin(classifier: PyTorchClassifier) -> PyTorchClassifier | None:
    """The network of the same weights with ReLU for every spiking neuron; ``None`` where there is none."""
    if not isinstance(classifier.model, SpikingNetwork):
        return None
    try:
        return rebuilt(classifier, ann_twin(classifier.model).to(classifier.device).eval())
    except (ValueError, RuntimeError, TypeError, AttributeError):
        return None
