"""From lines to the page, and to what is wrong."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from art_matrix.cases import CASES
from art_matrix.catalogue import NOT_FOR_CLASSIFIERS, PACKAGES, discover
from art_matrix.runner import WORKS
from art_matrix.victims import VICTIMS

Line = dict[str, Any]
Table = dict[str, dict[str, Line]]

_LINK = "[pitfalls](art-pitfalls.md#{})"
_BLIND = f"differences of this size change no spike ({_LINK.format('finite-differences')}); wide ones work"
_RAW = "a spike code needs raw intensities: `SNNClassifier` refuses standardization in front of it, and says so"

DOCUMENTED: dict[str, str] = {
    "FeatureAdversariesNumpy": f"differences of this size change no spike ({_LINK.format('finite-differences')})",
    "VirtualAdversarialMethod": _BLIND,
    "StandardisationMeanStd": _RAW,
    "StandardisationMeanStdPyTorch": _RAW,
    "SquareAttack, L2, images of 8 pixels": f"ART asks about NaN images ({_LINK.format('square-l2')}): a plain network"
    " answers NaN, `SNNClassifier` refuses; larger images work",
    "FrameSaliencyAttack, refresh, several samples": f"ART leaves its budget ({_LINK.format('frame-saliency')}); the"
    " plain network falls before it shows",
}
"""Cases that fail on a spiking network alone, by name, each for a property that is documented."""

HEAD = """# Everything in ART, on a spiking network

Written by a program; do not edit. It looks up what the installed ART has, and calls it on a small `SNNClassifier` with
direct code (4 steps), on one with latency code (8 steps), and on a plain `PyTorchClassifier` of the same layers. A call
works if it returns what it must: the right shape, finite, inside the range and the budget, the input untouched; and an
attack on the loss must have raised it. Networks and iterations are tiny: *works* says nothing about strength. What runs
and misleads stands in [pitfalls of ART](art-pitfalls.md).

    python benchmarks/art_compatibility.py && python benchmarks/art_compatibility.py --page
"""

PLURAL = {
    "evasion": "Evasion attacks", "poisoning": "Poisoning attacks", "extraction": "Extraction attacks",
    "inference": "Inference attacks", "preprocessor": "Preprocessors, and expectation over transformation",
    "postprocessor": "Postprocessors", "trainer": "Trainers", "transformer": "Transformers", "detector": "Detectors",
    "metric": "Metrics", "evaluation": "Evaluations, summary writer", "certification": "Certification",
    "wrapper": "Classifiers around classifiers",
}  # fmt: skip


def by_case(lines: list[Line]) -> Table:
    """Lines by case and victim, in the order of the cases."""
    found: Table = {name: {} for name in CASES}
    for line in lines:
        found[line["case"]][line["victim"]] = line
    return {name: row for name, row in found.items() if row}


def regressions(lines: list[Line]) -> list[str]:
    """Cases that work on the plain network and fail on a spiking one without a documented reason, or are missing."""
    found = by_case(lines)
    wrong = [f"{name} has not been run" for name in CASES if set(found.get(name, {})) != set(VICTIMS)]
    wrong += [
        f"{name} fails on {victim} alone: {row[victim]['outcome']}, {row[victim]['detail']}"
        for name, row in found.items()
        for victim in VICTIMS[1:]
        if _alone(row, victim) and name not in DOCUMENTED
    ]
    return wrong + [
        f"{name} is excused, and works" for name in DOCUMENTED if name in found and not _any_alone(found[name])
    ]


def _alone(row: dict[str, Line], victim: str) -> bool:
    return victim in row and row[victim]["outcome"] != WORKS and row.get("ann", {}).get("outcome") == WORKS


def _any_alone(row: dict[str, Line]) -> bool:
    return any(_alone(row, victim) for victim in VICTIMS[1:])


def write(path: Path, lines: list[Line], wrong: list[str]) -> None:
    """The page ``docs/art-compatibility.md``."""
    path.write_text("\n".join(_page(by_case(lines), wrong)) + "\n")


def _page(found: Table, wrong: list[str]) -> Iterator[str]:
    known, _ = discover()
    kinds = {one.name: one.kind for one in known}
    count = {victim: sum(row.get(victim, {}).get("outcome") == WORKS for row in found.values()) for victim in VICTIMS}
    alone = sum(_any_alone(row) for row in found.values())
    packages = ("adversarial-robustness-toolbox", "torch", "spikingjelly", "numpy")
    used = ", ".join(f"{name} {version(name)}" for name in packages)
    met = sum(one.name not in NOT_FOR_CLASSIFIERS for one in known)
    excused = sum(_any_alone(row) and name in DOCUMENTED for name, row in found.items())
    yield HEAD
    yield f"{used}, Python {platform.python_version()}."
    yield f"ART has {len(known)} classes and functions of these kinds; {met} of them meet a PyTorch image classifier"
    yield f"and have {len(found)} cases here. The others are listed at the end."
    yield from ("", "| | plain network | direct code | latency code |", "|---|---|---|---|")
    yield f"| cases that work, of {len(found)} | {count['ann']} | {count['direct']} | {count['latency']} |"
    yield ""
    yield f"**Cases that fail on a spiking network and work on the plain one: {alone}**, {excused} of them documented."
    yield ""
    if wrong:
        yield from ("## Not as it should be", "", *(f"* {line}" for line in wrong), "")
    for kind in PACKAGES:
        rows = {name: row for name, row in found.items() if kinds.get(CASES[name].covers[0]) == kind}
        if rows:
            yield from _section(PLURAL[kind], rows)
    yield from _failures(found)
    yield from _excluded(known)


def _section(title: str, rows: Table) -> Iterator[str]:
    yield from (f"## {title}", "")
    yield "| case | plain | direct | latency | seconds | forward + backward samples | remarks |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        outcomes = " | ".join(_outcome(row.get(victim)) for victim in VICTIMS)
        seconds = " / ".join(f"{row[v]['seconds']:.1f}" for v in VICTIMS if v in row)
        cost = " / ".join(f"{row[v]['forwards']} + {row[v]['backwards']}" for v in VICTIMS if v in row)
        yield f"| {name} | {outcomes} | {seconds} | {cost} | {_remark(row)} |"
    yield ""


def _outcome(line: Line | None) -> str:
    return "–" if line is None else line["outcome"] if line["outcome"] == WORKS else f"**{line['outcome']}**"


def _remark(row: dict[str, Line]) -> str:
    notes = [row[v]["notes"] for v in VICTIMS if v in row]
    return " / ".join(notes) if any(notes) else ""


def _failures(found: Table) -> Iterator[str]:
    yield from ("## What fails, and where else", "")
    yield "| case | plain network | spiking, direct | spiking, latency | so it is |"
    yield "|---|---|---|---|---|"
    for name, row in found.items():
        if any(line["outcome"] != WORKS for line in row.values()):
            cells = " | ".join(_reason(row.get(victim)) for victim in VICTIMS)
            yield f"| {name} | {cells} | {_verdict(name, row)} |"
    yield ""


def _reason(line: Line | None) -> str:
    if line is None or line["outcome"] == WORKS:
        return _outcome(line)
    return f"{line['outcome']}: {line['detail']}".replace("|", "\\|").replace("<", "&lt;")


def _verdict(name: str, row: dict[str, Line]) -> str:
    if _any_alone(row):
        return DOCUMENTED.get(name, "**to be repaired**")
    if all(row[v]["outcome"] == WORKS for v in VICTIMS[1:] if v in row):
        return "a limit of ART that the spiking classifier does not have"
    return "a limit of ART: fails on the plain network too"


def _excluded(known: list[Any]) -> Iterator[str]:
    yield from ("## Not for PyTorch image classifiers", "", "| reason | classes |", "|---|---|")
    for reason in dict.fromkeys(NOT_FOR_CLASSIFIERS.values()):
        names = [one.name for one in known if NOT_FOR_CLASSIFIERS.get(one.name) == reason]
        yield f"| {reason} | {', '.join(names)} |"
