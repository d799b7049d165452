"""Inputs that need no question: for callers who know them, on a device that would have to be waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)


@contextmanager
def trusted() -> Iterator[None]:
    """Inside, codes and threat models do not ask whether their input is finite, legal and in the domain.

    >>> with trusted():
    ...     is_trusted()
    True
    """
    before = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(before)


def is_trusted() -> bool:
    """Whether inputs are taken as they come."""
    return _trusting.get()
