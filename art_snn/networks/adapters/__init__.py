"""Bodies from other libraries: snnTorch, Norse, graphs of the format NIR, and any module that passes its state.

The libraries are imported when one of their networks is wrapped.
"""

from art_snn.networks.adapters.nir_graph import from_nir
from art_snn.networks.adapters.norse import NorseBody
from art_snn.networks.adapters.snntorch import SNNTorchBody
from art_snn.networks.adapters.step import SpikeSite, StatePassing

__all__ = ["NorseBody", "SNNTorchBody", "SpikeSite", "StatePassing", "from_nir"]
