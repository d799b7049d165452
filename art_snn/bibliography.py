"""BibTeX for exactly the methods that were used.

The entries are in ``bibliography.bib``, which method has which is in :mod:`art_snn.sources`. An entry holds what we
have seen confirmed and no more: where a title is missing, author, year and a note on what it brought identify it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from torch import nn

from art_snn.errors import explain, nearest
from art_snn.sources import OURS, SOURCES

ALWAYS = ("artsnn", "fang2023spikingjelly", "nicolae2018art")
"""Cited whatever was used: this package, SpikingJelly, ART."""
_HOLDERS = ("model", "classifier", "estimator")
"""Attributes under which the model is kept, which is no part of the attack or defense that holds it."""


@cache
def bibliography() -> dict[str, str]:
    """All entries by key.

    >>> bibliography()["holm1979simple"].splitlines()[0]
    '@article{holm1979simple,'
    """
    text = files("art_snn").joinpath("bibliography.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.split(r"\n(?=@)", text) if entry.strip()]
    return {re.match(r"@\w+\{([^,]+),", entry)[1]: entry for entry in entries}  # type: ignore[index]


def citation(*methods: Any) -> str:
    """BibTeX entries of what was used, sorted by key; those of art-snn, ART and SpikingJelly are always there.

    :param methods: names (``"SpikeRetiming"``, ``"trades"``, ``"apgd-ce"``), classes or instances: an attack, a code, a
        policy, a neuron, a defense; of a network or classifier all its parts; of a comparison everything that ran.
    :return: BibTeX, one empty line between entries.
    :raises ValueError: for a method that is not known; the message suggests the nearest name.

    >>> [line for line in citation("ASSG").splitlines() if line.startswith("@")]
    ['@software{artsnn,', '@misc{assg2025,', '@article{fang2023spikingjelly,', '@misc{nicolae2018art,']
    """
    keys = set(ALWAYS).union(*(_keys(method) for method in methods))
    return "\n\n".join(bibliography()[key] for key in sorted(keys))


def sources_of(kind: type) -> tuple[str, ...] | None:
    """Keys of a class, or of the nearest class above it that has some; ``None`` if none is known.

    >>> from art_snn.gradients import HART
    >>> sources_of(HART)
    ('hao2024threaten',)
    """
    for base in kind.__mro__:
        if base.__name__ in SOURCES:
            return SOURCES[base.__name__]
        if base.__name__ in OURS:
            return ()
    return None


def _keys(method: Any) -> Iterator[str]:
    if isinstance(method, str):
        yield from _named(method)
    elif isinstance(method, type):
        yield from _certain(sources_of(method), method.__name__)
    elif hasattr(method, "records"):
        yield from (key for record in method.records if record["kind"] == "references" for key in record["entries"])
    elif isinstance(model := getattr(method, "model", method), nn.Module):
        yield from _parts(model)
        yield from (key for part in getattr(method, "preprocessing_defences", None) or () for key in _held(part))
    else:
        yield from _certain(sources_of(type(method)), type(method).__name__)
        yield from _held(method)


def _named(name: str) -> tuple[str, ...]:
    return () if name in OURS else _certain(SOURCES.get(name), name)


def _certain(keys: tuple[str, ...] | None, name: str) -> tuple[str, ...]:
    if keys is None:
        near = nearest(name, [*SOURCES, *OURS])
        fix = f"did you mean {near!r}?" if near else "cite the paper that its own documentation names"
        raise ValueError(explain(f"method {name!r}", "a class of art_snn or a name that art-snn list shows", fix))
    return keys


def _parts(model: nn.Module) -> Iterator[str]:
    """Of a network: every module with a source, and the policies in force."""
    for part in (*model.modules(), *getattr(model, "policies", ())):
        yield from sources_of(type(part)) or ()


def _held(thing: Any) -> Iterator[str]:
    """Of an attack or a defense: itself, and what it was given, such as a policy or a transform."""
    yield from sources_of(type(thing)) or ()
    for name, value in vars(thing).items():
        if name.strip("_") in _HOLDERS:
            continue
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, nn.Module):
                yield from _parts(part)
            else:
                yield from sources_of(type(part)) or ()
