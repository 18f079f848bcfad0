"""Reads the fields of a manifest strictly: each must be asked for, and be of the right kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn, TypeVar

from voiceguard.core.errors import ModelError

__all__ = ["Table"]

_Value = TypeVar("_Value")


class Table:
    """A TOML table that knows where it is, and which of its fields have been asked for."""

    def __init__(self, source: str, path: str, values: Mapping[str, object]) -> None:
        self._source = source
        self._path = path
        self._values = dict(values)

    def refuse(self, field: str, problem: str) -> NoReturn:
        """Raise a `ModelError` about a field of this table."""
        place = f"{self._path}.{field}" if self._path and field else self._path or field
        message = f"{self._source}: {place}: {problem}"
        raise ModelError(message)

    def has(self, field: str) -> bool:
        """Return whether a field is there that has not been taken."""
        return field in self._values

    def take(self, field: str, kind: type[_Value], meaning: str) -> _Value:
        """Take a field that must be there."""
        if field not in self._values:
            self.refuse(field, f"is missing; it must be {meaning}")
        value = self._values.pop(field)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(field, f"{value!r} is not {meaning}")
        return value

    def text(self, field: str, pattern: re.Pattern[str] | None = None, meaning: str = "") -> str:
        """Take a string that is not blank, and matches `pattern` as a whole."""
        meaning = meaning or "text that says it"
        value = self.take(field, str, meaning)
        if not value.strip() or (pattern and not pattern.fullmatch(value)):
            self.refuse(field, f"{value!r} is not {meaning}")
        return value

    def whole(self, field: str, low: int, high: int) -> int:
        """Take a whole number from `low` to `high`."""
        meaning = f"a whole number from {low} to {high}"
        value = self.take(field, int, meaning)
        if not low <= value <= high:
            self.refuse(field, f"{value} is not {meaning}")
        return value

    def table(self, field: str) -> Table:
        """Take a table."""
        values = self.take(field, dict, "a table")
        return Table(self._source, f"{self._path}.{field}" if self._path else field, values)

    def tables(self, field: str) -> list[Table]:
        """Take an array of at least one table."""
        items = self.take(field, list, "an array of tables")
        if not items or not all(isinstance(item, dict) for item in items):
            self.refuse(field, "is not an array of at least one table")
        place = f"{self._path}.{field}" if self._path else field
        return [Table(self._source, f"{place}[{i}]", item) for i, item in enumerate(items)]

    def texts(self, field: str) -> tuple[str, ...]:
        """Take an array of strings; numbers are taken for names too."""
        items = self.take(field, list, "an array of names")
        for item in items:
            if not isinstance(item, str | int) or isinstance(item, bool) or item == "":
                self.refuse(field, f"{item!r} in it is not a name")
        return tuple(str(item) for item in items)

    def names(self) -> list[str]:
        """Return the names of the fields that have not been taken."""
        return list(self._values)

    def end(self) -> None:
        """Refuse whatever has not been taken."""
        if self._values:
            self.refuse(next(iter(self._values)), "is no field of a manifest; remove or correct it")
