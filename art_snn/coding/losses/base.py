"""What the losses share: their arguments are checked in one place."""

from __future__ import annotations

from torch import Tensor

from art_snn.errors import explain, summary


def check_output(o: Tensor, y: Tensor) -> None:
    """Refuse what is not an output train with one label per sample.

    :raises ValueError: for other shapes, or a label that is no class.
    """
    if o.dim() != 3:
        raise ValueError(explain(summary(o), "an output train [T, N, K]", "pass net.simulate(net.encode(x))"))
    if y.shape != (o.shape[1],) or y.is_floating_point():
        raise ValueError(explain(summary(y), f"{o.shape[1]} class indices", "pass integer labels [N]"))
    if bool((y < 0).any() or (y >= o.shape[2]).any()):
        raise ValueError(explain(summary(y), f"labels in 0..{o.shape[2] - 1}", "match the labels to the outputs"))
