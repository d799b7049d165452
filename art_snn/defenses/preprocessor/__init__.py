"""Transforms of spike trains as ART preprocessors, each with an honest backward pass."""

from art_snn.coding.randomized import FrameDrop, SpikeDropout, SpikeJitter, TimeWarp
from art_snn.coding.transform import SpikeTransform, Transformed, spike_transform
from art_snn.defenses.preprocessor.base import SpikePreprocessor
from art_snn.defenses.preprocessor.filters import (
    BackgroundActivityFilter,
    QuantizedCorrelationFilter,
    RefractoryFilter,
)
from art_snn.defenses.preprocessor.smoothing import TemporalSmoothing

__all__ = [
    "BackgroundActivityFilter",
    "FrameDrop",
    "QuantizedCorrelationFilter",
    "RefractoryFilter",
    "SpikeDropout",
    "SpikeJitter",
    "SpikePreprocessor",
    "SpikeTransform",
    "TemporalSmoothing",
    "TimeWarp",
    "Transformed",
    "spike_transform",
]
