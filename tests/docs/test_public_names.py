"""Every public name has a docstring, types, words on each parameter, and an example, or a reason why not."""

import inspect
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = str(ROOT / "docs" / "tools")
sys.path.insert(0, TOOLS)
import api  # noqa: E402

sys.path.remove(TOOLS)

ITEMS = [item for item in api.public() if item.kind in ("class", "function", "exception")]
CLASSES = [item.value for item in ITEMS if item.kind == "class"]
WITHOUT_EXAMPLE = {
    "art_snn.attacks.evasion.grid.GridAttack": "abstract",
    "art_snn.attacks.evasion.native.NativeAttack": "abstract",
    "art_snn.attacks.evasion.pixel.PixelAttack": "abstract",
    "art_snn.conversion.encoders.EncoderWarning": "exception",
    "art_snn.evaluation.flags.base.NotApplicableError": "exception",
    "art_snn.evaluation.sweep.run.InterruptedSweepError": "exception",
    "art_snn.testing.conformance.contracts.ConformanceError": "exception",
    "art_snn.data.events.aedat.read_aedat4": "needs a camera's file: tests/data/test_event_files.py",
    "art_snn.data.images.cifar10": "needs a download: tests/data/test_images.py",
    "art_snn.data.images.mnist": "needs a download: tests/data/test_images.py",
    "art_snn.evaluation.sweep.run.run_sweep": "trains networks: tests/evaluation/sweep/test_run.py",
}
"""Why a name has no example, and where it is run instead; what is abstract has examples in its subclasses."""
SHOWN = [item for item in ITEMS if item.home not in WITHOUT_EXAMPLE]


def has_example(value):
    return ">>>" in (value.__doc__ or "")


def parameters(item):
    value = item.value if item.kind == "function" else vars(item.value).get("__init__")
    if not inspect.isroutine(value):
        return []
    return [p for p in inspect.signature(value).parameters.values() if p.name not in ("self", "cls")]


def texts(item):
    """The text of a name and of the classes above it, and that of its module, where the formulas are."""
    kinds = item.value.__mro__ if inspect.isclass(item.value) else (item.value,)
    own = [kind for kind in kinds if getattr(kind, "__module__", "").startswith("art_snn")]
    return "\n".join([*(kind.__doc__ or "" for kind in own), sys.modules[item.value.__module__].__doc__ or ""])


def undescribed(item):
    """Parameters that are neither in a ``:param`` line nor within the literals and formulas of the text."""
    spoken = re.findall(r":param ([^:]+):|``([^`]+)``|:math:`([^`]+)`", texts(item))
    words = set(re.findall(r"\w+", " ".join(map(" ".join, spoken))))
    return [p.name for p in parameters(item) if p.name not in words and p.kind is not p.VAR_KEYWORD]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_docstring_and_types(item):
    assert inspect.getdoc(item.value), f"{item.home} has no docstring"
    assert item.value.__doc__, f"{item.home} has no docstring of its own"
    untyped = [p.name for p in parameters(item) if p.annotation is p.empty]
    assert not untyped, f"{item.home}: no type for {untyped}"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_parameters_are_described(item):
    assert not undescribed(item), f"{item.home}: no words on {undescribed(item)}"


@pytest.mark.parametrize("item", SHOWN, ids=lambda item: item.name)
def test_example(item):
    assert has_example(item.value), f"{item.home} has no example"


@pytest.mark.parametrize("home", WITHOUT_EXAMPLE)
def test_reasons_hold(home):
    (value,) = (item.value for item in ITEMS if item.home == home)
    assert not has_example(value), f"{home} has an example: no reason is needed"
    reason, _, place = WITHOUT_EXAMPLE[home].partition(": ")
    if reason == "exception":
        assert issubclass(value, BaseException)
    elif reason == "abstract":
        assert inspect.isabstract(value)
        assert any(issubclass(other, value) and has_example(other) for other in CLASSES)
    else:
        assert value.__name__ in (ROOT / place).read_text()
