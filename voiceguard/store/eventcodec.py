"""Events as lines of JSON: what is kept, hashed and shown to people.

The line is compact and its keys are in the order of the event's fields, so that one event always
gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from voiceguard.core import events as core
from voiceguard.core.events import AlertLevel, Event

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

_LEVEL_NAMES: Final = {level: level.name.lower() for level in AlertLevel}
_LEVELS: Final = {name: level for level, name in _LEVEL_NAMES.items()}

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_decode: Final = json.JSONDecoder().decode

_DIGITS: Final = 5
"""Decimals kept of scores and indices: more than a model is good for."""


Convert = Callable[[Any], object]


def _writer(annotation: object) -> Convert | None:
    """Return what turns a field of a type into what JSON holds; None: it stays as it is."""
    if annotation is float:
        return lambda number: round(number, _DIGITS)
    if typing.get_origin(annotation) is Mapping:
        return lambda scores: {name: round(number, _DIGITS) for name, number in scores.items()}
    if annotation is AlertLevel:
        return _LEVEL_NAMES.__getitem__
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return lambda member: member.value
    return None


def _reader(annotation: object) -> Convert | None:
    """Return the opposite of `_writer`. What was rounded stays so."""
    if annotation is AlertLevel:
        return _LEVELS.__getitem__
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {member.value: member for member in annotation}.__getitem__
    return None


_HINTS: Final = {kind: typing.get_type_hints(kind) for kind in EVENT_TYPES}

_WRITERS: Final[Mapping[type[Event], Sequence[tuple[str, Convert | None]]]] = {
    kind: [(item.name, _writer(_HINTS[kind][item.name])) for item in dataclasses.fields(kind)]
    for kind in EVENT_TYPES
}
"""All fields, in their order."""

_READERS: Final[Mapping[str, Sequence[tuple[str, Convert]]]] = {
    EVENT_NAMES[kind]: [
        (item.name, read)
        for item in dataclasses.fields(kind)
        if (read := _reader(_HINTS[kind][item.name])) is not None
    ]
    for kind in EVENT_TYPES
}
"""Fields whose JSON is not their value, by the name of the event."""


def event_to_line(event: Event, sequence: int, at_ms: int) -> str:
    """Return an event as one line of JSON, without the line's end.

    Args:
        event: of a session.
        sequence: its index within the session, from 0.
        at_ms: when it was recorded, milliseconds since 1970, UTC.
    """
    kind = type(event)
    values: dict[str, object] = {"seq": sequence, "at_ms": at_ms, "event": EVENT_NAMES[kind]}
    for name, write in _WRITERS[kind]:
        value = getattr(event, name)
        values[name] = value if write is None else write(value)
    return _encode(values)


def event_from_line(line: str) -> tuple[Event, int, int]:
    """Return the event, its sequence and its time (ms) from a line of `event_to_line`.

    Raises:
        ValueError, KeyError, TypeError: it was something else that wrote the line.
    """
    values = _decode(line)
    sequence, at_ms = int(values.pop("seq")), int(values.pop("at_ms"))
    name = values.pop("event")
    for field, read in _READERS[name]:
        values[field] = read(values[field])
    return _TYPES[name](**values), sequence, at_ms
