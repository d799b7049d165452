r"""The mean of a code over time, in one step: what is left for a network without time.

.. math:: \bar s = \frac1T \sum_t s_t

A non-spiking network behind it sees what the code did to the input (quantization, noise, dropped values) and nothing of
when it happened, so it tells the encoder's share of robustness from that of spiking.
"""

from __future__ import annotations

from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.errors import explain


class MeanOverTime(Encoder):
    """``[N, *]`` to one step ``[1, N, *]`` that holds the mean of another code's train.

    :param encoder: the code.
    :raises TypeError: if it is no encoder.

    >>> import torch
    >>> from art_snn.coding import Latency
    >>> MeanOverTime(Latency(T=4))(torch.tensor([[1.0]])).tolist()
    [[[0.25]]]
    """

    backwards = ("inner",)
    is_binary = False

    def __init__(self, encoder: Encoder) -> None:
        if not isinstance(encoder, Encoder):
            fix = "MeanOverTime(Poisson(T=8))"
            raise TypeError(explain(f"a {type(encoder).__name__}", "an encoder", fix))
        super().__init__(1)
        self.encoder = encoder
        self.domain, self.integer_input = encoder.domain, encoder.integer_input

    @property
    def is_stochastic(self) -> bool:  # type: ignore[override]
        """Whether the code draws random numbers."""
        return bool(self.encoder.is_stochastic)

    @property
    def obfuscates(self) -> bool:
        """Whether the code hides its gradient."""
        return self.encoder.obfuscates

    def encode(self, x: Tensor) -> Tensor:
        """The mean of the train."""
        s: Tensor = self.encoder(x)
        return s.mean(0, keepdim=True)

    def reseed(self, seed: int | None = None) -> None:
        """Rewind the code's stream."""
        self.encoder.reseed(seed)
