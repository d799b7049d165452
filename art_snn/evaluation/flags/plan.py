"""How much each check may spend. The sizes are fixed, so that the same seed gives the same flags anywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of the checks.

    :param probes: samples of the cheap checks.
    :param samples: samples of the expensive ones (attacks, landscapes): a fixed subset of the probes.
    :param steps: steps of the attack whose convergence is measured; it is then doubled.
    :param random_steps: the same for a model that draws random numbers, where each step takes ten draws.
    :param queries: queries of the black-box attack.
    :param random_queries: the same for a model that draws random numbers, ten draws each.
    :param nes_samples: points of the gradient estimate without gradients.
    :param nes_points: samples that it is made for.
    :param grid: side of the loss landscape.
    :param points: random points for the stability of the loss.
    """

    probes: int = 64
    samples: int = 32
    steps: int = 100
    random_steps: int = 10
    queries: int = 300
    random_queries: int = 60
    nes_samples: int = 2000
    nes_points: int = 6
    grid: int = 9
    points: int = 100

    def record(self) -> dict[str, int]:
        """JSON-ready."""
        return asdict(self)


DEFAULT = Plan()
"""The plan of ``compare`` and ``diagnose``."""
