r"""The gradient of an analog network in place of the spiking one.

Inline: each neuron passes the slope of its clipped rate :math:`a(\bar I) = \mathrm{clip}(c\bar I/\theta, 0, 1)`,

.. math:: g_t = \frac{c}{\theta}\, 1[0 < c\bar I < \theta]\; \delta_t .

With a network of its own (same weights, ReLU or quantized activations, no time axis) the logits stay those of the
spiking network and their Jacobian is the twin's: a transfer, and to be reported as one. It serves converted networks;
low-latency, directly trained ones have little in common with their twin.

Source: backward-pass approximation, Athalye et al. 2018.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from art_snn.coding.straight_through import carry_gradient
from art_snn.errors import explain
from art_snn.gradients.base import Steered
from art_snn.gradients.slopes import SlopePolicy, Train


class ANNTwin(SlopePolicy):
    """The gradient of the analog twin.

    :param network: a network ``[N, *] -> [N, K]`` whose Jacobian is used, e.g. ``ann_twin(net)``, in eval mode;
        ``None`` is the inline form, for IF, LIF and PLIF neurons.
    :raises TypeError: if ``network`` is not a module.

    >>> ANNTwin(), ANNTwin().is_transfer, ANNTwin(nn.Linear(2, 3)).is_transfer
    (ANNTwin(), False, True)
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        if network is not None and not isinstance(network, nn.Module):
            raise TypeError(explain(f"network {network!r}", "an nn.Module [N, *] -> [N, K]", "ANNTwin(ann_twin(net))"))
        self.network = network

    @property
    def is_transfer(self) -> bool:
        """Whether gradients come from another network."""
        return self.network is not None

    def slope(self, train: Train) -> Tensor:
        """Slope of the clipped rate."""
        charge, mean = train.charge, train.mean_charge()
        return charge.gain / charge.threshold * ((mean > 0) & (mean < charge.threshold)).to(mean.dtype)

    def check(self, net: Steered) -> None:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        if self.network is None:
            super().check(net)

    def conduct(self, net: Steered, x: Tensor) -> Tensor:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        if self.network is None:
            return super().conduct(net, x)
        logits = net.run(x).detach()
        with _frozen(self.network):
            z: Tensor = self.network(x)
        if z.shape != logits.shape:
            came = f"twin logits {list(z.shape)} for logits {list(logits.shape)}"
            raise ValueError(explain(came, "two networks of the same classes", "ANNTwin(ann_twin(net))"))
        return carry_gradient(logits, z)

    @contextmanager
    def steer(self, net: Steered, draw: int = 0) -> Iterator[None]:
        """See :class:`~art_snn.gradients.base.GradientPolicy`."""
        if self.network is not None:
            fix = "take the gradient of the whole network, or use the inline ANNTwin()"
            raise ValueError(explain("a separate twin inside the network", "the inline form", fix))
        with super().steer(net, draw):
            yield

    def __repr__(self) -> str:
        return "ANNTwin()" if self.network is None else f"ANNTwin({type(self.network).__name__})"


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Keep the twin's parameters out of the graph."""
    learning = [p for p in network.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
