r"""Fusion: several codes of the same image, side by side on the channel axis.

.. math:: s = [\mathrm{enc}_1(x)\,|\,\dots\,|\,\mathrm{enc}_E(x)], \qquad
   \partial L/\partial x = \sum_e \partial L_e/\partial x,

each block with its own backward choice. One block that hides its gradient makes the attack on the whole network weaker
than it looks, so that such a fusion is refused unless the caller asks for it.

Source: fusion of constant, rate and first-spike codes, arXiv 2306.05654.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from art_snn.coding.base import Encoder
from art_snn.errors import explain, summary


class Fusion(Encoder):
    """Codes of the same image on the channel axis: ``[N, C, *] -> [T, N, E C, *]``, block e from encoder e.

    :param encoders: codes of equal T.
    :param accept_hiding: allow blocks with ``backward='masked'`` or ``'none'``.
    :raises TypeError: if an element is not an encoder.
    :raises ValueError: if there is none, their T differ, or one hides its gradient.

    >>> from art_snn.coding import Direct, Latency
    >>> Fusion([Direct(T=4), Latency(T=4)])(torch.rand(2, 3, 8, 8)).shape
    torch.Size([4, 2, 6, 8, 8])
    """

    backwards = ("blocks",)

    def __init__(self, encoders: Sequence[Encoder], *, accept_hiding: bool = False) -> None:
        blocks = list(encoders)
        if not blocks or not all(isinstance(block, Encoder) for block in blocks):
            raise TypeError(explain(f"encoders={blocks!r}", "at least one encoder", "Fusion([Direct(8), Latency(8)])"))
        lengths = [block.T for block in blocks]
        if len(set(lengths)) > 1:
            raise ValueError(explain(f"encoders of T = {lengths}", "one T", "give all of them the same T"))
        hiding = [type(block).__name__ for block in blocks if block.obfuscates]
        if hiding and not accept_hiding:
            fix = "choose another backward for it, or pass accept_hiding=True to reproduce published numbers"
            raise ValueError(explain(f"{', '.join(hiding)} that hides its gradient", "honest blocks", fix))
        super().__init__(lengths[0])
        self.encoders = nn.ModuleList(blocks)
        self.accept_hiding = accept_hiding
        self.is_stochastic = any(block.is_stochastic for block in blocks)
        self.is_binary = all(block.is_binary for block in blocks)
        domains = [block.domain for block in blocks if block.domain is not None]
        self.domain = (max(low for low, _ in domains), min(high for _, high in domains)) if domains else None
        self.integer_input = all(block.integer_input for block in blocks)

    @property
    def obfuscates(self) -> bool:
        """Whether any block hides its gradient."""
        return any(block.obfuscates for block in self._blocks())

    def _blocks(self) -> list[Encoder]:
        return [block for block in self.encoders if isinstance(block, Encoder)]

    def encode(self, x: Tensor) -> Tensor:
        """Each block's code, concatenated on the channels.

        :raises ValueError: if there is no channel axis.
        """
        if x.dim() < 2:
            raise ValueError(explain(summary(x), "[N, C, *]", "add a channel axis: x[:, None]"))
        return torch.cat([block(x) for block in self._blocks()], dim=2)

    def reseed(self, seed: int | None = None) -> None:
        """Rewind every block's stream."""
        for block in self._blocks():
            block.reseed(seed)
