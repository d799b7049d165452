"""Values out of a configuration file, checked one by one; every error says where, what and how to repair it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from art_snn.errors import explain, suggest

T = TypeVar("T")
_WORDS: dict[type, str] = {
    str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list", dict: "a table",
}  # fmt: skip


class Section:
    """One table of a file.

    :param where: its name in messages.
    :param table: what the file says.
    :param known: the keys it may have.
    :raises ValueError: if it is no table or has another key; the message suggests the nearest one.
    """

    def __init__(self, where: str, table: Any, known: Collection[str]) -> None:
        self.where = where
        if not isinstance(table, Mapping):
            raise ValueError(self.error(_said(table), "a table", f"write {where} and its keys below"))
        for key in table:
            if key not in known:
                raise ValueError(f"{where}: {suggest(key, known, 'key')}")
        self.table = table

    def error(self, came: str, expected: str, fix: str) -> str:
        """A message with the place in front."""
        return f"{self.where}: {explain(came, expected, fix)}"

    def wrong(self, key: str, value: Any, expected: str, fix: str) -> ValueError:
        """The error of one key."""
        return ValueError(self.error(f"{key} = {_said(value)}", expected, fix))

    def text(self, key: str, default: str | None = None) -> str:
        """A string that is not empty.

        :raises ValueError: for anything else, or nothing where there is no default.
        """
        value = self._value(key, default, str)
        if not value.strip():
            raise self.wrong(key, value, "a string that is not empty", f"leave {key} out, or give it a value")
        return str(value)

    def number(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number in a range.

        :raises ValueError: for anything else, or nothing where there is no default.
        """
        value = self._value(key, default, int)
        if not low <= value <= high:
            raise self.wrong(key, value, f"{low}..{high}", f"{key} = {min(max(value, low), high)}")
        return int(value)

    def items(self, key: str, default: list[Any] | None, parse: Callable[[Any], T]) -> list[T]:
        """A list that is not empty and names nothing twice.

        :raises ValueError: for anything else, or nothing where there is no default.
        """
        values = self._value(key, default, list)
        if not values:
            raise self.wrong(key, values, "at least one entry", f"leave {key} out, or fill it")
        found: list[T] = []
        for value in values:
            try:
                parsed = parse(value)
            except ValueError as error:
                raise ValueError(f"{self.where}, {key}: {error}") from error
            if parsed in found:
                raise self.wrong(key, values, "every entry once", f"drop the second {value!r}")
            found.append(parsed)
        return found

    def _value(self, key: str, default: T | None, kind: type) -> Any:
        if key not in self.table:
            if default is None:
                raise ValueError(self.error(f"no {key}", f"{key}, {_WORDS[kind]}", f"add {key} = ..."))
            return default
        value = self.table[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, value, _WORDS[kind], f"write {key} as {_WORDS[kind]}")
        return value


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def whole(value: Any) -> int:
    """A whole number from 0 to 2**31 - 1.

    :raises ValueError: for anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(explain(_said(value), "a whole number from 0 to 2147483647", "seeds = [0, 1, 2], say"))
    return value


def budget(value: Any) -> float:
    """A budget: a number, or a fraction such as ``"8/255"``.

    :raises ValueError: for anything else, or one that is negative or not finite.

    >>> budget("8/255") == 8 / 255
    True
    """
    fix = 'write 0.1 or "8/255"'
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(explain(_said(value), "a number or a fraction", fix))
    try:
        above, _, below = str(value).partition("/")
        found = float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(explain(_said(value), "a number or a fraction", fix)) from error
    if not (math.isfinite(found) and found > 0):
        raise ValueError(explain(_said(value), "a finite budget above 0", fix))
    return found


def one_of(known: Collection[str], kind: str) -> Callable[[Any], str]:
    """A parser for one of several names."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError(suggest(str(value), known, kind))
        return value

    return parse
