"""Spike codes: inputs to spike trains and back to logits.

Everything here needs torch only (pictures need matplotlib). Each code is a pure function with a thin class beside it.
"""

from art_snn.coding.back_projection import project_events
from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.burst import Burst, burst
from art_snn.coding.count import SpikeCount, spike_count
from art_snn.coding.delta import Delta, delta
from art_snn.coding.direct import Direct, Quantized, direct, quantize
from art_snn.coding.early_exit import EarlyExit, accuracy_over_time, exit_time, logits_over_time
from art_snn.coding.filtered import Filtered, psp
from art_snn.coding.first_spike import FirstSpike, decide, decision_time, first_spike, no_decision_rate, tie_rate
from art_snn.coding.frames import EventFrames, bin_events, event_bins, event_frames
from art_snn.coding.frequency import Frequency, frequency
from art_snn.coding.fusion import Fusion
from art_snn.coding.latency import Latency, latency
from art_snn.coding.losses import (
    TET,
    CountLoss,
    KernelLoss,
    LatencyLoss,
    RelativeTargetLoss,
    count_loss,
    kernel_loss,
    latency_loss,
    relative_target,
    s4nn_error,
    tet,
)
from art_snn.coding.mean_over_time import MeanOverTime
from art_snn.coding.membrane import (
    MeanCurrent,
    MembraneLast,
    MembraneMax,
    MembraneMean,
    membrane_last,
    membrane_max,
    membrane_mean,
)
from art_snn.coding.perturb import drop_frames, drop_spikes, jitter, time_warp
from art_snn.coding.phase import WeightedPhase, phase
from art_snn.coding.plots import count_histogram, latency_histogram, raster
from art_snn.coding.poisson import Poisson, SignedPoisson, poisson, signed_poisson
from art_snn.coding.population import Population, population
from art_snn.coding.randomized import FrameDrop, SpikeDropout, SpikeJitter, TimeWarp
from art_snn.coding.rank_order import RankOrder, rank_order
from art_snn.coding.spike_camera import TFI, TFP, SpikeCamera, spike_camera, tfi, tfp
from art_snn.coding.time_weighted import TimeWeighted, time_weighted
from art_snn.coding.timing import Timing, spike_bin
from art_snn.coding.trains import spike_times, van_rossum, victor_purpura
from art_snn.coding.transform import SpikeTransform, Transformed, spike_transform
from art_snn.coding.windows import EarlyBurst, LateBurst, RateSyn, early_burst, late_burst, rate_syn
from art_snn.coding.z_time import ZTime, z_time

__all__ = [
    "TET",
    "TFI",
    "TFP",
    "Burst",
    "CountLoss",
    "Decoder",
    "Delta",
    "Direct",
    "EarlyBurst",
    "EarlyExit",
    "Encoder",
    "EventFrames",
    "Filtered",
    "FirstSpike",
    "FrameDrop",
    "Frequency",
    "Fusion",
    "KernelLoss",
    "LateBurst",
    "Latency",
    "LatencyLoss",
    "MeanCurrent",
    "MeanOverTime",
    "MembraneLast",
    "MembraneMax",
    "MembraneMean",
    "Poisson",
    "Population",
    "Quantized",
    "RankOrder",
    "RateSyn",
    "RelativeTargetLoss",
    "SignedPoisson",
    "SpikeCamera",
    "SpikeCount",
    "SpikeDropout",
    "SpikeJitter",
    "SpikeTransform",
    "TimeWarp",
    "TimeWeighted",
    "Timing",
    "Transformed",
    "WeightedPhase",
    "ZTime",
    "accuracy_over_time",
    "bin_events",
    "burst",
    "count_histogram",
    "count_loss",
    "decide",
    "decision_time",
    "delta",
    "direct",
    "drop_frames",
    "drop_spikes",
    "early_burst",
    "event_bins",
    "event_frames",
    "exit_time",
    "first_spike",
    "frequency",
    "jitter",
    "kernel_loss",
    "late_burst",
    "latency",
    "latency_histogram",
    "latency_loss",
    "logits_over_time",
    "membrane_last",
    "membrane_max",
    "membrane_mean",
    "no_decision_rate",
    "phase",
    "poisson",
    "population",
    "project_events",
    "psp",
    "quantize",
    "rank_order",
    "raster",
    "rate_syn",
    "relative_target",
    "s4nn_error",
    "signed_poisson",
    "spike_bin",
    "spike_camera",
    "spike_count",
    "spike_times",
    "spike_transform",
    "tet",
    "tfi",
    "tfp",
    "tie_rate",
    "time_warp",
    "time_weighted",
    "van_rossum",
    "victor_purpura",
    "z_time",
]
