"""How much each check may spend.

A comparison uses fixed sizes, so that the same seed gives the same flags anywhere. A diagnosis of one model has to end
in about a minute: it times the model and takes the largest of a few fixed plans that should fit. The plan is part of
the report, and a diagnosis with that plan gives the same flags again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from art_snn.evaluation.attacks import ATTACK_DRAWS

if TYPE_CHECKING:
    from art_snn.evaluation.flags.evidence import Evidence

_SHARE = 0.5
"""Of the time that is given; the rest is for a machine that gets busy."""


@dataclass(frozen=True)
class Plan:
    """Sizes of the checks.

    :param probes: samples of the cheap checks.
    :param samples: samples of the expensive ones (attacks, landscapes): a fixed subset of the probes.
    :param steps: steps of the attack whose convergence is measured; it is then doubled.
    :param random_steps: the same for a model that draws random numbers, where each step takes ten draws.
    :param queries: queries of the black-box attack.
    :param random_queries: the same for a model that draws random numbers, ten draws each.
    :param hops: samples that HopSkipJump takes on, among those that withstand every gradient attack.
    :param hop_steps: its steps.
    :param nes_samples: points of the gradient estimate without gradients.
    :param nes_points: samples that it is made for.
    :param grid: side of the loss landscape.
    :param points: random points for the stability of the loss.

    >>> Plan(probes=16, samples=8).record()["samples"]
    8
    """

    probes: int = 64
    samples: int = 32
    steps: int = 100
    random_steps: int = 10
    queries: int = 300
    random_queries: int = 60
    hops: int = 4
    hop_steps: int = 5
    nes_samples: int = 2000
    nes_points: int = 6
    grid: int = 9
    points: int = 100

    def record(self) -> dict[str, int]:
        """JSON-ready."""
        return asdict(self)


DEFAULT = Plan()
"""The plan of ``compare``."""
PLANS: dict[str, Plan] = {
    "ample": Plan(100, 64, 100, 20, 1000, 200, 8, 10, 2000, 8, 9, 100),
    "standard": DEFAULT,
    "short": Plan(64, 24, 50, 8, 150, 40, 3, 4, 1000, 4, 7, 50),
    "brief": Plan(48, 16, 30, 5, 100, 20, 2, 3, 500, 3, 7, 25),
    "least": Plan(32, 12, 15, 3, 50, 10, 1, 2, 200, 2, 5, 10),
}
"""Plans of a diagnosis, the largest first."""


def passes(plan: Plan, *, random: bool, pool: int, sources: int) -> tuple[float, float]:
    """About how many gradients and forward passes of a batch of ``plan.samples`` the checks take together.

    :param random: whether the model draws random numbers.
    :param pool: other gradients that are tried.
    :param sources: models to transfer from.
    """
    draws = ATTACK_DRAWS if random else 1
    steps = plan.random_steps if random else plan.steps
    curve, half = min(30, steps), max(steps // 2, 5)
    attacks = 1.0 + 20 + 2 * steps + 3 * curve + steps + 2 * steps + pool * half / 2
    whole = 4 * plan.random_steps if random else 80
    gradients: float = draws * (attacks + whole) + 50 + draws * 4 * plan.probes / plan.samples
    gradients += 26 * steps * min(16 / plan.samples, 1) if random else 0
    queries = plan.random_queries if random else plan.queries
    forwards: float = draws * (queries + sources * half) + 20 * draws
    forwards += (plan.nes_points * (plan.nes_samples + plan.grid**2)) / plan.samples + plan.points
    forwards += 0 if random else plan.hops * plan.hop_steps * (200 / plan.samples + 15)
    return gradients, forwards


def fitting(evidence: Evidence, seconds: float) -> tuple[str, Plan, float]:
    """The largest plan that should end in half of ``seconds``: its name, itself, and the seconds it should take."""
    pool, sources = len(evidence.pool), len(evidence.donors)
    found = ("", DEFAULT, 0.0)
    for name, plan in PLANS.items():
        x, y = evidence.x[: plan.samples], evidence.y[: plan.samples]
        forward = _seconds(lambda x=x: evidence.logits(x, 0, 1))  # type: ignore[misc]
        gradient = _seconds(lambda x=x, y=y: evidence.gradient(x, y, "margin", draws=1))  # type: ignore[misc]
        gradients, forwards = passes(plan, random=evidence.declared, pool=pool, sources=sources)
        found = (name, plan, gradients * gradient + forwards * forward)
        if found[2] <= _SHARE * seconds:
            break
    return found


def _seconds(work: Callable[[], object]) -> float:
    """The shortest of three runs, behind one that warms up."""
    work()
    found = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)
