"""Sweeps: many comparisons from one file, cell by cell, on one core, on all, or on a cluster."""

from art_snn.evaluation.sweep.config import Sweep, read_sweep
from art_snn.evaluation.sweep.run import InterruptedSweepError, SweepResult, run_sweep

__all__ = ["InterruptedSweepError", "Sweep", "SweepResult", "read_sweep", "run_sweep"]
