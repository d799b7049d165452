"""Index tables of attacks and defenses, from the registries.

What a class knows of itself is read off it; what may change and what the attacker knows is said here, one row per
attack. ``tests/docs/test_tables.py`` fails for an attack without a row, and for a row without an attack.
"""

from __future__ import annotations

import inspect
import re
from typing import Any
from unicodedata import normalize

import numpy as np
from art.attacks.attack import Attack

from art_snn.attacks import evasion, inference, poisoning
from art_snn.attacks.evasion import GridAttack, PixelAttack
from art_snn.attacks.evasion.native import NativeAttack
from art_snn.bibliography import bibliography
from art_snn.defenses.catalogue import DEFENSES, defended
from art_snn.defenses.trainer import RECIPES, TRAINERS
from art_snn.evaluation import ATTACKS
from art_snn.evaluation.attacks import SUITES
from art_snn.neurons import StochasticGate
from art_snn.sources import OURS, SOURCES

GRADIENTS, QUERIES, NOTHING = "gradients", "queries", "nothing"
SEEDED, NONE = "starts, seeded", "none"
ACCENTS = {'"': "\u0308", "~": "\u0303", "'": "\u0301", "`": "\u0300", "^": "\u0302"}
NORMS = {np.inf: "L∞", 2.0: "L2", 1.0: "L1", 0.0: "L0"}

ROWS: dict[str, tuple[str, str, str, str, str]] = {
    "SNNAutoAttack": ("pixels", "", "gradients, queries, transfer", SEEDED, "attacks/snn_autoattack"),
    "SNNAutoPGD": ("pixels", "", GRADIENTS, SEEDED, "api/attacks-images"),
    "StableAdaptivePGD": ("pixels", "", GRADIENTS, SEEDED, "api/attacks-images"),
    "FAB": ("pixels", "", GRADIENTS, SEEDED, "api/attacks-images"),
    "LatencyPGD": ("pixels, by spike times", "", GRADIENTS, SEEDED, "api/attacks-images"),
    "SNNSquare": ("pixels", "", QUERIES, "seeded", "api/attacks-images"),
    "RandomCorners": ("pixels", "", NOTHING, "seeded", "api/attacks-images"),
    "Transfer": ("pixels", "", "gradients of another model", SEEDED, "api/attacks-images"),
    "SpikeCompatibleImages": ("pixels", "", GRADIENTS, "seeded", "attacks/spike_compatible"),
    "DetectorAwarePGD": ("pixels", "", "gradients of model and detector", SEEDED, "defenses/detector"),
    "SpikeRetiming": ("spike times", "steps, moves", GRADIENTS, SEEDED, "attacks/spike_retiming"),
    "ProjectedRetiming": ("spike times", "steps, moves", GRADIENTS, "seeded", "attacks/spike_retiming"),
    "RandomRetiming": ("spike times", "steps, moves", NOTHING, "seeded", "attacks/spike_retiming"),
    "HammingFW": ("cells of a grid", "", GRADIENTS, SEEDED, "attacks/hamming_fw"),
    "SparseEventAttack": ("cells of a grid, few", "", GRADIENTS, SEEDED, "attacks/sparse_event"),
    "SpikeFool": ("cells of a grid, few", "", GRADIENTS, SEEDED, "attacks/spike_fool"),
    "SpikeCompatibleGradient": ("cells of a grid", "", GRADIENTS, "seeded", "attacks/spike_compatible"),
    "GumbelEventAttack": ("cells of a grid", "", GRADIENTS, "seeded", "attacks/gumbel_event"),
    "EventSquare": ("cells of a grid", "", QUERIES, "seeded", "attacks/event_square"),
    "FrameAttack": ("cells of a grid, added", "", QUERIES, NONE, "attacks/frame"),
    "CornerAttack": ("cells of a grid, added", "", QUERIES, NONE, "attacks/corner"),
    "DashAttack": ("cells of a grid, added", "", QUERIES, NONE, "attacks/dash"),
    "MovingDashAttack": ("cells of a grid, added", "", QUERIES, NONE, "attacks/moving_dash"),
    "RandomEvents": ("cells of a grid", "", NOTHING, "seeded", "attacks/random_events"),
    "UniversalEventPerturbation": ("the same cells of all grids", "", GRADIENTS, SEEDED, "attacks/universal_event"),
    "EventPatch": (
        "one window of the sensor",
        "pixels of its side",
        GRADIENTS,
        "places, seeded",
        "attacks/event_patch",
    ),
    "SpikeSponge": ("pixels, cells or spike times, for energy", "any", GRADIENTS, SEEDED, "attacks/spike_sponge"),
    "InputDropoutMIA": ("nothing: who was in the training set", "-", "labels, losses", "seeded", "attacks/membership"),
    "StaticTrigger": ("training recordings", "pixels, share", "training data", "seeded", "attacks/backdoor"),
    "MovingTrigger": ("training recordings", "pixels, share", "training data", "seeded", "attacks/backdoor"),
    "SmartTrigger": ("training recordings", "pixels, share", "training data", "seeded", "attacks/backdoor"),
    "StrobingTrigger": ("training recordings", "pixels, share", "training data", "seeded", "attacks/backdoor"),
    "FlashTrigger": ("training recordings", "frames, share", "training data", NONE, "attacks/backdoor"),
    "DynamicTrigger": ("training recordings", "strength, share", "data and a model", "learned", "attacks/backdoor"),
}
"""One row per attack: what may change, norm or unit, what the attacker uses, random numbers, page."""
KINDS = (Attack, poisoning.Trigger, poisoning.DynamicTrigger)
BASES = {NativeAttack, PixelAttack, GridAttack, poisoning.Trigger}


def attack_classes() -> dict[str, type]:
    """Every public attack: evasion, inference, poisoning; base classes left out."""
    found = {}
    for package in (evasion, inference, poisoning):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) and issubclass(value, KINDS) and value not in BASES:
                found[name] = value
    return found


def attacks_page() -> str:
    """The tables of attacks, as Markdown."""
    rows = []
    for name, (what, unit, knows, draws, page) in ROWS.items():
        kind = attack_classes()[name]
        suffix = "rst" if page.startswith("api/") else "md"
        link = f"[{name}](/{page}.{suffix})"
        rows.append([link, what, unit or _unit(kind), knows, draws, source(name)])
    named = [
        [f"`{name}`", attack.title, attack.knowledge, source(name)] for name, attack in {**ATTACKS, **SUITES}.items()
    ]
    return "\n".join([
        *_table(["attack", "may change", "norm or unit", "the attacker uses", "random numbers", "source"], rows),
        "", "## By the names of `art-snn compare`", "",
        *_table(["name", "what it is", "knowledge", "source"], named), "",
    ])  # fmt: skip


def defenses_page() -> str:
    """The tables of defenses, as Markdown."""
    rows = []
    for name, design in DEFENSES.items():
        if design.twin == name:
            continue
        shape = (4, 2, 16, 16) if design.events else (1, 8, 8)
        net = defended(name, shape, 10, T=4)
        gated = any(isinstance(module, StochasticGate) for module in net.modules())
        random = "at every prediction" if net.is_stochastic or gated else "none"
        entry = TRAINERS[design.trainer]
        masks = "**suspect**" if entry.masks else ""
        rows.append([
            f"`{name}`", design.title, "events" if design.events else "images", _part(design), random, masks,
            f"`{design.twin}`", entry.recipe, source(name),
        ])  # fmt: skip
    named = {design.trainer for design in DEFENSES.values()}
    trainers = [
        [f"`{name}`", entry.title, "events" if entry.events else "images", "**suspect**" if entry.masks else "",
         entry.recipe, source(name)]
        for name, entry in TRAINERS.items() if name not in named
    ]  # fmt: skip
    head = ["name", "what it is", "for", "changes", "random numbers", "masks gradients", "compared with"]
    return "\n".join([
        *_table([*head, "judged by", "source"], rows),
        "", "## Trainers that are no design of the catalogue", "",
        *_table(["name", "what it is", "for", "masks gradients", "judged by", "source"], trainers),
        "", "## The adaptive attacks by which they are judged", "",
        *_table(["recipe", "attack"], [[name, f"`{text}`"] for name, text in RECIPES.items()]), "",
    ])  # fmt: skip


def source(name: str) -> str:
    """Papers of a method, with a link where there is a number at arXiv; or what it is without one."""
    if name in OURS:
        return OURS[name]
    return "; ".join(_short(key) for key in SOURCES[name])


def _short(key: str) -> str:
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", bibliography()[key], flags=re.MULTILINE))
    author = plain(fields.get("author", ""))
    first = author.split(" and ")[0].split(",")[0]
    many = " et al." if author.count(" and ") > 1 or author.endswith("others") else ""
    second = author.split(" and ")[1].split(",")[0] if " and " in author and not many else ""
    words = first + (f" and {second}" if second else many) if author else fields.get("title", fields.get("note", key))
    text = f"{plain(words).split(':')[0]} {fields['year']}"
    return f"[{text}](https://arxiv.org/abs/{fields['eprint']})" if "eprint" in fields else text


def plain(tex: str) -> str:
    r"""A name of the bibliography as it is written: accents set, braces gone.

    >>> plain(r'B{\"u}chel and Ria{\~n}o, {SNN}')
    'Büchel and Riaño, SNN'
    """
    accented = re.sub(r"\\([\"~'`^])\{?(\w)\}?", lambda found: normalize("NFC", found[2] + ACCENTS[found[1]]), tex)
    return re.sub(r"[{}\\]", "", accented)


def _unit(kind: type) -> str:
    """Norms of a pixel attack, the unit of a grid attack."""
    norms = getattr(kind, "norms", None)
    if issubclass(kind, GridAttack):
        return "k cells (L0)"
    return ", ".join(NORMS[norm] for norm in norms) if norms else "L∞, L2, L1"


def _part(design: Any) -> str:
    if design.trainer != "plain":
        return "training" + (f", neuron `{design.neuron}`" if design.neuron != "lif" else "")
    if design.transform is not None:
        return "spike train"
    if design.decoder is not None:
        return "read-out"
    return f"neuron `{design.neuron}`" if design.neuron != "lif" else "code"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
