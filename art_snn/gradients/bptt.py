r"""Backpropagation through time with any surrogate: :math:`H'(v) := h(v)`, :math:`v = u - \theta`.

.. math:: e_t = \delta_t h(v_t) + \lambda \rho_t e_{t+1}, \quad e_{T+1} = 0, \qquad g_t = c\, e_t

with :math:`\rho_t = (1-s_t) + (v_r - u_t) h(v_t)` for a hard and :math:`1 - \theta h(v_t)` for a soft reset; with a
detached reset the terms in :math:`h` drop. The training surrogate is often the worst attacker: an adversarially trained
network masks its own surrogate. So the surrogate of an attack is a choice of its own. Sharper is not always stronger.

Sources: Neftci et al. 2019; "Attacking the Spike", arXiv 2209.03358; straight-through: Bengio et al. 2013.
"""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy, Steered
from art_snn.gradients.neurons import followers, refuse, swapped
from art_snn.gradients.slopes import MembraneSlope
from art_snn.gradients.spike import Slope, SpikeFunction, spike, surrogate

TEMPORAL_CHAINS = ("full", "none")


class Surrogate(GradientPolicy):
    r"""Every spiking neuron differentiates with ``surrogate_function`` instead of its own.

    :param surrogate_function: a name for :func:`~art_snn.gradients.spike.surrogate`, or a surrogate of SpikingJelly, or
        any module with the same call, spikes forward; it is copied, never modified.
    :param sharpness: its ``alpha``; ``None`` keeps the surrogate's own.
    :param detach_reset: whether the reset is left out of the gradient; ``None``: as each neuron says.
    :param temporal_chain: ``full``, or ``none``: :math:`e_t = \delta_t h(v_t)`, the membrane carries no gradient. For
        IF, LIF and PLIF neurons.
    :raises TypeError: if ``surrogate_function`` is neither a name nor a module.
    :raises ValueError: if ``sharpness`` is not positive, the surrogate has no ``alpha``, it has parameters, or its
        forward is not the Heaviside step.

    >>> Surrogate("atan", 8.0)
    Surrogate(surrogate('atan', 8.0))
    >>> from spikingjelly.activation_based.surrogate import ATan
    >>> Surrogate(ATan(), sharpness=8.0)
    Surrogate(ATan(alpha=8.0, spiking=True))
    """

    def __init__(
        self,
        surrogate_function: nn.Module | str,
        sharpness: float | None = None,
        *,
        detach_reset: bool | None = None,
        temporal_chain: str = "full",
    ) -> None:
        if temporal_chain not in TEMPORAL_CHAINS:
            came = f"temporal_chain={temporal_chain!r}"
            raise ValueError(explain(came, f"one of {TEMPORAL_CHAINS}", "temporal_chain='full'"))
        if temporal_chain == "none" and detach_reset is not None:
            fix = "leave detach_reset out: without a chain there is no reset term"
            raise ValueError(explain("detach_reset with temporal_chain='none'", "one of the two", fix))
        self.surrogate_function = _ready(surrogate_function, sharpness)
        self.detach_reset = detach_reset
        self.temporal_chain = temporal_chain

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        nodes = followers(net, repr(self))
        if self.temporal_chain == "none":
            MembraneSlope(self.surrogate_function).check(net)
        for name, node in nodes.items():
            if self.detach_reset is not None and not hasattr(node, "detach_reset"):
                refuse(name, node, repr(self), "a neuron with a detach_reset", "leave detach_reset=None")

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        if self.temporal_chain == "none":
            return MembraneSlope(self.surrogate_function).steer(net, draw)
        nodes = followers(net, repr(self)).values()
        return swapped(dict.fromkeys(nodes, self.surrogate_function), self.detach_reset)

    def __repr__(self) -> str:
        extra = "" if self.detach_reset is None else f", detach_reset={self.detach_reset}"
        extra += "" if self.temporal_chain == "full" else f", temporal_chain={self.temporal_chain!r}"
        return f"{type(self).__name__}({self.surrogate_function}{extra})"


class StraightThrough(Surrogate):
    r"""Straight-through: :math:`h(v) = 1`, or :math:`1[|v| \le clip]`.

    Gradients grow with depth and time, so an attack normalizes them per sample before it steps. With an attached reset
    :math:`\rho_t = (1 - s_t) - u_t` grows without bound, hence the default.

    :param clip: half width of the window; ``None`` for none.
    :param detach_reset: whether the reset is left out of the gradient; ``None``: as each neuron says.
    :raises ValueError: if ``clip`` is not positive.

    >>> StraightThrough(clip=1.0)
    StraightThrough(clip=1.0)
    """

    def __init__(self, clip: float | None = None, *, detach_reset: bool | None = True) -> None:
        if clip is not None and not (clip > 0 and math.isfinite(clip)):
            raise ValueError(explain(f"clip={clip}", "a positive half width, or None", "StraightThrough(clip=1.0)"))
        super().__init__(surrogate("identity") if clip is None else _Window(clip), detach_reset=detach_reset)
        self.clip = clip

    def __repr__(self) -> str:
        return f"StraightThrough(clip={self.clip})"


class _Window(nn.Module):
    """Slope 1 within ``clip`` of the threshold, edges included."""

    def __init__(self, clip: float) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, v: Tensor) -> Tensor:
        return spike(v, self.slope)

    def slope(self, v: Tensor) -> Tensor:
        return (v.abs() <= self.clip).to(v.dtype)

    def fusible(self) -> Slope:
        return Slope(self.slope)


def _ready(surrogate_function: nn.Module | str, sharpness: float | None) -> nn.Module:
    """A checked copy of the surrogate, as sharp as asked."""
    if isinstance(surrogate_function, str):
        return surrogate(surrogate_function, sharpness)
    if not isinstance(surrogate_function, nn.Module):
        fix = "pass an instance or a name: Surrogate(surrogate.ATan(alpha=4.0)), Surrogate('atan', 4.0)"
        raise TypeError(explain(repr(surrogate_function), "a surrogate module", fix))
    if any(True for _ in surrogate_function.parameters()):
        fix = "use a surrogate without learnable parameters, so that the state_dict stays as it is"
        raise ValueError(explain("a surrogate with parameters", "a fixed surrogate", fix))
    if not getattr(surrogate_function, "spiking", True):
        fix = "surrogate_function.set_spiking_mode(True)"
        raise ValueError(explain("a surrogate with spiking=False", "one that keeps the spikes", fix))
    if not _fires(surrogate_function):
        fix = "use a surrogate whose forward is the Heaviside step, such as surrogate('atan')"
        raise ValueError(explain(repr(surrogate_function), "a spike exactly where the membrane is >= 0", fix))
    if sharpness is None:
        return copy.deepcopy(surrogate_function)
    if isinstance(surrogate_function, SpikeFunction):
        return surrogate(surrogate_function.family, sharpness)
    return _sharpened(copy.deepcopy(surrogate_function), sharpness)


def _fires(surrogate_function: nn.Module) -> bool:
    """Whether the forward is the Heaviside step with H(0) = 1, which is what every neuron here spikes with."""
    v = torch.tensor([-2.0, -0.5, -1e-6, 0.0, 1e-6, 0.5, 2.0])
    try:
        with torch.no_grad():
            return torch.equal(surrogate_function(v), (v >= 0).to(v.dtype))
    except (RuntimeError, ValueError):
        return False


def _sharpened(surrogate_function: nn.Module, sharpness: float) -> nn.Module:
    name = type(surrogate_function).__name__
    if not hasattr(surrogate_function, "alpha"):
        fix = f"construct {name} as sharp as you want it"
        raise ValueError(explain(f"sharpness for {name}", "a surrogate with an alpha", fix))
    if not (sharpness > 0 and math.isfinite(sharpness)):
        raise ValueError(explain(f"sharpness={sharpness}", "a positive number", "pass sharpness=4.0"))
    surrogate_function.alpha = float(sharpness)  # type: ignore[assignment]
    return surrogate_function
