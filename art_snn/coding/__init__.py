"""Spike codes: inputs to spike trains and back to logits.

Everything here needs torch only. Each code is a pure function with a thin class beside it.
"""

from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.burst import Burst, burst
from art_snn.coding.count import SpikeCount, spike_count
from art_snn.coding.delta import Delta, delta
from art_snn.coding.direct import Direct, Quantized, direct, quantize
from art_snn.coding.filtered import Filtered, psp
from art_snn.coding.first_spike import FirstSpike, decision_time, first_spike, tie_rate
from art_snn.coding.frames import EventFrames, bin_events, event_frames
from art_snn.coding.frequency import Frequency, frequency
from art_snn.coding.fusion import Fusion
from art_snn.coding.latency import Latency, latency
from art_snn.coding.membrane import MembraneMean, membrane_mean
from art_snn.coding.phase import WeightedPhase, phase
from art_snn.coding.poisson import Poisson, SignedPoisson, poisson, signed_poisson
from art_snn.coding.population import Population, population
from art_snn.coding.rank_order import RankOrder, rank_order
from art_snn.coding.spike_camera import TFI, TFP, SpikeCamera, spike_camera, tfi, tfp
from art_snn.coding.timing import Timing, spike_bin
from art_snn.coding.windows import EarlyBurst, LateBurst, RateSyn, early_burst, late_burst, rate_syn

__all__ = [
    "TFI",
    "TFP",
    "Burst",
    "Decoder",
    "Delta",
    "Direct",
    "EarlyBurst",
    "Encoder",
    "EventFrames",
    "Filtered",
    "FirstSpike",
    "Frequency",
    "Fusion",
    "LateBurst",
    "Latency",
    "MembraneMean",
    "Poisson",
    "Population",
    "Quantized",
    "RankOrder",
    "RateSyn",
    "SignedPoisson",
    "SpikeCamera",
    "SpikeCount",
    "Timing",
    "WeightedPhase",
    "bin_events",
    "burst",
    "decision_time",
    "delta",
    "direct",
    "early_burst",
    "event_frames",
    "first_spike",
    "frequency",
    "late_burst",
    "latency",
    "membrane_mean",
    "phase",
    "poisson",
    "population",
    "psp",
    "quantize",
    "rank_order",
    "rate_syn",
    "signed_poisson",
    "spike_bin",
    "spike_camera",
    "spike_count",
    "tfi",
    "tfp",
    "tie_rate",
]
