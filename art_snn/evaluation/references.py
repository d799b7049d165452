"""The papers behind exactly what ran: attacks, models, codes, statistics and counts, as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison

_ALWAYS = ("nicolae2018art", "yik2023neurobench", "horowitz2014computing", "wilson1927probable")
_ATTACKS: dict[str, tuple[str, ...]] = {
    "fgsm": ("goodfellow2015explaining",), "pgd": ("madry2018towards",), "apgd-ce": ("croce2020reliable",),
    "apgd-margin": ("croce2020reliable",), "adaptive": ("croce2020reliable",), "square": ("andriushchenko2020square",),
}  # fmt: skip
_NEURONS = {
    "DLIF": "ding2024stable", "EvolutionaryLeak": "xu2024feel", "HomeostaticLIF": "geng2023hosnn",
    "StochasticGate": "ding2024gating", "ConvertedIF": "bu2022optimal",
}  # fmt: skip
_SUITE = ("croce2020reliable", "croce2020minimally", "andriushchenko2020square", "assg2025")


@cache
def bibliography() -> dict[str, str]:
    """All entries by key.

    >>> bibliography()["holm1979simple"].splitlines()[0]
    '@article{holm1979simple,'
    """
    text = files("art_snn.evaluation").joinpath("templates", "bibliography.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.strip()]
    return {re.match(r"@\w+\{([^,]+),", entry)[1]: entry for entry in entries}  # type: ignore[index]


def references(result: Comparison) -> dict[str, Any]:
    """The entries of what ran, as a record."""
    keys = sorted(set(_used(result)))
    return {"key": "references", "kind": "references", "entries": {key: bibliography()[key] for key in keys}}


def _used(result: Comparison) -> Iterator[str]:
    yield from _ALWAYS
    for attack in result.attacks:
        yield from _SUITE if attack.startswith("auto-") else _ATTACKS.get(attack, ())
    if result.transfer:
        yield "papernot2016transferability"
    if result.tests():
        yield from ("mcnemar1947note", "holm1979simple")
    if any(result.networks(model) > 1 for model in result.models):
        yield "vovk2020combining"
    run = next((record for record in result.records if record["kind"] == "run"), {})
    for card in run.get("cards", {}).values():
        if "encoder" in card:
            yield "fang2023spikingjelly"
        if card.get("random"):
            yield "athalye2018synthesizing"
        if "quantized" in card["activation"]:
            yield from ("bu2022optimal", "yan2024reconsidering")
        yield from (key for name, key in _NEURONS.items() if name in card["activation"])
