"""ANN-to-SNN conversion: quantized activations, exact integrate-and-fire counterparts, and error calibration."""

from art_snn.conversion.convert import convert
from art_snn.conversion.encoders import EncoderWarning, check_same_encoder, warn_redeployed
from art_snn.conversion.folding import fold_batch_norm
from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.latency import Operations, StepCount, latency, operations
from art_snn.conversion.methods import COS, METHODS, SRP, LocalThresholdBalancing, Method, Plain, RateCoding
from art_snn.conversion.neurons import COSIF, SRPIF, ConvertedIF, SpikingActivation
from art_snn.conversion.noise import EmpiricalNoise, GaussianNoise, Noise, UniformNoise
from art_snn.conversion.qcfs import QCFS, qcfs
from art_snn.conversion.replace import replace_activations
from art_snn.conversion.residuals import count_error, layer_residuals
from art_snn.conversion.robust import robust_convert
from art_snn.conversion.robust_training import fine_tune, mart_loss, trades_loss
from art_snn.conversion.thresholds import percentile

__all__ = [
    "COS",
    "COSIF",
    "METHODS",
    "QCFS",
    "SRP",
    "SRPIF",
    "ConvertedIF",
    "EmpiricalNoise",
    "EncoderWarning",
    "GaussianNoise",
    "LayerGraph",
    "LocalThresholdBalancing",
    "Method",
    "Noise",
    "Operations",
    "Plain",
    "RateCoding",
    "SpikingActivation",
    "StepCount",
    "UniformNoise",
    "check_same_encoder",
    "convert",
    "count_error",
    "fine_tune",
    "fold_batch_norm",
    "latency",
    "layer_residuals",
    "mart_loss",
    "operations",
    "percentile",
    "qcfs",
    "replace_activations",
    "robust_convert",
    "trades_loss",
    "warn_redeployed",
]
