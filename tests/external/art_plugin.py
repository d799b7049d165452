"""The pytest plug-in under which ART's own test files run: ``-p art_plugin`` from the root of the prepared folder.

Before a test file is imported it serves stand-ins for missing frameworks, cuts MNIST down (fixtures copy it several
times for every test), and puts the substitute in the place of ART's reference classifier. After the last test it writes
what became of each.

Environment: ``ART_SUBSTITUTE`` is ``plain``, ``canary`` or ``snn``; ``ART_OUTCOMES`` names the file to write.
"""

from __future__ import annotations

import functools
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
MARKS = ("skip_framework(*frameworks)", "only_with_platform(*frameworks)", "framework_agnostic", "skip_module(*names)")
_outcomes: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--framework", default="pytorch")


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: ART's own")
    art.utils.load_dataset = _sliced(art.utils.load_dataset)
    import tests.utils

    tests.utils.load_dataset = art.utils.load_dataset
    tests.utils.master_seed(SEED)
    if os.environ["ART_SUBSTITUTE"] != "plain":
        import art_canary

        tests.utils.get_image_classifier_pt = art_canary.get_image_classifier_pt


def _sliced(load: Callable[[str], Any]) -> Callable[[str], Any]:
    @functools.cache
    def once(name: str) -> Any:
        (x_train, y_train), (x_test, y_test), low, high = load(name)
        if "mnist" in name:
            x_train, y_train = x_train[: KEPT[0]].copy(), y_train[: KEPT[0]].copy()
            x_test, y_test = x_test[: KEPT[1]].copy(), y_test[: KEPT[1]].copy()
        return (x_train, y_train), (x_test, y_test), low, high

    return once


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst of setup, call and teardown, with the first line of an error."""
    found = _outcomes.setdefault(report.nodeid, {"outcome": "passed", "error": "", "empty": False, "seconds": 0.0})
    found["seconds"] += report.duration
    found["empty"] = found["empty"] or any(name == EMPTY for name, _ in report.user_properties)
    if report.failed:
        message = report.longrepr.reprcrash.message if hasattr(report.longrepr, "reprcrash") else str(report.longrepr)
        lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
        found.update(outcome="failed", error=lines[0][:200] if lines else "")
    elif report.skipped:
        found["outcome"] = "xfailed" if hasattr(report, "wasxfail") else "skipped"


def pytest_sessionfinish() -> None:
    Path(os.environ["ART_OUTCOMES"]).write_text(json.dumps(_outcomes))
