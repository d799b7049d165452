r"""Event frames: the input already has time, :math:`s_t = x_{n,t}`, and only changes its layout.

ART's arrays are batch first, ``[N, T, *]``; networks here are time first, ``[T, N, *]``. The values (binary, counts or
clipped counts) pass unchanged and :math:`\partial s/\partial x` is the identity.
"""

from __future__ import annotations

from torch import Tensor

from art_snn.coding.base import Encoder
from art_snn.errors import explain, summary


def event_frames(x: Tensor) -> Tensor:
    """``[N, T, *]`` to ``[T, N, *]``, a view.

    >>> import torch
    >>> event_frames(torch.zeros(2, 5, 3)).shape
    torch.Size([5, 2, 3])
    """
    return x.transpose(0, 1)


class EventFrames(Encoder):
    """Event frames or spike trains as they are, ``[N, T, *] -> [T, N, *]``.

    :param T: number of time steps that the input must have.

    >>> import torch
    >>> code = EventFrames(T=5)
    >>> x = torch.zeros(2, 5, 3)
    >>> code(x).shape, bool((code.decode(code(x)) == x).all())
    (torch.Size([5, 2, 3]), True)
    """

    is_binary = False
    domain = None
    integer_input = True

    def encode(self, x: Tensor) -> Tensor:
        """See :func:`event_frames`.

        :raises ValueError: if the second axis does not have ``T`` steps.
        """
        if x.dim() < 2 or x.shape[1] != self.T:
            fix = f"bin the recording into {self.T} frames, batch first, or build EventFrames with its number of frames"
            raise ValueError(explain(summary(x), f"[N, T={self.T}, *]", fix))
        return event_frames(x)

    def decode(self, s: Tensor) -> Tensor:
        """Batch first again."""
        return s.transpose(0, 1)
