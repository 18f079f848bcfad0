"""Policies: named, versioned, validated thresholds that a session is judged by.

A policy is one TOML file. Its version is its name and the SHA-256 of its bytes,
so that two servers which report the same version apply the same rules.
"""

from __future__ import annotations

import enum
import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Final

from voiceguard.core.errors import PolicyError
from voiceguard.core.events import AlertLevel

SCHEMA: Final = 1
"""Version of the file format that this release reads."""

RAISED_LEVELS: Final = (AlertLevel.YELLOW, AlertLevel.ORANGE, AlertLevel.RED)
"""Levels that have thresholds; green is what is left when none is raised."""


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When one alert level is raised and cleared.

    Times are seconds of the customer's scored speech: silence, and somebody
    else talking, are evidence of nothing.
    """

    raise_threshold: float
    """Pressure index, 0 to 100, at or above which the level is pending."""
    clear_threshold: float
    """Pressure index below which it begins to clear; less than `raise_threshold`."""
    hold_s: float
    """How long the index must stay above before the level is raised (Prometheus: `for`)."""
    clear_hold_s: float
    """How long it must stay below before it is cleared (Prometheus: `keep_firing_for`)."""
    minimum_speech_s: float
    """Speech that must have been scored before the level can be raised at all."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise PolicyError("alerts", f"{item.name} must be a number, not {value!r}")
            if not math.isfinite(value) or value < 0:
                raise PolicyError("alerts", f"{item.name} = {value}; it must be 0 or more")
        if not 0 < self.raise_threshold <= 100:
            problem = f"raise_threshold = {self.raise_threshold}; it must be in (0, 100]"
            raise PolicyError("alerts", problem)
        if self.clear_threshold >= self.raise_threshold:
            problem = (
                f"clear_threshold {self.clear_threshold} must be less than "
                f"raise_threshold {self.raise_threshold}, else the level would flap"
            )
            raise PolicyError("alerts", problem)


class AudioKeeping(enum.Enum):
    """Which sessions' audio is kept."""

    FLAGGED = "flagged"
    """That of sessions marked high-sensitivity."""
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides a session besides its audio and the model, and what is kept of it."""

    name: str
    version: str
    """`name@sha256:` and the first 16 hexadecimal digits of the file's digest."""
    alerts: Mapping[AlertLevel, AlertPolicy]
    """Thresholds of yellow, orange and red."""
    handoff_level: AlertLevel | None
    """Level that asks for a human; None: no handoffs."""
    flag_level: AlertLevel | None
    """Level that marks the session high-sensitivity; None: no flags."""
    cooldown_s: float
    """Audio time after a handoff request in which no other is made."""
    ack_deadline_s: float
    """How long a handoff request is sent again for while nobody answers."""
    require_consent: bool
    """Refuse sessions without consent given and notice given."""
    allow_mixed_channel: bool
    """Score a channel that carries both sides. The agent is then analysed too."""
    keep_audio: AudioKeeping
    """Which sessions' audio is kept for review."""
    retention_days: float
    """How long a session is kept after its end; a legal hold keeps it longer."""
    content: bytes = field(repr=False)
    """The file, whose digest is in `version`: what evidence shows."""

    def __post_init__(self) -> None:
        missing = [level.name.lower() for level in RAISED_LEVELS if level not in self.alerts]
        if missing:
            raise PolicyError(self.name, f"alerts.{missing[0]} is missing")
        if not self.retention_days > 0:
            problem = f"keep.retention_days = {self.retention_days}; it must be more than 0"
            raise PolicyError(self.name, problem)
        for lower, upper in pairwise(RAISED_LEVELS):
            if self.alerts[lower].raise_threshold > self.alerts[upper].raise_threshold:
                problem = (
                    f"alerts.{lower.name.lower()}.raise_threshold is above "
                    f"alerts.{upper.name.lower()}.raise_threshold; levels must rise"
                )
                raise PolicyError(self.name, problem)

    @classmethod
    def from_toml(cls, content: bytes, source: str) -> Policy:
        """Read a policy from the bytes of its file.

        Args:
            content: the file, UTF-8 TOML.
            source: its name, for error messages.

        Raises:
            PolicyError: when a setting is missing, unknown or out of range.
        """
        try:
            table = tomllib.loads(content.decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PolicyError(source, f"not a TOML file: {error}") from error
        try:
            return _read_policy(_Table(source, "", table), content)
        except PolicyError as error:
            raise PolicyError(source, error.problem) from None


def _read_policy(table: _Table, content: bytes) -> Policy:
    if table.number("schema") != SCHEMA:
        raise PolicyError(table.source, f"schema must be {SCHEMA}")
    name = table.text("name")
    digest = hashlib.sha256(content).hexdigest()
    table.text("description")
    session, handoff = table.table("session"), table.table("handoff")
    flag, alerts = table.table("flag"), table.table("alerts")
    keep = table.table("keep")
    policy = Policy(
        name=name,
        version=f"{name}@sha256:{digest[:16]}",
        alerts={level: _read_alert(alerts.table(level.name.lower())) for level in RAISED_LEVELS},
        handoff_level=handoff.level("level"),
        flag_level=flag.level("level"),
        cooldown_s=handoff.number("cooldown_s"),
        ack_deadline_s=handoff.number("ack_deadline_s"),
        require_consent=session.boolean("require_consent"),
        allow_mixed_channel=session.boolean("allow_mixed_channel"),
        keep_audio=keep.audio("audio"),
        retention_days=keep.number("retention_days"),
        content=content,
    )
    for part in (table, session, handoff, flag, alerts, keep):
        part.refuse_unknown()
    return policy


def _read_alert(table: _Table) -> AlertPolicy:
    values = {item.name: table.number(item.name) for item in fields(AlertPolicy)}
    table.refuse_unknown()
    try:
        return AlertPolicy(**values)
    except PolicyError as error:
        raise PolicyError(table.source, f"{table.path}: {error.problem}") from None


class _Table:
    """A TOML table being read: every key must be asked for, of the right type."""

    def __init__(self, source: str, path: str, values: Mapping[str, object]) -> None:
        self.source = source
        self.path = path
        self._values = values
        self._read: set[str] = set()

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str) or not value:
            raise self._error(key, "must be a text")
        return value

    def number(self, key: str) -> float:
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(key, "must be a number")
        if not math.isfinite(value) or value < 0:
            raise self._error(key, f"is {value}; it must be 0 or more")
        return float(value)

    def boolean(self, key: str) -> bool:
        value = self._take(key)
        if not isinstance(value, bool):
            raise self._error(key, "must be true or false")
        return value

    def level(self, key: str) -> AlertLevel | None:
        names = {level.name.lower(): level for level in RAISED_LEVELS}
        value = self._take(key)
        if value == "never":
            return None
        if not isinstance(value, str) or value not in names:
            raise self._error(key, f"must be one of {', '.join(names)}, never")
        return names[value]

    def audio(self, key: str) -> AudioKeeping:
        names = {choice.value: choice for choice in AudioKeeping}
        value = self._take(key)
        if not isinstance(value, str) or value not in names:
            raise self._error(key, f"must be one of {', '.join(names)}")
        return names[value]

    def table(self, key: str) -> _Table:
        value = self._take(key)
        if not isinstance(value, dict):
            raise self._error(key, "must be a table")
        return _Table(self.source, self._join(key), value)

    def refuse_unknown(self) -> None:
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            raise self._error(unknown[0], "is not a setting of a policy")

    def _take(self, key: str) -> object:
        self._read.add(key)
        if key not in self._values:
            raise self._error(key, "is missing")
        return self._values[key]

    def _join(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _error(self, key: str, problem: str) -> PolicyError:
        return PolicyError(self.source, f"{self._join(key)} {problem}")
