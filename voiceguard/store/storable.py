"""Values as both databases take them.

A value that a database refuses would be tried for ever, and nothing after it would be stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

INDEXED_CHARACTERS: Final = 256
"""Most characters of a text that is filtered by: the interface's own limit. PostgreSQL refuses
a row whose indexed texts are longer than a third of a page."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_MAX_WHOLE: Final = 2**63 - 1


def storable_text(text: str) -> str:
    """Return text as both databases take it: no NUL, no half of a surrogate pair."""
    return _UNSTORABLE.sub("\ufffd", text)


def indexed_text(text: str) -> str:
    """Return text of a column that is filtered by, as it is stored and asked for."""
    return storable_text(text)[:INDEXED_CHARACTERS]


def storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row that no database refuses, whatever its values are."""
    return {name: _storable_value(value) for name, value in row.items()}


def _storable_value(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    match value:
        case bool():
            return value
        case str():
            return storable_text(value)
        case float():
            return 0.0 if math.isnan(value) else value
        case int():
            return max(-_MAX_WHOLE, min(value, _MAX_WHOLE))
        case _:
            return value
