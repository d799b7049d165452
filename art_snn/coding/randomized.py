"""Random changes of a spike train as transforms: jitter, spike dropout, frame dropout, time warp.

They move accuracy mostly through attacks that forget to average: attack them through the mean over draws, judge them by
votes on fresh draws. What they are good for is a certificate (:mod:`art_snn.estimators.smoothing`). The functions are
those of :mod:`art_snn.coding.perturb`; gradients follow the drawn change.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from art_snn.coding import perturb
from art_snn.coding.transform import SpikeTransform


class _Randomized(SpikeTransform):
    keeps_binary = True
    backwards: ClassVar[tuple[str, ...]] = ("through", "identity", "none")
    setting: str
    rest: float | None

    @property
    def is_stochastic(self) -> bool:  # type: ignore[override]
        """Whether two calls can differ."""
        return getattr(self, self.setting) != self.rest

    def extra_repr(self) -> str:
        """Arguments."""
        return f"{self.setting}={getattr(self, self.setting)!r}, {super().extra_repr()}"


class SpikeJitter(_Randomized):
    """Move every spike of a binary train by a random number of steps; see :func:`art_snn.coding.perturb.jitter`.

    :param J: largest displacement (``uniform``), or its scale (``laplace``), in steps; 0 changes nothing.
    :param law: ``uniform`` or ``laplace``.
    :param backward: ``through`` (default), ``identity`` or ``none``.
    :param seed: seed of the stream (``None`` is 0).
    :raises ValueError: for a parameter out of range, or, when called, for trains that are not binary.

    >>> import torch
    >>> s = torch.eye(4).view(4, 1, 4)
    >>> bool((SpikeJitter(0)(s) == s).all()), SpikeJitter(1)(s).sum().item() <= 4
    (True, True)
    """

    needs_binary = True
    setting, rest = "J", 0

    def __init__(
        self, J: float = 1, law: str = "uniform", *, backward: str | None = None, seed: int | None = None
    ) -> None:
        super().__init__(backward=backward, seed=seed)
        perturb.check_jitter(J, law)
        self.J, self.law = J, law

    def transform(self, s: Tensor) -> Tensor:
        """Jittered spikes."""
        return perturb.jitter(s, self.J, self.draws, self.law)


class SpikeDropout(_Randomized):
    """Keep every spike with a probability; see :func:`art_snn.coding.perturb.drop_spikes`.

    :param keep: probability in [0, 1]; 1 changes nothing.
    :param backward: ``through`` (default), ``identity`` or ``none``.
    :param seed: seed of the stream (``None`` is 0).
    :raises ValueError: if ``keep`` is no probability.

    >>> import torch
    >>> SpikeDropout(0.0)(torch.ones(3, 1, 1)).sum().item()
    0.0
    """

    setting, rest = "keep", 1

    def __init__(self, keep: float = 0.8, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__(backward=backward, seed=seed)
        perturb.check_probability("keep", keep)
        self.keep = keep

    def transform(self, s: Tensor) -> Tensor:
        """Kept spikes."""
        return perturb.drop_spikes(s, self.keep, self.draws)


class FrameDrop(_Randomized):
    """Keep some of the frames of each sample; see :func:`art_snn.coding.perturb.drop_frames`.

    :param keep_frames: how many of the T frames stay, 0 or more; all of them changes nothing.
    :param T: frames of a train.
    :param backward: ``through`` (default), ``identity`` or ``none``.
    :param seed: seed of the stream (``None`` is 0).
    :raises ValueError: if ``keep_frames`` is no whole number in 0..T.

    >>> import torch
    >>> FrameDrop(2, T=3)(torch.ones(3, 1, 1)).sum().item()
    2.0
    """

    setting = "keep_frames"

    def __init__(self, keep_frames: int, T: int, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__(backward=backward, seed=seed)
        perturb.check_frames(keep_frames, T)
        self.keep_frames, self.rest = int(keep_frames), int(T)

    def transform(self, s: Tensor) -> Tensor:
        """Kept frames."""
        return perturb.drop_frames(s, self.keep_frames, self.draws)


class TimeWarp(_Randomized):
    """Bend the time axis of each sample; see :func:`art_snn.coding.perturb.time_warp`.

    :param strength: in [0, 1]; 0 changes nothing.
    :param backward: ``through`` (default), ``identity`` or ``none``.
    :param seed: seed of the stream (``None`` is 0).
    :raises ValueError: if ``strength`` is out of range, or, when called, for trains that are not binary.

    >>> import torch
    >>> s = torch.eye(4).view(4, 1, 4)
    >>> bool((TimeWarp(0.0)(s) == s).all())
    True
    """

    needs_binary = True
    setting, rest = "strength", 0

    def __init__(self, strength: float = 0.5, *, backward: str | None = None, seed: int | None = None) -> None:
        super().__init__(backward=backward, seed=seed)
        perturb.check_strength(strength)
        self.strength = strength

    def transform(self, s: Tensor) -> Tensor:
        """Warped spikes."""
        return perturb.time_warp(s, self.strength, self.draws)
