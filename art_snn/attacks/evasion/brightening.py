r"""The baseline of every energy attack: more light, or more events, without looking at the network.

On pixels :math:`x + \epsilon\,\mathbf 1`, projected (for L2, the same length spread evenly). On spike grids as many
events as the attack inserted, at cells drawn uniformly among the empty ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion import draws
from art_snn.threats import PixelBudget


def brightened(x: Tensor, threat: PixelBudget, mask: Tensor | None = None) -> Tensor:
    """Every value of ``x [N, *]`` as bright as the budget allows.

    >>> from art_snn.threats import Linf
    >>> brightened(torch.tensor([[0.0, 0.9]]), Linf(0.25)).tolist()
    [[0.25, 1.0]]
    """
    size = x[0].numel()
    step = {torch.inf: threat.eps, 2.0: threat.eps / size**0.5, 1.0: threat.eps / size}[threat.norm]
    up = torch.full_like(x, step) if mask is None else torch.where(mask != 0, step, 0.0).to(x)
    brighter: Tensor = threat.project(x, x + up)
    return brighter


def with_random_events(x: Tensor, inserted: Tensor, keys: list[int], threat: Any, mask: Tensor | None = None) -> Tensor:
    """``inserted [N]`` events at random empty cells of each grid of ``x [N, *]``, as far as ``threat`` lets them stay.

    >>> from art_snn.threats import Linf
    >>> more = with_random_events(torch.zeros(1, 2, 3), torch.tensor([4]), [0], Linf(1.0))
    >>> more.sum().item()
    4.0
    """
    order = draws.uniform(keys, x.shape[1:], x)
    free = (x == 0) if mask is None else (x == 0) & (mask != 0)
    rank = torch.where(free, order, 2.0).flatten(1).argsort(1).argsort(1).view_as(x)
    chosen = free & (rank < inserted.view(-1, *[1] * (x.dim() - 1)))
    more: Tensor = threat.project(x, torch.where(chosen, torch.ones_like(x), x))
    return more
