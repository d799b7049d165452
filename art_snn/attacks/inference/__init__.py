"""Membership inference: who was in the training set."""

from art_snn.attacks.inference.input_dropout import InputDropoutMIA, dropout_losses
from art_snn.attacks.inference.metrics import MembershipReport, membership_report

__all__ = ["InputDropoutMIA", "MembershipReport", "dropout_losses", "membership_report"]
