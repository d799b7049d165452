"""SpikingJelly-compatible neurons that SpikingJelly lacks."""

from art_snn.neurons.synaptic_lif import SynapticLIF

__all__ = ["SynapticLIF"]
