"""`Record`: one thing that is to be kept of a session, and the columns that the database shows.

A record goes into the spool, its leaf into the evidence log, and later its columns into the
database. What is personal is in `sealed` alone, under the session's own key, so that destroying
the key destroys it wherever it lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voiceguard.evidence.leaves import Leaf

INTERRUPTED: Final = "interrupted"
"""How a session ended that the server did not see the end of."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session began. Times are milliseconds since 1970, UTC."""

    tenant: str
    session_id: str
    """As the client chose it."""
    call_id: str
    campaign: str
    agent_id: str
    customer: str
    """Pseudonym of the customer's number; empty: no number was given."""
    call_started_at_ms: int | None
    opened_at_ms: int
    policy_version: str
    policy_sha256: str
    model_version: str
    model_sha256: str
    """Of the manifest, which names the digest of the model's file."""
    keep_audio: str
    """A value of `AudioKeeping`."""
    retention_days: float
    wrapped_key: str
    """The session's key under the master key, base64."""
    key_id: str
    """Which master key."""


@dataclass(frozen=True, slots=True)
class HandoffColumns:
    """A handoff that was asked for."""

    handoff_id: str
    alert_id: str
    requested_at_ms: int
    offset_s: float
    pressure_index: float
    reason: str
    """A value of `HandoffReason`."""
    explanation: str
    ack_deadline_s: float


@dataclass(frozen=True, slots=True)
class SettlementColumns:
    """What became of a handoff."""

    handoff_id: str
    outcome: str
    """A value of `HandoffOutcome`."""
    reason: str
    settled_at_ms: int


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The next events of a session, and what they change about it."""

    first: int
    """Index of the first of them within the session, from 0."""
    count: int
    peak_pressure_index: float
    """Of the session so far."""
    peak_level: int
    """Of the session so far, an `AlertLevel`."""
    flagged_at_ms: int | None = None
    """When it was flagged, if it was so far."""
    flag_offset_s: float | None = None
    flag_pressure_index: float | None = None
    flag_reason: str = ""
    handoffs: tuple[HandoffColumns, ...] = ()
    settlements: tuple[SettlementColumns, ...] = ()


@dataclass(frozen=True, slots=True)
class Closed:
    """A session ended."""

    closed_at_ms: int
    ended: str
    """completed, failed, abandoned or interrupted."""
    events: int
    """How many there are in all."""
    audio: str
    """`pending`: an `AudioKept` follows; `none`: nothing is kept."""
    retain_until_ms: int
    audio_s: float
    customer_speech_s: float
    peak_pressure_index: float
    mean_pressure_index: float
    peak_level: int
    high_sensitivity: bool
    handoffs: int
    gaps_s: float
    windows_missed: int


@dataclass(frozen=True, slots=True)
class AudioKept:
    """The audio of a session lies sealed in a file."""

    file: str
    """Name within the store's audio folder; empty: there was none to keep after all."""
    bytes_: int
    """Of the FLAC file, unsealed."""
    samples: int
    complete: bool
    """Whether it is all that was received."""


@dataclass(frozen=True, slots=True)
class VerdictGiven:
    """A reviewer's verdict; its comment is sealed."""

    verdict_id: str
    handoff_id: str
    """Empty: the session as a whole."""
    kind: str
    """confirmed, false_alarm or unsure."""
    reviewer: str
    recorded_at_ms: int


@dataclass(frozen=True, slots=True)
class Accessed:
    """Somebody looked at a session, heard it or exported it."""

    actor: str
    action: str
    """viewed, heard or exported."""
    at_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class HoldSet:
    """A legal hold was placed or released."""

    hold: bool
    actor: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Erased:
    """A session's key is destroyed, and everything under it with it."""

    cause: str
    """`request` or `retention`."""
    actor: str
    """Empty for retention."""
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something about the log itself, with no session: the leaf says all."""


Columns = (
    Opened | EventBatch | Closed | AudioKept | VerdictGiven | Accessed | HoldSet | Erased | Noted
)
"""What the database keeps readable of a record."""

COLUMN_TYPES: Final[Mapping[str, type[Columns]]] = {
    kind.__name__: kind
    for kind in (
        Opened, EventBatch, Closed, AudioKept, VerdictGiven, Accessed, HoldSet, Erased, Noted,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One record on its way to the database."""

    leaf_index: int
    leaf: Leaf
    columns: Columns
    sealed: bytes = field(repr=False)
    """Salt and payload under the session's key; empty where there is no payload."""


def columns_to_json(columns: Columns) -> dict[str, Any]:
    """Return columns as a JSON object that `columns_from_json` reads."""
    return {"type": type(columns).__name__, **dataclasses.asdict(columns)}


def columns_from_json(values: Mapping[str, Any]) -> Columns:
    """Return the columns that `columns_to_json` wrote.

    Raises:
        KeyError, TypeError: it was something else that wrote them.
    """
    rest = dict(values)
    kind = COLUMN_TYPES[str(rest.pop("type"))]
    if kind is EventBatch:
        rest["handoffs"] = tuple(HandoffColumns(**item) for item in rest["handoffs"])
        rest["settlements"] = tuple(SettlementColumns(**item) for item in rest["settlements"])
    columns: Columns = kind(**rest)
    return columns
