r"""What may stand between a code and the network: spike trains to spike trains, ``[T, N, *] -> [T, N, *]``.

A filter, a jitter, a smoothing: its value :math:`y = f(s)` is used as it is, and how a gradient crosses it is named.

* ``identity``: :math:`\partial y/\partial s := 1`, the straight-through estimate of an f that stays near its input.
* ``through``: autograd through f itself.
* ``none``: no gradient. It hides f from every gradient attack, so a result under it is no robustness.

A transform belongs inside the network, behind its code (:class:`Transformed`), where no attack can miss it; on event
grids it can also be an ART preprocessor (:class:`~art_snn.defenses.preprocessor.SpikePreprocessor`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from art_snn.coding.base import HIDING, Encoder
from art_snn.coding.draws import SeededDraws, mixed
from art_snn.coding.frames import EventFrames
from art_snn.coding.straight_through import carry_path, is_traced
from art_snn.errors import GuardedInit, explain, summary

Function = Callable[[Tensor], Tensor]


class SpikeTransform(GuardedInit, nn.Module):
    """Base class. Subclasses implement :meth:`transform`.

    ``needs_binary`` says that it takes binary trains only, ``keeps_binary`` that binary trains stay binary.

    :param backward: one of :attr:`backwards`; ``None`` takes the first.
    :param seed: seed of the transform's own random stream (``None`` is 0).
    :raises ValueError: for another ``backward``.

    >>> import torch
    >>> class Invert(SpikeTransform):
    ...     def transform(self, s):
    ...         return 1 - s
    >>> Invert()(torch.tensor([[[1.0, 0.0]]])).tolist()
    [[[0.0, 1.0]]]
    """

    is_stochastic: bool = False
    needs_binary: bool = False
    keeps_binary: bool = False
    backwards: ClassVar[tuple[str, ...]] = ("identity", "through", "none")

    def __init__(self, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__()
        if backward is not None and backward not in self.backwards:
            name, known = type(self).__name__, ", ".join(map(repr, self.backwards))
            fix = f"{name}(..., backward={self.backwards[0]!r})"
            raise ValueError(explain(f"backward={backward!r}", f"one of {known} for {name}", fix))
        self.backward = backward or self.backwards[0]
        self.seed = seed
        self.draws = SeededDraws(seed or 0)

    def forward(self, s: Tensor) -> Tensor:
        """Transform a batch of trains ``[T, N, *]``.

        :raises ValueError: if the result has another shape.
        """
        y = self.transform(s.detach() if self.backward in ("identity", "none") else s)
        if y.shape != s.shape:
            came = f"{summary(y)} from a transform of {summary(s)}"
            raise ValueError(explain(came, "the shape of its input", "return one value per cell"))
        return self.carried(s, y)

    def carried(self, s: Tensor, y: Tensor) -> Tensor:
        """The value ``y``, with the gradient that :attr:`backward` names."""
        if self.backward == "through":
            return y
        return carry_path(y, s if self.backward == "identity" else 0.0 * s) if is_traced(s) else y

    def transform(self, s: Tensor) -> Tensor:
        """The transform itself."""
        raise NotImplementedError

    @property
    def obfuscates(self) -> bool:
        """Whether the chosen backward hides gradient from an attack, so that its result cannot be trusted."""
        return self.backward in HIDING

    def reseed(self, seed: int | None = None) -> None:
        """Start the random stream anew, from ``seed`` mixed with the transform's own, or from the latter."""
        self.draws.reseed(self.seed or 0 if seed is None else mixed(seed, self.seed or 0))

    def extra_repr(self) -> str:
        """Arguments."""
        return f"backward={self.backward!r}"


class FunctionTransform(SpikeTransform):
    """A function of one's own as a transform; see :func:`spike_transform`.

    :param function: ``f(spikes [T, N, *]) -> spikes [T, N, *]``.
    :param backward: ``identity`` (default), ``through`` or ``none``.
    """

    def __init__(self, function: Function, backward: str | None = None) -> None:
        super().__init__(backward=backward)
        self.function = function

    def transform(self, s: Tensor) -> Tensor:
        """The function."""
        return self.function(s)

    def extra_repr(self) -> str:
        """Name of the function and arguments."""
        return f"{getattr(self.function, '__name__', repr(self.function))}, {super().extra_repr()}"


def spike_transform(backward: str = "identity") -> Callable[[Function], FunctionTransform]:
    """Decorate ``f(spikes [T, N, *]) -> spikes`` into a transform with a chosen backward pass.

    :param backward: ``identity``, ``through`` or ``none``.
    :raises ValueError: for another ``backward``.

    >>> import torch
    >>> @spike_transform(backward="identity")
    ... def first_half(s):
    ...     return s * (torch.arange(len(s)) < len(s) // 2).view(-1, *[1] * (s.dim() - 1))
    >>> first_half(torch.ones(4, 1)).flatten().tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    return lambda function: FunctionTransform(function, backward)


class Transformed(Encoder):
    """A code with a transform behind it: what the network sees is ``transform(code(x))``.

    :param encoder: the code.
    :param transform: what happens to its trains.
    :raises TypeError: if a part is of another kind.

    >>> import torch
    >>> from art_snn.coding import Latency
    >>> code = Transformed(Latency(T=4), spike_transform()(lambda s: s.flip(0)))
    >>> code(torch.tensor([[1.0]])).flatten().tolist()
    [0.0, 0.0, 0.0, 1.0]
    """

    backwards = ("inner",)

    def __init__(self, encoder: Encoder, transform: SpikeTransform) -> None:
        if not isinstance(encoder, Encoder) or not isinstance(transform, SpikeTransform):
            came = f"{type(encoder).__name__} and {type(transform).__name__}"
            fix = "Transformed(Latency(T=8), BackgroundActivityFilter(window=2))"
            raise TypeError(explain(came, "an encoder and a SpikeTransform", fix))
        super().__init__(encoder.T)
        self.encoder = encoder
        self.transform = transform
        self.domain, self.integer_input = encoder.domain, encoder.integer_input
        self.is_binary = encoder.is_binary and transform.keeps_binary
        given = isinstance(encoder, EventFrames)
        self.binary_input = encoder.binary_input or (given and transform.needs_binary)

    @property
    def is_stochastic(self) -> bool:  # type: ignore[override]
        """Whether code or transform draws random numbers."""
        return bool(self.encoder.is_stochastic or self.transform.is_stochastic)

    @property
    def obfuscates(self) -> bool:
        """Whether code or transform hides its gradient."""
        return self.encoder.obfuscates or self.transform.obfuscates

    def after(self) -> Transformed:
        """The same transform, shared, on trains ``[N, T, *]`` that are given."""
        return Transformed(EventFrames(self.T), self.transform)

    def encode(self, x: Tensor) -> Tensor:
        """The code, then the transform."""
        transformed: Tensor = self.transform(self.encoder(x))
        return transformed

    def reseed(self, seed: int | None = None) -> None:
        """Rewind the streams of code and transform."""
        self.encoder.reseed(seed)
        self.transform.reseed(seed)
