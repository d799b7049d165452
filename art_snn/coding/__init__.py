"""Spike codes: inputs to spike trains and back to logits.

Everything here needs torch only. Each code is a pure function with a thin class beside it.
"""

from art_snn.coding.base import Decoder, Encoder
from art_snn.coding.count import SpikeCount, spike_count
from art_snn.coding.direct import Direct, direct
from art_snn.coding.first_spike import FirstSpike, decision_time, first_spike, tie_rate
from art_snn.coding.frames import EventFrames, event_frames
from art_snn.coding.latency import Latency, latency
from art_snn.coding.membrane import MembraneMean, membrane_mean
from art_snn.coding.poisson import Poisson, poisson
from art_snn.coding.timing import spike_bin

__all__ = [
    "Decoder",
    "Direct",
    "Encoder",
    "EventFrames",
    "FirstSpike",
    "Latency",
    "MembraneMean",
    "Poisson",
    "SpikeCount",
    "decision_time",
    "direct",
    "event_frames",
    "first_spike",
    "latency",
    "membrane_mean",
    "poisson",
    "spike_bin",
    "spike_count",
    "tie_rate",
]
