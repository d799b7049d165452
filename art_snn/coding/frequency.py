r"""Frequency encoding: each step sees the image through a narrower low-pass filter.

With :math:`F = \mathrm{fftshift}(\mathrm{fft2}(x))` over the two spatial axes and a square mask :math:`M_t` of
half-width :math:`L_t` around the zero frequency,

.. math:: s_t = |\mathrm{ifft2}(\mathrm{ifftshift}(F \odot M_t))| .

``reference`` masks rows and columns :math:`[c - L, c + L)`, :math:`c = \lfloor H/2 \rfloor`: it keeps one side of the
Nyquist frequency only, so that the result is complex and its modulus is neither the real part nor bounded by 1.
``symmetric`` masks :math:`c-L+1 .. c+L-1` (everything once :math:`2L \ge H`) and takes the real part, a true low-pass
image. The code is analog and its gradient exact, with the modulus :math:`\sqrt{re^2 + im^2 + 10^{-12}}`; where it is
below :math:`10^{-5}` the gradient is that of the real part, because the modulus is flat at 0 and a black pixel, which
can only become brighter, would have none. By default :math:`L_t = \lceil H/2 \rceil - 2t`, at least 1: 16, 14, ... for
32 x 32.

Source: FEEL-SNN, Xu et al., NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.coding.straight_through import carry_path
from art_snn.errors import explain, summary

MASKS = ("reference", "symmetric")
_MODULUS_DUST = 1e-12
_BLACK = 1e-10


def half_widths(T: int, height: int) -> list[int]:
    """The default half-widths for an image of this height.

    >>> half_widths(4, 32)
    [16, 14, 12, 10]
    """
    return [max(-(-height // 2) - 2 * t, 1) for t in range(T)]


def _band(size: int, width: int, mask: str, device: torch.device) -> Tensor:
    centre = size // 2
    index = torch.arange(size, device=device)
    if mask == "reference":
        return (index >= centre - width) & (index < centre + width)
    if 2 * width >= size:
        return torch.ones_like(index, dtype=torch.bool)
    return (index > centre - width) & (index < centre + width)


def frequency(x: Tensor, widths: Sequence[int], mask: str = "reference") -> Tensor:
    """One low-pass image per half-width: ``x [N, *, H, W]`` to ``[T, N, *, H, W]``.

    :param x: images.
    :param widths: half-width of the band of each step.
    :param mask: as in :class:`Frequency`.

    >>> frequency(torch.full((1, 1, 4, 4), 0.5), [2, 1])[:, 0, 0, 0, 0].tolist()
    [0.5, 0.5]
    """
    height, width = x.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1))
    steps = []
    for half in widths:
        rows, columns = _band(height, half, mask, x.device), _band(width, half, mask, x.device)
        image = torch.fft.ifft2(torch.fft.ifftshift(spectrum * (rows[:, None] & columns), dim=(-2, -1)))
        steps.append(_modulus(image) if mask == "reference" else image.real)
    return torch.stack(steps).to(x.dtype)


def _modulus(image: Tensor) -> Tensor:
    square = image.real**2 + image.imag**2
    modulus = torch.sqrt(square + _MODULUS_DUST)
    return torch.where(square < _BLACK, carry_path(modulus, image.real), modulus)


class Frequency(Encoder):
    """Low-pass images, narrower at every step; analog.

    :param T: number of time steps.
    :param widths: half-width of each step's mask; by default from the image's height, see :func:`half_widths`.
    :param mask: ``reference`` (default, as published) or ``symmetric``.
    :raises ValueError: if there are not T half-widths, or one is below 1, or the mask is unknown.

    >>> Frequency(T=4)(torch.rand(2, 1, 8, 8)).shape
    torch.Size([4, 2, 1, 8, 8])
    """

    is_binary = False
    backwards = ("exact",)

    def __init__(
        self,
        T: int,
        widths: Sequence[int] | None = None,
        mask: str = "reference",
        *,
        backward: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(T, backward=backward, seed=seed)
        if mask not in MASKS:
            raise ValueError(explain(f"mask={mask!r}", f"one of {MASKS}", "Frequency(T, mask='symmetric')"))
        if widths is not None and (len(widths) != self.T or min(widths) < 1):
            fix = f"pass one half-width per step, e.g. widths={half_widths(self.T, 32)}"
            raise ValueError(explain(f"widths={list(widths)} for T = {self.T}", f"{self.T} numbers >= 1", fix))
        self.widths = None if widths is None else [int(width) for width in widths]
        self.mask = mask

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`frequency`.

        :raises ValueError: if the input is not a batch of images.
        :raises TypeError: for half precision, which has no Fourier transform.
        """
        if x.dim() < 3 or 0 in x.shape[-2:]:
            raise ValueError(explain(summary(x), "images [N, *, H, W]", "reshape the input to images"))
        if x.dtype not in (torch.float32, torch.float64):
            raise TypeError(explain(summary(x), "float32 or float64 images", "pass x.float()"))
        widths = half_widths(self.T, x.shape[-2]) if self.widths is None else self.widths
        return frequency(x, widths, self.mask)
