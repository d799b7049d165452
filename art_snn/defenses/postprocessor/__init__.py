"""Postprocessors for ART: what happens to logits after the network, outside every gradient."""

from art_snn.defenses.postprocessor.softmax import Softmax

__all__ = ["Softmax"]
