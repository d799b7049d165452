"""A plain gradient ascent that shows its whole path: what the checks of convergence and randomness look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from art_snn.attacks.evasion import losses
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.seeding import derived_seed

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Path:
    """Losses ``[steps, N]`` on the way, and which samples were seen broken, boolean ``[N]``."""

    losses: Array
    broken: Array

    def unfinished(self, window: int = 10) -> Array:
        """How far the best loss so far, rescaled to [0, 1], moved in the last steps: ``[N]``.

        >>> Path(np.array([[0.0], [1.0], [2.0]]), np.array([False])).unfinished(1).tolist()
        [0.5]
        """
        best = np.maximum.accumulate(self.losses, axis=0)
        span = best[-1] - best[0]
        moved = best[-1] - best[max(0, len(best) - 1 - window)]
        return np.asarray(np.where(span > 0, moved / np.where(span > 0, span, 1.0), 0.0))


def climb(evidence: Evidence, rows: Array, eps: float, steps: int, *, frozen: bool = False) -> Path:
    """Sign steps on the margin, of a size that falls from ``eps / 4`` to nothing.

    :param rows: samples of the subset.
    :param frozen: every query sees the same draws, which makes another, deterministic model of a random one.
    """
    x, y = evidence.few[0][rows], evidence.few[1][rows]
    device = evidence.classifier.device
    clip = evidence.classifier.clip_values
    labels = torch.as_tensor(y, device=device)
    seed = derived_seed(evidence.seed, "climb", eps)
    point = evidence.near(x, eps, seed)
    path, broken = [], np.zeros(len(x), dtype=bool)
    evidence.model.eval()
    for step in range(steps):
        with evidence.drawing(seed if frozen else derived_seed(seed, step), draws=1):
            leaf, prepared = evidence.inputs(point)
            z = evidence.model(prepared)
            loss = losses.margin(z, labels)
            grad = torch.autograd.grad(loss.sum(), leaf, allow_unused=True)[0] if loss.requires_grad else None
        path.append(loss.detach().cpu().numpy())
        broken |= path[-1] > 0
        if grad is None:
            break
        size = np.float32(eps / 4 * (1 - step / steps))
        moved = np.clip(point + size * np.sign(grad.cpu().numpy()), x - np.float32(eps), x + np.float32(eps))
        point = (moved if clip is None else np.clip(moved, *clip)).astype(np.float32)
    return Path(np.stack(path), broken)
