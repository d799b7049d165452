r"""Class-conditional Gaussians with shrunk covariances, and the Mahalanobis distance to one of them.

.. math:: d_c(f)^2 = (f - \mu_c)^\top \Sigma_c^{-1} (f - \mu_c), \qquad
   \Sigma_c = (1 - \alpha)\, S_c + \alpha\, \frac{\mathrm{tr} S_c}{F}\, I

with the shrinkage :math:`\alpha` of Ledoit and Wolf, on features scaled to mean 0 and variance 1.

Source: Lee et al., NeurIPS 2018 (Mahalanobis detection); Ledoit and Wolf 2004.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from art_snn.errors import explain

LEAST = 3
"""Samples that a class needs."""


@dataclass(frozen=True)
class ClassGaussians:
    """Means ``[K, F]`` and precisions ``[K, F, F]`` of scaled features, float64; shift and scale ``[F]``."""

    shift: Tensor
    scale: Tensor
    means: Tensor
    precisions: Tensor

    def distance(self, features: Tensor, label: Tensor) -> Tensor:
        """Squared distance ``[N]`` of ``features [N, F]`` to the class of ``label [N]``, in units of F."""
        gap = (features.double() - self.shift) / self.scale - self.means[label]
        return torch.einsum("nf,nfg,ng->n", gap, self.precisions[label], gap) / len(self.shift)


def fit_gaussians(features: Tensor, label: Tensor, classes: int) -> ClassGaussians:
    """Fit one Gaussian per class.

    :param features: ``[N, F]``.
    :param label: class of each sample, ``[N]``.
    :param classes: number of classes.
    :raises ValueError: if a class has fewer than 3 samples.

    >>> f = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> fit_gaussians(f, torch.arange(60) % 2, 2).distance(f, torch.arange(60) % 2).mean().item() < 2
    True
    """
    values, y = features.detach().double().cpu(), label.cpu()
    counts = torch.bincount(y, minlength=classes)
    if int(counts.min()) < LEAST:
        came = f"{int(counts.min())} right predictions of class {int(counts.argmin())}"
        raise ValueError(explain(came, f"at least {LEAST} samples per class", "fit on more clean samples"))
    shift, spread = values.mean(0), values.std(0)
    scale = torch.where(spread > 1e-9, spread, torch.ones_like(spread))
    scaled = (values - shift) / scale
    means, precisions = [], []
    for c in range(classes):
        fitted = LedoitWolf().fit(scaled[y == c].numpy())
        means.append(torch.as_tensor(fitted.location_))
        floor = 1e-6 * np.eye(len(shift))
        precisions.append(torch.as_tensor(np.linalg.inv(fitted.covariance_ + floor)))
    device = features.device
    return ClassGaussians(*(v.to(device) for v in (shift, scale, torch.stack(means), torch.stack(precisions))))
