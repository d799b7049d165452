"""The spiking network as one pure module, a small zoo, its non-spiking twins, and storage."""

from art_snn.networks.body import step_mode_mismatches
from art_snn.networks.cnn import cnn
from art_snn.networks.mlp import mlp
from art_snn.networks.operations import LayerOperations, OperationCounter, counting
from art_snn.networks.recording import Recording, recorded
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.networks.storage import describe, load, save
from art_snn.networks.twin import AnalogNetwork, ann_twin, plain_layers

__all__ = [
    "AnalogNetwork",
    "LayerOperations",
    "OperationCounter",
    "Recording",
    "SpikingNetwork",
    "ann_twin",
    "cnn",
    "counting",
    "describe",
    "load",
    "mlp",
    "plain_layers",
    "recorded",
    "save",
    "step_mode_mismatches",
]
