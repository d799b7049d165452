"""Models for tests of tests: planted faults that an evaluation has to find, and honest ones it must leave in peace."""

from art_snn.testing.canaries import CANARIES, Canary

__all__ = ["CANARIES", "Canary"]
