"""All cases, in the order in which they run and stand on the page."""

from __future__ import annotations

from art_matrix import (  # noqa: F401 - importing registers the cases
    detectors,
    evasion_features,
    evasion_gradient,
    evasion_queries,
    filters,
    measures,
    poisoning,
    privacy,
    trainers,
)
from art_matrix.registry import CASES

__all__ = ["CASES"]
