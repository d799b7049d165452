"""Stand-ins for frameworks that are not installed, so that ART's test files can be imported.

The files import TensorFlow and Keras at the top even where a test needs PyTorch alone. A stand-in answers every
attribute with a class that can be subclassed, called and used as a decorator. ``importlib.util.find_spec`` still says
that the package is missing, so that code which asks before it imports goes the way without.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

MISSING = ("tensorflow", "keras", "tensorflow_addons", "tensorflow_probability", "tensorflow_hub")
VERSION = "2.0.0"


class _AnswersAll(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _Dummy

    def __iter__(cls) -> Any:
        return iter(())


class _Dummy(metaclass=_AnswersAll):
    """Whatever is asked of a framework that is not there."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        decorated = args[0] if len(args) == 1 and not kwargs else None
        return decorated if isinstance(decorated, types.FunctionType) else super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return args[0] if len(args) == 1 and isinstance(args[0], types.FunctionType) else _Dummy()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _Dummy

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        pass


class _Module(types.ModuleType):
    __version__ = VERSION

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _Dummy


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] in MISSING:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def install() -> None:
    """Serve the stand-ins; packages that are really installed are left alone."""
    global MISSING
    real_find_spec = importlib.util.find_spec
    MISSING = tuple(name for name in MISSING if real_find_spec(name) is None)

    def find_spec(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
        return None if name.partition(".")[0] in MISSING else real_find_spec(name, package)

    importlib.util.find_spec = find_spec
    sys.meta_path.append(_Finder())
    sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")
