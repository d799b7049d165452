"""The tools that write pages at build time."""

import importlib
import sys
from pathlib import Path

import pytest

TOOLS = str(Path(__file__).parents[2] / "docs" / "tools")


def tool(name):
    sys.path.insert(0, TOOLS)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(TOOLS)


@pytest.fixture(scope="session")
def tables():
    return tool("tables")


@pytest.fixture(scope="session")
def api():
    return tool("api")


@pytest.fixture(scope="session")
def mathml():
    return tool("mathml")


@pytest.fixture(scope="session")
def offline():
    return tool("offline")
