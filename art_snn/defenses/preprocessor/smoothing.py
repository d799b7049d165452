r"""Temporal smoothing of trains: :math:`y_t = a\,y_{t-1} + (1 - a)\,s_t` with :math:`y_0 = (1 - a) s_0`.

A linear filter, with its exact gradient; a defense only in that it blurs what an attack can place in time.
"""

from __future__ import annotations

from torch import Tensor

from art_snn.coding.filtered import psp
from art_snn.coding.transform import SpikeTransform
from art_snn.errors import explain


class TemporalSmoothing(SpikeTransform):
    """Exponential moving average over time.

    :param decay: a in [0, 1); 0 changes nothing.
    :param backward: ``through`` (default, exact), ``identity`` or ``none``.
    :raises ValueError: for a parameter out of range.

    >>> import torch
    >>> TemporalSmoothing(0.5)(torch.tensor([[1.0], [0.0]])).flatten().tolist()
    [0.5, 0.25]
    """

    backwards = ("through", "identity", "none")

    def __init__(self, decay: float = 0.5, *, backward: str | None = None) -> None:
        super().__init__(backward=backward)
        if not 0 <= decay < 1:
            raise ValueError(explain(f"decay={decay}", "a number in [0, 1)", "TemporalSmoothing(0.5)"))
        self.decay = float(decay)

    def transform(self, s: Tensor) -> Tensor:
        """The moving average."""
        return s if self.decay == 0 else psp(s, 1 / (1 - self.decay))

    def extra_repr(self) -> str:
        """Arguments."""
        return f"decay={self.decay}, {super().extra_repr()}"
