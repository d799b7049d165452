r"""Backpropagation through time with any surrogate: :math:`H'(v) := h_\alpha(v)`, :math:`v = u - \theta`.

The training surrogate is often the worst attacker: an adversarially trained network masks its own surrogate. So the
surrogate of an attack is a choice of its own.

Source: Neftci et al. 2019; "Attacking the Spike", arXiv 2209.03358.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from spikingjelly.activation_based import surrogate as sj
from torch import nn

from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy, neurons_to_steer, swapped


class Surrogate(GradientPolicy):
    """Every spiking neuron differentiates with ``surrogate_function`` instead of its own.

    :param surrogate_function: a SpikingJelly surrogate or any module with the same call, spikes forward; never
        modified.
    :param sharpness: its ``alpha``, set on a copy; ``None`` keeps the surrogate's own.
    :raises TypeError: if ``surrogate_function`` is not a module.
    :raises ValueError: if ``sharpness`` is not positive, the surrogate has no ``alpha``, it has parameters, or its
        forward is not the Heaviside step.

    >>> from spikingjelly.activation_based.surrogate import ATan
    >>> Surrogate(ATan(), sharpness=8.0)
    Surrogate(ATan(alpha=8.0, spiking=True))
    """

    def __init__(self, surrogate_function: nn.Module, sharpness: float | None = None) -> None:
        if not isinstance(surrogate_function, nn.Module):
            fix = "pass an instance: Surrogate(surrogate.ATan(alpha=4.0))"
            raise TypeError(explain(repr(surrogate_function), "a surrogate module", fix))
        if any(True for _ in surrogate_function.parameters()):
            fix = "use a surrogate without learnable parameters, so that the state_dict stays as it is"
            raise ValueError(explain("a surrogate with parameters", "a fixed surrogate", fix))
        if not getattr(surrogate_function, "spiking", True):
            fix = "surrogate_function.set_spiking_mode(True)"
            raise ValueError(explain("a surrogate with spiking=False", "one that keeps the spikes", fix))
        if not _fires(surrogate_function):
            fix = "use a surrogate whose forward is the Heaviside step, such as surrogate.ATan()"
            raise ValueError(explain(repr(surrogate_function), "a spike exactly where the membrane is >= 0", fix))
        self.surrogate_function = copy.deepcopy(surrogate_function)
        if sharpness is not None:
            self._sharpen(sharpness)

    def _sharpen(self, sharpness: float) -> None:
        if not hasattr(self.surrogate_function, "alpha"):
            name = type(self.surrogate_function).__name__
            raise ValueError(
                explain(
                    f"sharpness for {name}", "a surrogate with an alpha", f"construct {name} as sharp as you want it"
                )
            )
        if not sharpness > 0:
            raise ValueError(explain(f"sharpness={sharpness}", "a positive number", "pass sharpness=4.0"))
        self.surrogate_function.alpha = float(sharpness)  # type: ignore[assignment]

    def applied(self, net: nn.Module) -> AbstractContextManager[None]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        return swapped(self._replacements(net))

    def _replacements(self, net: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
        for name, node in neurons_to_steer(net, "a surrogate swap").items():
            if isinstance(node.surrogate_function, sj.MultiLevelSpikeCount):
                fix = "attack it with its own surrogate, or with a slope policy"
                raise ValueError(explain(f"{name}, a multi-level neuron", "a neuron with binary spikes", fix))
            yield node, self.surrogate_function

    def __repr__(self) -> str:
        return f"Surrogate({self.surrogate_function})"


def _fires(surrogate_function: nn.Module) -> bool:
    """Whether the forward is the Heaviside step with H(0) = 1, which is what every neuron here spikes with."""
    v = torch.tensor([-2.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 2.0])
    try:
        with torch.no_grad():
            return torch.equal(surrogate_function(v), (v >= 0).to(v.dtype))
    except (RuntimeError, ValueError):
        return False
