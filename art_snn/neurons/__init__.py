"""SpikingJelly-compatible neurons that SpikingJelly lacks."""

from art_snn.neurons.dlif import DLIF
from art_snn.neurons.evolutionary_leak import EvolutionaryLeak
from art_snn.neurons.homeostatic_lif import HomeostaticLIF, record_signature
from art_snn.neurons.random_leak import RandomLeak
from art_snn.neurons.stochastic_gate import StochasticGate
from art_snn.neurons.synaptic_lif import SynapticLIF
from art_snn.neurons.varying_lif import VaryingLIF
from art_snn.neurons.z_linear import ZLinear, weight_sum_penalty, z_linear

__all__ = [
    "DLIF",
    "EvolutionaryLeak",
    "HomeostaticLIF",
    "RandomLeak",
    "StochasticGate",
    "SynapticLIF",
    "VaryingLIF",
    "ZLinear",
    "record_signature",
    "weight_sum_penalty",
    "z_linear",
]
