"""Figures of a comparison: each a function ``plot(result, ax=None) -> Axes``, by name in :data:`PLOTS`."""

from collections.abc import Callable
from typing import Any

from art_snn.evaluation.plots.accuracy import attack_bars, attack_ladder, security_curves, transfer_map
from art_snn.evaluation.plots.canvas import COLORS, MARKERS, new_figure, plain_text, png, svg
from art_snn.evaluation.plots.examples import example_images
from art_snn.evaluation.plots.probes import (
    certificates,
    convergence,
    gradient_cosines,
    gradient_norms,
    surrogate_spread,
)
from art_snn.evaluation.plots.spikes import decisions, over_time, pareto, raster, spiking, timed

PLOTS: dict[str, Callable[..., Any]] = {
    "security_curves": security_curves,
    "attacks": attack_bars,
    "ladder": attack_ladder,
    "transfer": transfer_map,
    "pareto": pareto,
    "over_time": over_time,
    "decisions": decisions,
    "raster": raster,
    "convergence": convergence,
    "surrogates": surrogate_spread,
    "gradient_norms": gradient_norms,
    "cosines": gradient_cosines,
    "certificates": certificates,
}
"""Figures by name."""

__all__ = [
    "COLORS", "MARKERS", "PLOTS", "attack_bars", "attack_ladder", "certificates", "convergence", "decisions",
    "example_images", "gradient_cosines", "gradient_norms", "new_figure", "over_time", "pareto", "plain_text", "png",
    "raster", "security_curves", "spiking", "surrogate_spread", "svg", "timed", "transfer_map",
]  # fmt: skip
