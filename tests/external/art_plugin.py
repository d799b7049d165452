"""The pytest plug-in under which ART's own test files run: ``-p art_plugin`` from the root of the prepared folder.

Before a test file is imported it serves stand-ins for missing frameworks, cuts MNIST down (fixtures copy it several
times for every test), and puts the substitute in the place of ART's reference classifier. After the last test it writes
what became of each.

Environment: ``ART_SUBSTITUTE`` is ``plain``, ``canary``, ``snn`` or ``relu``; ``ART_OUTCOMES`` names the file to write.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import art_stubs
import pytest

art_stubs.install()

import art.utils  # noqa: E402 - the stand-ins come first
from art_fixtures import *  # noqa: E402, F403 - pytest finds fixtures in the plug-in's own namespace
from art_fixtures import EMPTY  # noqa: E402

KEPT = (1500, 500)
SEED = 1234
MADE = ("get_image_classifier_pt", "get_image_classifier_pt_functional", "get_tabular_classifier_pt")
MARKS = ("skip_framework(*frameworks)", "only_with_platform(*frameworks)", "framework_agnostic", "skip_module(*names)")
_outcomes: dict[str, dict[str, Any]] = {}
_made: list[int] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--framework", default="pytorch")


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: ART's own")
    art.utils.load_dataset = _sliced(art.utils.load_dataset)
    import tests.utils

    tests.utils.load_dataset = art.utils.load_dataset
    tests.utils.master_seed(SEED)
    for name, made in _makers(os.environ["ART_SUBSTITUTE"]).items():
        setattr(tests.utils, name, _counted(made))


def _makers(column: str) -> dict[str, Callable[..., Any]]:
    """The functions that make classifiers for ART's tests: ART's own, but for what the column puts in their place."""
    import tests.utils

    makers = {name: getattr(tests.utils, name) for name in MADE}
    if column == "relu":
        import art_lif

        return {**makers, "get_image_classifier_pt": art_lif.relu_image_classifier_pt}
    if column == "plain":
        return makers
    module = importlib.import_module({"canary": "art_canary", "snn": "art_lif"}[column])
    return {name: getattr(module, name, make) for name, make in makers.items()}


def _counted(make: Callable[..., Any]) -> Callable[..., Any]:
    """``make``, and a note of each time it is asked: a test that never asks says nothing about the substitute."""

    @functools.wraps(make)
    def counted(*args: Any, **kwargs: Any) -> Any:
        _made.append(1)
        return make(*args, **kwargs)

    return counted


def _sliced(load: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.cache
    def once(name: str) -> Any:
        (x_train, y_train), (x_test, y_test), low, high = load(name)
        if "mnist" in name:
            x_train, y_train = x_train[: KEPT[0]].copy(), y_train[: KEPT[0]].copy()
            x_test, y_test = x_test[: KEPT[1]].copy(), y_test[: KEPT[1]].copy()
        return (x_train, y_train), (x_test, y_test), low, high

    return once


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Any:
    """Put the statement of ART's tests that failed beside the report."""
    report = yield
    report.art_statement = ""
    if call.excinfo is not None:
        tests = Path.cwd() / "tests"
        mine = [entry for entry in call.excinfo.traceback if tests in Path(entry.path).parents]
        report.art_statement = " ".join(str(mine[-1].statement).split()) if mine else ""
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of setup, call and teardown, with the first line of an error and the statement it came from."""
    fresh = {"outcome": "passed", "error": "", "statement": "", "empty": False, "asked": False, "seconds": 0.0}
    found = _outcomes.setdefault(report.nodeid, fresh)
    found["seconds"] += report.duration
    found["asked"] = found["asked"] or bool(_made)
    _made.clear()
    found["empty"] = found["empty"] or any(name == EMPTY for name, _ in report.user_properties)
    if report.failed:
        message = report.longrepr.reprcrash.message if hasattr(report.longrepr, "reprcrash") else str(report.longrepr)
        lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
        found.update(outcome="failed", error=lines[0][:200] if lines else "", statement=report.art_statement)
    elif report.skipped:
        found["outcome"] = "xfailed" if hasattr(report, "wasxfail") else "skipped"


def pytest_sessionfinish() -> None:
    Path(os.environ["ART_OUTCOMES"]).write_text(json.dumps(_outcomes))
