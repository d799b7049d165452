"""The API reference: one page per topic, every public name on exactly one of them.

A name belongs to the topic whose module is the longest prefix of the module that it comes from, so a new name needs no
entry here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import art_snn

TOPICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "estimators": ("Classifiers", ("art_snn.estimators",)),
    "networks": ("Networks, twins, storage", ("art_snn.networks",)),
    "encoders": ("Codes", ("art_snn.coding",)),
    "decoders": ("Read-outs", (
        "art_snn.coding.base.Decoder",
        "art_snn.coding.count", "art_snn.coding.early_exit", "art_snn.coding.first_spike", "art_snn.coding.membrane",
        "art_snn.coding.time_weighted",
    )),
    "losses": ("Losses of output trains", ("art_snn.coding.losses",)),
    "transforms": ("Transforms of spike trains", (
        "art_snn.coding.perturb", "art_snn.coding.randomized", "art_snn.coding.transform", "art_snn.coding.filtered",
        "art_snn.coding.mean_over_time", "art_snn.coding.back_projection",
    )),
    "trains": ("Distances and pictures of trains", ("art_snn.coding.trains", "art_snn.coding.plots")),
    "neurons": ("Neurons", ("art_snn.neurons",)),
    "gradients": ("Gradient policies", ("art_snn.gradients",)),
    "conversion": ("From ANN to SNN", ("art_snn.conversion",)),
    "threats": ("Threat models", ("art_snn.threats",)),
    "attacks-images": ("Attacks on images", ("art_snn.attacks", "art_snn.attacks.evasion")),
    "attacks-spikes": ("Attacks on spikes and events", tuple(f"art_snn.attacks.evasion.{name}" for name in (
        "event_camera", "event_patch", "event_square", "grid", "gumbel_event", "hamming_fw", "lift", "random_events",
        "sea", "sparse_event", "spike_fool", "universal_event", "spike_retiming", "projected_retiming",
        "random_retiming", "spike_sponge", "sponge_record", "spike_compatible",
    ))),
    "attacks-data": ("Backdoors and membership", ("art_snn.attacks.poisoning", "art_snn.attacks.inference")),
    "preprocessors": ("Defenses on spike trains", ("art_snn.defenses", "art_snn.defenses.preprocessor")),
    "trainers": ("Defenses by training", ("art_snn.defenses.trainer", "art_snn.defenses.transformer")),
    "detectors": ("Detectors", ("art_snn.defenses.detector",)),
    "evaluation": ("Comparison and diagnosis", ("art_snn.evaluation", "art_snn.bibliography", "art_snn")),
    "flags": ("Reliability flags", ("art_snn.evaluation.flags",)),
    "cost": ("Cost, work and energy", ("art_snn.evaluation.cost",)),
    "plots": ("Figures of a comparison", ("art_snn.evaluation.plots",)),
    "data": ("Data sets", ("art_snn.data",)),
    "events": ("Event recordings and their files", ("art_snn.data.events",)),
    "testing": ("For tests", ("art_snn.testing",)),
}  # fmt: skip
"""Title and modules by page, in reading order."""


@dataclass
class Item:
    """One public object.

    :param name: shortest public path.
    :param home: where it is written.
    :param value: the object.
    :param paths: all paths by which it can be reached.
    """

    name: str
    home: str
    value: Any
    paths: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        """Directive of autodoc."""
        if inspect.isclass(self.value):
            return "exception" if issubclass(self.value, BaseException) else "class"
        return "function" if inspect.isroutine(self.value) else "data"

    @property
    def title(self) -> str:
        """First line of the text."""
        text = inspect.getdoc(self.value) if self.kind != "data" else _comment(self.home)
        return (text or "").strip().split("\n\n")[0].replace("\n", " ")


def public() -> list[Item]:
    """Every public object once: what the packages' ``__all__`` name."""
    packages = [art_snn.__name__, *(m.name for m in pkgutil.walk_packages(art_snn.__path__, "art_snn.") if m.ispkg)]
    items: dict[str, Item] = {}
    for package in packages:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", []):
            value = getattr(module, name)
            if name == "__version__" or inspect.ismodule(value):
                continue
            home = _home(value, name, package)
            item = items.setdefault(home, Item(f"{package}.{name}", home, value))
            item.paths |= {f"{package}.{name}", home}
            if (item.name.count("."), len(item.name)) > (package.count(".") + 1, len(package) + len(name) + 1):
                item.name = f"{package}.{name}"
    return sorted(items.values(), key=lambda item: item.name.rsplit(".", 1)[1].lower())


def topic_of(item: Item) -> str:
    """Slug of the topic of an object."""
    length, found = 0, "evaluation"
    for slug, (_, modules) in TOPICS.items():
        for module in modules:
            if (item.home + ".").startswith(module + ".") and len(module) > length:
                length, found = len(module), slug
    return found


def exists(path: str) -> bool:
    """Whether an object or a module can be reached by its path."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(value, part) and part not in getattr(value, "__annotations__", {}):
                return False
            value = getattr(value, part, None)
        return True
    return False


def write(folder: Path) -> None:
    """Write a page per topic, and an index."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str, list[Item]] = {slug: [] for slug in TOPICS}
    for item in public():
        pages[topic_of(item)].append(item)
    for slug, items in pages.items():
        _keep(folder / f"{slug}.rst", _page(TOPICS[slug][0], items))
    contents = "\n".join(f"   {slug}" for slug in TOPICS)
    text = "Every public name, by topic. Each has its equation or rule, its shapes, its errors and an example."
    head = f"API reference\n=============\n\n{text}\n"
    _keep(folder / "index.rst", f"{head}\n.. toctree::\n   :maxdepth: 1\n\n{contents}\n")


def _page(title: str, items: list[Item]) -> str:
    told: set[str] = set()
    lines = [title, "=" * len(title), ""]
    lines += [".. list-table::", "   :widths: 35 65", "   :class: api", ""]
    for item in items:
        role = {"class": "class", "exception": "exc", "function": "func", "data": "data"}[item.kind]
        lines += [f"   * - :{role}:`~{item.name}`", f"     - {item.title}"]
    for item in sorted(items, key=lambda item: _explained(item, items)):
        module = _module(item)
        if module not in told:
            told.add(module)
            lines += _preface(module)
        lines += ["", f".. auto{item.kind}:: {item.name if item.kind != 'data' else item.home}"]
        if item.kind in ("class", "exception"):
            lines += ["   :members:", "   :show-inheritance:"]
        elif item.kind == "data":
            lines += ["   :no-value:"]
    return "\n".join(lines) + "\n"


def _module(item: Item) -> str:
    """The module that an object comes from."""
    return item.home.rsplit(".", 1)[0]


def _explained(item: Item, items: list[Item]) -> int:
    """Place on a page: objects of one module stand together, below its text."""
    return next(place for place, other in enumerate(items) if _module(other) == _module(item))


def _preface(module: str) -> list[str]:
    """The text of a module, where its mathematics stands."""
    text = inspect.getdoc(sys.modules[module]) or ""
    lines = ["", f".. rubric:: {module}", "", f".. automodule:: {module}", "   :no-members:", "   :no-index:"]
    return lines if ".. math::" in text else []


def _keep(path: Path, text: str) -> None:
    """Write where something changed, so that only that is built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _home(value: Any, name: str, package: str) -> str:
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    for module in [m for n, m in sorted(sys.modules.items()) if n.startswith(package)]:
        if getattr(module, name, None) is value and _assigned(module, name):
            return f"{module.__name__}.{name}"
    return f"{package}.{name}"


def _assigned(module: Any, name: str) -> bool:
    return bool(re.search(rf"^{name}\b[^=\n]*=", inspect.getsource(module), flags=re.MULTILINE))


def _comment(home: str) -> str:
    """The text below a constant."""
    module, name = home.rsplit(".", 1)
    source = inspect.getsource(importlib.import_module(module))
    found = re.search(rf'^{name}\b[^=\n]*=.*?\n"""(.*?)"""', source, flags=re.MULTILINE | re.DOTALL)
    return found[1] if found else ""
