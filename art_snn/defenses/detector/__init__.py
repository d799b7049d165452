"""Detectors of adversarial samples, as ART detectors."""

from art_snn.defenses.detector.roc import DetectionCurve, detection_curve
from art_snn.defenses.detector.spike_timing import SpikeTimingDetector

__all__ = ["DetectionCurve", "SpikeTimingDetector", "detection_curve"]
