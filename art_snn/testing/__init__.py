"""For those who build on this: conformance checks of components, and models with planted faults for tests of tests."""

from art_snn.testing.canaries import CANARIES, Canary
from art_snn.testing.conformance import (
    ConformanceError,
    check_attack,
    check_decoder,
    check_defense,
    check_encoder,
    check_estimator,
    check_policy,
)

__all__ = [
    "CANARIES",
    "Canary",
    "ConformanceError",
    "check_attack",
    "check_decoder",
    "check_defense",
    "check_encoder",
    "check_estimator",
    "check_policy",
]
