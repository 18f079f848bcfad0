"""What a report states of a session: pure data.

`at_ms` is when something was recorded, in milliseconds since 1970, UTC, by the server's clock.
Seconds (`at_s`, `start_s`, `end_s`) count from the call's first sample on the audio clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LEVELS: Final = ("green", "yellow", "orange", "red")
"""Alert levels, lowest first."""

SCORED_ROLES: Final = frozenset({"customer", "mixed"})
"""Roles of channels that are analysed."""


@dataclass(frozen=True, slots=True)
class PressurePoint:
    """The index of one channel after one hop of its speech."""

    at_ms: int
    channel: int
    start_s: float
    end_s: float
    """Stretch of the call that the hop was taken from."""
    index: float
    """0 to 100."""
    level: str
    scores: Mapping[str, float]
    """Outputs of the model, 0 to 1; empty: the hop was not scored."""


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A stretch in which somebody spoke on an analysed channel."""

    channel: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch whose audio never arrived."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A channel's alert level changed."""

    at_ms: int
    at_s: float
    channel: int
    level: str
    previous_level: str
    index: float
    threshold: float
    scores: Mapping[str, float]
    """Of the newest hop by then; empty: none was scored."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """An answer to a handoff, or that none came."""

    at_ms: int
    outcome: str
    """accepted, transferred, declined, failed or expired."""
    reason: str


@dataclass(frozen=True, slots=True)
class Handoff:
    """A human was asked to take the call over."""

    handoff_id: str
    at_ms: int
    at_s: float
    channel: int
    index: float
    reason: str
    """anger, distress or pressure."""
    explanation: str
    ack_deadline_s: float
    settlements: tuple[Settlement, ...]
    """The acknowledgement first, the outcome last; empty: the session ended before either."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The session was marked high-sensitivity."""

    at_ms: int
    at_s: float
    channel: int
    index: float
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer found."""

    at_ms: int
    handoff_id: str
    """Empty: the session as a whole."""
    kind: str
    """confirmed, false_alarm or unsure."""
    comment: str
    reviewer: str


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """Somebody had to do with the session."""

    at_ms: int
    actor: str
    action: str
    """viewed, heard, exported, held or released."""
    detail: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """Between which indices a level is raised and cleared."""

    level: str
    raise_at: float
    clear_at: float
    hold_s: float
    minimum_speech_s: float


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The policy that decided the session."""

    version: str
    sha256: str
    thresholds: tuple[Threshold, ...]
    """Lowest level first."""
    handoff_level: str
    """Level that asks for a human, or `never`."""
    flag_level: str


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the client said of the call."""

    call_id: str
    campaign: str
    agent_id: str
    customer: str
    """Pseudonym of the customer's number; empty: none was given."""
    started_at_ms: int | None
    time_zone: str
    """Of the customer, an IANA name; may be empty."""
    labels: Mapping[str, str]
    consent_state: str
    """unspecified, given, refused or not_required."""
    notice_given: bool
    lawful_basis: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the session came to, as it said itself at its end."""

    ended: str
    """completed, failed, abandoned or interrupted."""
    closed_at_ms: int
    events: int
    audio_s: float
    customer_speech_s: float
    peak_index: float
    mean_index: float
    peak_level: str
    flagged: bool
    gaps_s: float
    windows_missed: int


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The audio that is kept."""

    sha256: str
    """Of audio.flac, hexadecimal."""
    bytes_: int
    duration_s: float
    complete: bool
    missing_s: float


@dataclass(frozen=True, slots=True)
class LeafRange:
    """All leaves of one kind that the evidence log has of the session."""

    kind: str
    count: int
    first_index: int
    last_index: int
    """Numbers within the whole log, from 0."""
    first_at_ms: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything that a report states of one session."""

    tenant: str
    session_id: str
    evidence_id: str
    origin: str
    """Name of the evidence log."""
    opened_at_ms: int
    encoding: str
    sample_rate_hz: int
    roles: tuple[str, ...]
    """Who speaks on each channel."""
    keep_audio: str
    retention_days: float
    model_version: str
    model_sha256: str
    call: CallFacts
    policy: PolicyFacts
    summary: Summary | None
    """None: the session was not closed yet."""
    audio: AudioFacts | None
    points: tuple[PressurePoint, ...] = field(repr=False)
    speech: tuple[SpeechSpan, ...] = field(repr=False)
    gaps: tuple[Gap, ...]
    changes: tuple[LevelChange, ...]
    handoffs: tuple[Handoff, ...]
    flag: Flag | None
    verdicts: tuple[Verdict, ...]
    accesses: tuple[AccessEntry, ...]
    leaves: tuple[LeafRange, ...]
    latest_s: float
    """Latest moment of the call that an event speaks of."""

    @property
    def duration_s(self) -> float:
        """Length of the call in seconds, as far as it is known."""
        return max(self.latest_s, self.summary.audio_s if self.summary is not None else 0.0)

    @property
    def peak_index(self) -> float:
        """Highest index, 0 to 100; 0 when nothing was scored."""
        if self.summary is not None:
            return self.summary.peak_index
        return max((point.index for point in self.points), default=0.0)

    @property
    def peak_level(self) -> str:
        """Highest level that was raised."""
        if self.summary is not None:
            return self.summary.peak_level
        return max((change.level for change in self.changes), key=LEVELS.index, default="green")

    @property
    def scored_channels(self) -> tuple[int, ...]:
        """Channels that were analysed."""
        return tuple(n for n, role in enumerate(self.roles) if role in SCORED_ROLES)
