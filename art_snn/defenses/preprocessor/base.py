"""A spike transform in front of an ART classifier of event grids ``[N, T, *]``.

The gradient rule of the transform is inside ``forward``: ART differentiates that, and never calls the estimate, when
all preprocessing is PyTorch. Attacks that rebuild their own classifier keep the preprocessors.

Inside the network is still the better place: there a random transform can be averaged over draws. Native attacks of
:mod:`art_snn.attacks` draw a random preprocessor anew for each gradient and vote on its predictions; ART's see one
draw at a time.
"""

from __future__ import annotations

from typing import Any

from art.defences.preprocessor.preprocessor import PreprocessorPyTorch
from torch import Tensor

from art_snn.coding.transform import SpikeTransform
from art_snn.errors import explain, summary


class SpikePreprocessor(PreprocessorPyTorch):
    """An ART preprocessor that transforms event grids, or spike trains at the spike edge.

    :param transform: what happens to the trains ``[T, N, *]``.
    :param apply_fit: whether training sees it.
    :param apply_predict: whether prediction and attacks see it.
    :param device_type: ``cpu`` or ``gpu``.
    :raises TypeError: if ``transform`` is not a :class:`~art_snn.coding.SpikeTransform`.

    >>> import numpy as np
    >>> from art_snn.defenses.preprocessor import RefractoryFilter
    >>> filtered, _ = SpikePreprocessor(RefractoryFilter(1))(np.ones((1, 3, 1, 1, 1), dtype=np.float32))
    >>> filtered.ravel().tolist()
    [1.0, 0.0, 0.0]
    """

    params = ["transform"]  # noqa: RUF012 - ART's own idiom

    def __init__(
        self, transform: SpikeTransform, apply_fit: bool = True, apply_predict: bool = True, device_type: str = "cpu"
    ) -> None:
        if not isinstance(transform, SpikeTransform):
            fix = "decorate a function of your own with spike_transform(backward='identity')"
            raise TypeError(explain(f"transform={transform!r}", "a SpikeTransform", fix))
        super().__init__(device_type, is_fitted=True, apply_fit=apply_fit, apply_predict=apply_predict)
        self.transform = transform

    @property
    def is_stochastic(self) -> bool:
        """Whether two calls can differ."""
        return self.transform.is_stochastic

    @property
    def obfuscates(self) -> bool:
        """Whether the transform hides its gradient from attacks."""
        return self.transform.obfuscates

    def forward(self, x: Tensor, y: Any = None) -> tuple[Tensor, Any]:
        """Transformed grids ``[N, T, *]``, and the labels as they came.

        :raises ValueError: if ``x`` has no time axis.
        """
        if x.dim() < 3:
            fix = "put the transform behind the code instead: SpikingNetwork(Transformed(code, transform), body)"
            raise ValueError(explain(summary(x), "event grids or trains [N, T, *]", fix))
        return self.transform(x.transpose(0, 1)).transpose(0, 1), y

    def __repr__(self) -> str:
        return f"SpikePreprocessor({self.transform!r})"
