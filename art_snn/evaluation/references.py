"""The papers behind exactly what ran: attacks, models, codes, statistics and counts, as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from art_snn.bibliography import bibliography
from art_snn.sources import SOURCES

if TYPE_CHECKING:
    from art_snn.evaluation.comparison import Comparison

_ALWAYS = ("artsnn", "nicolae2018art", "yik2023neurobench", "horowitz2014computing", "wilson1927probable")


def references(result: Comparison) -> dict[str, Any]:
    """The entries of what ran, as a record."""
    keys = sorted(set(_used(result)))
    return {"key": "references", "kind": "references", "entries": {key: bibliography()[key] for key in keys}}


def _used(result: Comparison) -> Iterator[str]:
    yield from _ALWAYS
    for attack in result.attacks:
        yield from SOURCES.get(attack, ())
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
        words = re.findall(r"\w+", " ".join([card.get("encoder", ""), card["activation"], *card["in front"]]))
        yield from (key for word in words for key in SOURCES.get(word, ()))
