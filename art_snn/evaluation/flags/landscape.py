"""W13, W14, W15: is the loss a hill that a gradient can climb?"""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.evaluation.flags.base import Check, Reading
from art_snn.evaluation.flags.evidence import Evidence
from art_snn.evaluation.flags.forward import frozen_logits, no_gradient
from art_snn.evaluation.seeding import derived_seed

Array = np.ndarray[Any, np.dtype[Any]]
_FLAT = 1e-6
_JAGGED = 1.5
_SIGMA = 0.05
_RADIUS = 8 / 255


def margins(z: Array, y: Array) -> Array:
    """Best other logit minus the label's, ``[N]``.

    >>> margins(np.array([[3.0, 1.0]]), np.array([0])).tolist()
    [-2.0]
    """
    rows = np.arange(len(z))
    other = z.astype(np.float64).copy()
    other[rows, y] = -np.inf
    return np.asarray(other.max(1) - z[rows, y])


def cross_entropy(z: Array, y: Array) -> Array:
    """Cross-entropy of each row, in float64."""
    shifted = z.astype(np.float64) - z.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(z)), y])


def _margin_gradients(evidence: Evidence) -> tuple[Array, Array, Array]:
    """The samples that the landscape is looked at for, their labels, and the gradients of their margins."""
    rows = slice(0, evidence.plan.nes_points)
    x, y = evidence.few[0][rows], evidence.few[1][rows]
    grad, _ = evidence.gradient(x, y, "margin")
    if grad is None or grad.shape != x.shape:
        raise no_gradient()
    return x, y, grad


class Landscape(Check):
    """W13."""

    id = "W13"
    title = "loss landscape"
    rule = (
        "on a grid along the gradient's sign and a random sign direction the margin is neither flat nor jagged (mean "
        "second difference above 1.5 mean first differences) for more than half of the samples"
    )
    threshold = 0.5
    advice = "gradient attacks have little to climb here: add a query attack and transfer, and quote the worst case"

    def measure(self, evidence: Evidence) -> Reading:
        """The share of samples whose landscape is flat or jagged."""
        x, y, grad = _margin_gradients(evidence)
        side = evidence.plan.grid
        ticks = np.linspace(-evidence.eps, evidence.eps, side, dtype=np.float32)
        signs = np.random.default_rng(derived_seed(evidence.seed, "plane")).choice([-1.0, 1.0], size=x.shape)
        along, across = np.sign(grad), signs.astype(np.float32)
        shape = (side, side, *[1] * x.ndim)
        a, b = (axis.reshape(shape) for axis in np.meshgrid(ticks, ticks, indexing="ij"))
        points = (x + a * along + b * across).astype(np.float32).reshape(-1, *x.shape[1:])
        clip = evidence.classifier.clip_values
        points = points if clip is None else np.clip(points, *clip).astype(np.float32)
        z = frozen_logits(evidence, points, derived_seed(evidence.seed, "plane"))
        surface = margins(z, np.tile(y, side * side)).reshape(side, side, len(x))
        flat, jagged = _flat(surface), _jagged(surface)
        found = f"{flat.mean():.1%} of the landscapes flat, {jagged.mean():.1%} jagged"
        return Reading(float((flat | jagged).mean()), samples=len(x), found=found)


def _flat(surface: Array) -> Array:
    return np.asarray(np.ptp(surface, axis=(0, 1)) <= _FLAT * (1 + np.abs(surface).max(axis=(0, 1))))


def _jagged(surface: Array) -> Array:
    first = np.abs(np.diff(surface, axis=0)).mean((0, 1))
    second = np.abs(np.diff(surface, n=2, axis=0)).mean((0, 1))
    return np.asarray(second > _JAGGED * np.maximum(first, 1e-300))


class GradientQuality(Check):
    """W14."""

    id = "W14"
    title = "gradient quality"
    rule = (
        "the margin's gradient correlates by at least 0.1 with an antithetic estimate from forward passes (NES, sigma "
        "0.05 of the range, 2000 points), on average"
    )
    threshold = 0.1
    advice = "the surrogate gradient points elsewhere than the loss rises: try other surrogates, and query attacks"

    def measure(self, evidence: Evidence) -> Reading:
        """The mean correlation over the samples; raised where it is low."""
        x, y, grad = _margin_gradients(evidence)
        found = []
        for i in range(len(x)):
            estimate = nes_gradient(evidence, x[i], int(y[i]), evidence.plan.nes_samples)
            found.append(correlation(grad[i].ravel(), estimate.ravel()))
        mean = float(np.mean(found))
        details = {"each": [float(value) for value in found], "points": evidence.plan.nes_samples}
        return Reading(mean, mean < self.threshold, len(x), f"correlation {mean:.2f}", details)


def nes_gradient(evidence: Evidence, x: Array, y: int, points: int) -> Array:
    r"""Antithetic estimate :math:`\frac1{2\sigma m}\sum_i (m(x+\sigma u_i) - m(x-\sigma u_i))\,u_i` of the margin."""
    seed = derived_seed(evidence.seed, "nes")
    pairs = max(points // 2, 1)
    u = np.random.default_rng(seed).standard_normal((pairs, *x.shape)).astype(np.float32)
    step = np.float32(_SIGMA * evidence.span)
    both = np.concatenate([x + step * u, x - step * u])
    values = margins(frozen_logits(evidence, both, seed), np.full(2 * pairs, y))
    weight = (values[:pairs] - values[pairs:]) / (2 * float(step) * pairs)
    return np.asarray(np.tensordot(weight, u.astype(np.float64), axes=(0, 0)))


def correlation(a: Array, b: Array) -> float:
    """Pearson correlation; 0 where one of them is constant.

    >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 6)
    1.0
    """
    a, b = a.astype(np.float64) - a.mean(), b.astype(np.float64) - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b / size) if size > 0 else 0.0


class UnstableLoss(Check):
    """W15."""

    id = "W15"
    title = "unstable loss"
    rule = (
        "the cross-entropy changes by at most half of itself (each change capped at 1) over 100 random points within "
        "8/255 of the range, on average; there are classes enough for DLR (3) and targeted DLR (4)"
    )
    threshold = 0.5
    advice = (
        "the loss is too rough, or has too few classes, for the losses that attacks use: average over a small ball, or "
        "use the margin"
    )

    def measure(self, evidence: Evidence) -> Reading:
        """The mean relative change of the loss."""
        x, y = evidence.few
        seed = derived_seed(evidence.seed, "ball")
        base = cross_entropy(frozen_logits(evidence, x, seed), y)
        changes = []
        for point in range(evidence.plan.points):
            near = evidence.near(x, _RADIUS * evidence.span, derived_seed(seed, point))
            moved = cross_entropy(frozen_logits(evidence, near, seed), y)
            changes.append(np.minimum(np.abs(moved - base) / np.maximum(base, 1e-12), 1.0))
        mean = float(np.mean(changes))
        classes = int(evidence.classifier.nb_classes)
        few = classes < 4
        found = f"the loss changes by {mean:.2f} of itself" + (
            f"; {classes} classes are too few for DLR" if few else ""
        )
        return Reading(mean, mean > self.threshold or few, len(x), found, {"classes": classes})
