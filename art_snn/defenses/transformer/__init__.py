"""Transformer defenses: a trained classifier in, a more robust one out."""

from art_snn.defenses.transformer.robust_conversion import RobustConversion

__all__ = ["RobustConversion"]
