"""Spiking networks as ART estimators."""

from art_snn.estimators.smoothing import Certified, SmoothedSNN
from art_snn.estimators.snn_classifier import SNNClassifier

__all__ = ["Certified", "SNNClassifier", "SmoothedSNN"]
