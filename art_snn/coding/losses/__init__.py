"""Losses of output trains ``o [T, N, K]``, for training and as attack objectives."""

from art_snn.coding.losses.count import CountLoss, count_loss
from art_snn.coding.losses.kernel import KernelLoss, kernel_loss
from art_snn.coding.losses.latency import LatencyLoss, latency_loss
from art_snn.coding.losses.relative_target import RelativeTargetLoss, relative_target, s4nn_error
from art_snn.coding.losses.tet import TET, tet

__all__ = [
    "TET",
    "CountLoss",
    "KernelLoss",
    "LatencyLoss",
    "RelativeTargetLoss",
    "count_loss",
    "kernel_loss",
    "latency_loss",
    "relative_target",
    "s4nn_error",
    "tet",
]
