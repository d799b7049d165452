"""How a gradient crosses a spike: policies that change the backward pass and never the forward."""

from art_snn.gradients.base import GradientPolicy
from art_snn.gradients.surrogate import Surrogate

__all__ = ["GradientPolicy", "Surrogate"]
