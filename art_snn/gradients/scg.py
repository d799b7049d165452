r"""Spike-compatible gradient: the gradient of a network whose last hidden layer fires at another threshold.

.. math:: s_t = H(u_t - \theta_{pen}), \qquad h(u) = 1[|u - \theta| < 0.5]

in one layer; its surrogate stays centred on :math:`\theta`, its reset and every other layer are unchanged. Cross
entropy on saturated rates has a vanishing gradient; a higher threshold desaturates them. This is the declared exception
to "the forward is sacred": logits *with* a gradient belong to the modified network. Predictions are made without
gradients and keep the original threshold, also inside the context.

Source: Liang et al., TNNLS, arXiv 2001.01587 (threshold 0.3, modified 1.0).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import Tensor, nn

from art_snn.coding.straight_through import is_traced
from art_snn.errors import explain
from art_snn.gradients.base import GradientPolicy, Steered
from art_snn.gradients.families import rect
from art_snn.gradients.neurons import followers, refuse, swapped
from art_snn.gradients.spike import spike

_PAPER_RATIO = 1.0 / 0.3


class SCG(GradientPolicy):
    r"""Spike-compatible gradient.

    :param theta_pen: threshold of the layer while gradients are taken; ``None`` is its own times 1.0/0.3, the paper's
        ratio.
    :param layer: name of the layer, as in ``net.named_modules()``; ``None`` is the last spiking layer that is not the
        output.
    :raises ValueError: if ``theta_pen`` is not positive.

    >>> SCG(theta_pen=2.0)
    SCG(theta_pen=2.0, layer=None)
    """

    modifies_forward = True

    def __init__(self, theta_pen: float | None = None, layer: str | None = None) -> None:
        if theta_pen is not None and not theta_pen > 0:
            raise ValueError(explain(f"theta_pen={theta_pen}", "a positive threshold", "SCG(theta_pen=2.0)"))
        self.theta_pen = theta_pen
        self.layer = layer

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`.

        :raises ValueError: if there is no such layer, or it has no scalar threshold.
        """
        self._target(net)

    def conduct(self, net: Steered, x: Tensor) -> Tensor:
        """The modified forward where ``x`` needs a gradient, the network's own elsewhere."""
        return net.run(x, self if is_traced(x) else None)

    def steer(self, net: Steered, draw: int = 0) -> AbstractContextManager[None]:  # noqa: ARG002
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        node = self._target(net)
        theta = float(node.v_threshold)  # type: ignore[arg-type]
        raised = theta * _PAPER_RATIO if self.theta_pen is None else self.theta_pen
        return swapped({node: _ShiftedSpike(raised - theta)})

    def _target(self, net: Steered) -> nn.Module:
        nodes = followers(net, repr(self))
        name = self.layer if self.layer is not None else _last_hidden(net, list(nodes))
        if name not in nodes:
            fix = f"one of {', '.join(nodes)}"
            raise ValueError(explain(f"layer={name!r}", "the name of a spiking layer", fix))
        if not isinstance(getattr(nodes[name], "v_threshold", None), float):
            refuse(name, nodes[name], repr(self), "a neuron with one fixed threshold", "pass another layer=...")
        return nodes[name]

    def __repr__(self) -> str:
        return f"SCG(theta_pen={self.theta_pen}, layer={self.layer!r})"


def _last_hidden(net: Steered, names: list[str]) -> str:
    """The last spiking layer, or the one before if the network ends in it."""
    body: nn.Module = net  # type: ignore[assignment]
    *_, last = (name for name, _ in body.named_modules(remove_duplicate=False) if name.startswith("body"))
    ends_in_neuron = last.startswith(f"{names[-1]}.")
    return names[-2] if ends_in_neuron and len(names) > 1 else names[-1]


class _ShiftedSpike(nn.Module):
    """Fires ``shift`` above the neuron's threshold, with a window of half width 0.5 around that threshold."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, v: Tensor) -> Tensor:
        return spike(v - self.shift, self._slope)

    def _slope(self, lifted: Tensor) -> Tensor:
        return rect(lifted + self.shift, 1.0)
