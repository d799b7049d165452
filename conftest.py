"""Pytest settings that need code."""

import inspect

import pytest

from art_snn import SpikingNetwork

collect_ignore = ["art_snn/defences.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--no-fast`` runs every network as SpikingJelly has it, to show that nothing but time depends on it."""
    parser.addoption("--no-fast", action="store_true", help="networks are built with fast=False by default")


def pytest_configure(config: pytest.Config) -> None:
    """Change the default of the argument, not the tests. Tests of the fast ways themselves ask for them by name."""
    if config.getoption("--no-fast"):
        defaults = inspect.unwrap(SpikingNetwork.__init__).__kwdefaults__
        defaults["fast"] = False
