"""What the database knows of sessions, as it is read. Times are milliseconds since 1970, UTC."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HandoffRow:
    """A handoff that a session asked for."""

    handoff_id: str
    alert_id: str
    requested_at_ms: int
    offset_s: float
    pressure_index: float
    reason: str
    """A value of `HandoffReason`."""
    explanation: str
    ack_deadline_s: float
    verdict: str
    """The newest verdict on it; empty: there is none on itself."""


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """What became of a handoff."""

    handoff_id: str
    outcome: str
    """A value of `HandoffOutcome`."""
    reason: str
    settled_at_ms: int


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What a reviewer found. The comment is sealed in record `n` of the session."""

    n: int
    verdict_id: str
    handoff_id: str
    """Empty: the session as a whole."""
    kind: str
    """confirmed, false_alarm or unsure."""
    reviewer: str
    recorded_at_ms: int


@dataclass(frozen=True, slots=True)
class AccessRow:
    """Somebody did something with a session."""

    n: int
    """Of the record within the session."""
    actor: str
    """Empty: the server itself."""
    action: str
    """viewed, heard, exported, judged, held, released or erased."""
    at_ms: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session with its handoffs, settlements and verdicts.

    Once it is erased, what is left are ids, times, versions and what the evidence log says.
    """

    uid: str
    """Evidence id, 32 hexadecimal digits."""
    origin: str
    """The evidence log that it is in."""
    tenant: str
    session_id: str
    """As the client chose it; with `~2` and so on where the tenant had used that id before."""
    call_id: str
    campaign: str
    agent_id: str
    customer: str
    """Pseudonym of the customer's number; empty: no number was given."""
    call_started_at_ms: int | None
    policy_version: str
    policy_sha256: str
    model_version: str
    model_sha256: str
    keep_audio: str
    """A value of `AudioKeeping`."""
    retention_days: float
    wrapped_key: str = field(repr=False)
    """Empty: destroyed."""
    key_id: str
    opened_at_ms: int
    closed_at_ms: int | None
    """None: it is live."""
    ended: str
    """completed, failed, abandoned or interrupted; empty: it is live."""
    leaves: int
    """Of it in the evidence log."""
    events: int
    peak_pressure_index: float
    peak_level: int
    """An `AlertLevel`; 0: erased."""
    high_sensitivity: bool
    flagged_at_ms: int | None
    flag_offset_s: float | None
    flag_pressure_index: float | None
    flag_reason: str
    audio_s: float
    customer_speech_s: float
    mean_pressure_index: float
    handoff_count: int
    gaps_s: float
    windows_missed: int
    audio: str
    """none, pending or kept; empty: it is live."""
    audio_file: str
    """Name within the store's audio folder. Of an erased session: still to be deleted."""
    audio_bytes: int
    """Of the FLAC file, unsealed."""
    audio_samples: int
    audio_complete: bool
    verdict: str
    """The newest verdict on the session as a whole; empty: there is none."""
    first_verdict_at_ms: int | None
    """None: it is unreviewed."""
    retain_until_ms: int | None
    """None: it is live, or erased."""
    legal_hold: bool
    erased_at_ms: int | None
    erased_cause: str
    """request or retention; empty: it is not erased."""
    handoffs: tuple[HandoffRow, ...]
    settlements: tuple[SettlementRow, ...]
    verdicts: tuple[VerdictRow, ...]
    """Oldest first, as the others."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record of a session: its leaf, and its payload under the session's key."""

    n: int
    """Of the leaf within the session."""
    kind: str
    """A value of `LeafKind`."""
    leaf_index: int
    """Of the leaf in the evidence log."""
    leaf: bytes
    first_event: int | None
    """Index of its first event within the session; None: it is not of kind `events`."""
    event_count: int
    sealed: bytes = field(repr=False)
    """Empty: there is no payload, or it is erased."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are meant. Joined by "and"; what is left out matches everything."""

    high_sensitivity_only: bool = False
    min_level: int = 0
    """An `AlertLevel` that the session reached."""
    started_after_ms: int | None = None
    """Opened at this time or later."""
    started_before_ms: int | None = None
    """Opened before this time."""
    campaign: str = ""
    agent_id: str = ""
    call_id: str = ""
    customer: str = ""
    """Pseudonym."""
    unreviewed_only: bool = False
    verdict: str = ""
    """With a verdict of this kind."""
    legal_hold_only: bool = False


class Order(enum.Enum):
    """What sessions are sorted by, greatest first; equal ones by evidence id."""

    STARTED = "started_at"
    PEAK = "peak_pressure_index"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last session of a page: the next page begins after it.

    It stays right while sessions are added: they are missed or found, never shown twice.
    """

    value: float
    """What the order sorts by: milliseconds (whole) or a pressure index."""
    uid: str


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some of the sessions that match."""

    rows: tuple[SessionRow, ...]
    next: Cursor | None
    """None: there are no more."""
    total: int | None
    """How many match in all, if that was asked for."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A session that opened and did not close."""

    uid: str
    leaves: int
    events: int


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A session's key under a master key."""

    uid: str
    wrapped_key: str = field(repr=False)
    key_id: str


@dataclass(frozen=True, slots=True)
class LeftAudio:
    """An audio file of a session that is erased, to be deleted."""

    uid: str
    file: str


@dataclass(frozen=True, slots=True)
class StatisticsRow:
    """Counts over some sessions."""

    name: str
    """The day (2026-11-24) or the campaign; empty: all."""
    sessions: int
    flagged: int
    flagged_reviewed: int
    """Of the flagged ones, those with a verdict."""
    handoffs: int
    confirmed: int
    """Handoffs whose newest verdict, or else their session's, is "confirmed"."""
    false_alarms: int
    unsure: int
    median_time_to_verdict_s: float | None
    """From flag to first verdict; None: there is none."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What sessions came to. Erased ones are left out, as what they came to is gone."""

    total: StatisticsRow
    days: tuple[StatisticsRow, ...]
    """Those with sessions, oldest first."""
    campaigns: tuple[StatisticsRow, ...]
    """Most sessions first, at most `MAX_CAMPAIGNS`."""
