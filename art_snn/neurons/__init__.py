"""SpikingJelly-compatible neurons that SpikingJelly lacks."""

from art_snn.neurons.synaptic_lif import SynapticLIF
from art_snn.neurons.z_linear import ZLinear, weight_sum_penalty, z_linear

__all__ = ["SynapticLIF", "ZLinear", "weight_sum_penalty", "z_linear"]
