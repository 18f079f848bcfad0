"""Events as lines of JSON: what is kept, hashed and shown to people.

The line is compact and its keys are in the order of the event's fields, so that one event always
gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from voiceguard.core import events as core
from voiceguard.core.events import AlertLevel, Event, HandoffOutcome, HandoffReason, SignalQuality

EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    core.SpeechStarted,
    core.SpeechEnded,
    core.PressureUpdated,
    core.WindowMissed,
    core.AlertChanged,
    core.HandoffRequested,
    core.HandoffSettled,
    core.SessionFlagged,
    core.GapDetected,
    core.SessionFinished,
)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


EVENT_NAMES: Final[Mapping[type[Event], str]] = {
    kind: _snake(kind.__name__) for kind in EVENT_TYPES
}
"""`pressure_updated` and so on."""

_TYPES: Final[Mapping[str, Callable[..., Event]]] = {
    name: kind for kind, name in EVENT_NAMES.items()
}
_FIELDS: Final = {
    kind: tuple(item.name for item in dataclasses.fields(kind)) for kind in EVENT_TYPES
}

_READERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "level": lambda name: AlertLevel[name.upper()],
    "previous_level": lambda name: AlertLevel[name.upper()],
    "peak_level": lambda name: AlertLevel[name.upper()],
    "quality": SignalQuality,
    "outcome": HandoffOutcome,
}
"""Fields whose JSON is not their value."""

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_DIGITS: Final = 5
"""Decimals kept of scores and indices: more than a model is good for."""


def event_to_line(event: Event, sequence: int, at_ms: int) -> str:
    """Return an event as one line of JSON, without the line's end.

    Args:
        event: of a session.
        sequence: its index within the session, from 0.
        at_ms: when it was recorded, milliseconds since 1970, UTC.
    """
    kind = type(event)
    values: dict[str, object] = {"seq": sequence, "at_ms": at_ms, "event": EVENT_NAMES[kind]}
    for name in _FIELDS[kind]:
        values[name] = _plain(getattr(event, name))
    return _encode(values)


def event_from_line(line: str) -> tuple[Event, int, int]:
    """Return the event, its sequence and its time (ms) from a line of `event_to_line`.

    Raises:
        ValueError, KeyError, TypeError: it was something else that wrote the line.
    """
    values = json.loads(line)
    sequence, at_ms = int(values.pop("seq")), int(values.pop("at_ms"))
    kind = _TYPES[values.pop("event")]
    read: dict[str, Any] = {name: _read_field(name, value) for name, value in values.items()}
    if kind is core.HandoffRequested:
        read["reason"] = HandoffReason(read["reason"])
    event: Event = kind(**read)
    return event, sequence, at_ms


def _read_field(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    reader = _READERS.get(name)
    return value if reader is None else reader(value)


def _plain(value: object) -> object:
    # For each field of each event of each call: the usual types first, without a match.
    kind = type(value)
    if kind is int or kind is str or kind is bool:
        return value
    if isinstance(value, float):
        return round(value, _DIGITS)
    match value:
        case AlertLevel():
            return value.name.lower()
        case enum.Enum():
            return value.value
        case Mapping():
            return {name: round(number, _DIGITS) for name, number in value.items()}
        case _:
            return value
