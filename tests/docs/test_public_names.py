"""Every public name has a docstring, types, words on each parameter, and an example; what is missing is listed."""

import inspect
import re
import sys
from pathlib import Path

import pytest

TOOLS = str(Path(__file__).parents[2] / "docs" / "tools")
sys.path.insert(0, TOOLS)
import api  # noqa: E402

sys.path.remove(TOOLS)

ITEMS = [item for item in api.public() if item.kind in ("class", "function", "exception")]
LISTS = Path(__file__).parent
WITHOUT_EXAMPLE = set((LISTS / "without_example.txt").read_text().split())
WITHOUT_WORDS = set((LISTS / "without_words.txt").read_text().split())


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
    text = texts(item)
    words = set(re.findall(r"\w+", " ".join(re.findall(r":param ([^:]+):", text))))
    words |= set(
        re.findall(
            r"\w+",
            " ".join(
                re.findall(r"``([^`]+)``|:math:`([^`]+)`", text)
                and [a + b for a, b in re.findall(r"``([^`]+)``|:math:`([^`]+)`", text)]
            ),
        )
    )
    return [p.name for p in parameters(item) if p.name not in words and p.kind is not p.VAR_KEYWORD]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_docstring_and_types(item):
    assert inspect.getdoc(item.value), f"{item.home} has no docstring"
    assert item.value.__doc__, f"{item.home} has no docstring of its own"
    untyped = [p.name for p in parameters(item) if p.annotation is p.empty]
    assert not untyped, f"{item.home}: no type for {untyped}"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_parameters_are_described(item):
    assert bool(undescribed(item)) == (item.home in WITHOUT_WORDS), f"{item.home}: {undescribed(item)}"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.name)
def test_example(item):
    assert (">>>" not in (item.value.__doc__ or "")) == (item.home in WITHOUT_EXAMPLE), item.home


def test_lists_name_what_exists():
    assert {item.home for item in ITEMS} >= WITHOUT_EXAMPLE | WITHOUT_WORDS
