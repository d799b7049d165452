"""Conformance checks for components of one's own, one file per kind of component, one function per contract."""

from art_snn.testing.conformance.attacks import ATTACK, check_attack
from art_snn.testing.conformance.contracts import ConformanceError, Contract, Contracts
from art_snn.testing.conformance.decoders import DECODER, check_decoder
from art_snn.testing.conformance.defenses import DEFENSE, check_defense
from art_snn.testing.conformance.encoders import ENCODER, check_encoder
from art_snn.testing.conformance.estimators import ESTIMATOR, check_estimator
from art_snn.testing.conformance.policies import POLICY, check_policy

KINDS: tuple[Contracts, ...] = (ENCODER, DECODER, POLICY, ESTIMATOR, ATTACK, DEFENSE)
"""The contracts of every kind of component."""

__all__ = [
    "ATTACK",
    "DECODER",
    "DEFENSE",
    "ENCODER",
    "ESTIMATOR",
    "KINDS",
    "POLICY",
    "ConformanceError",
    "Contract",
    "Contracts",
    "check_attack",
    "check_decoder",
    "check_defense",
    "check_encoder",
    "check_estimator",
    "check_policy",
]
