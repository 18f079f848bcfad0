"""The columns of `voiceguard sessions export`, in the order in which they are written. Pure.

Names and meanings are an interface: docs/cli.md lists them, and new ones are added at the end.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.cli.session_words import (
    level_word,
    outcome_word,
    outcomes,
    reason_word,
    verdict_word,
)
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import CONSENT_STATES, ENCODINGS, ROLES, seconds_from_proto

ThingT = TypeVar("ThingT")

Value = str | float | int | bool | None
"""What a cell holds; None: not known, or nothing. Times are milliseconds since 1970, UTC."""

Row = tuple[Value, ...]


class Kind(enum.Enum):
    """What a column's values are."""

    TEXT = enum.auto()
    NUMBER = enum.auto()
    COUNT = enum.auto()
    FLAG = enum.auto()
    TIME = enum.auto()


@dataclass(frozen=True, slots=True)
class Column(Generic[ThingT]):
    """A column of a table of things.

    Attributes:
        name: as it is written.
        kind: of its values.
        read: gives the value of one thing.
    """

    name: str
    kind: Kind
    read: Callable[[ThingT], Value]


@dataclass(frozen=True, slots=True)
class Table(Generic[ThingT]):
    """How things become rows."""

    columns: tuple[Column[ThingT], ...]

    def row(self, thing: ThingT) -> Row:
        """Return the row of a thing."""
        return tuple([column.read(thing) for column in self.columns])


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event, together with the session that it belongs to."""

    session: rpb.Session
    recorded_at: Timestamp
    event: pb.MonitorResponse


# ---- sessions ----


def _text(read: Callable[[rpb.Session], str]) -> Callable[[rpb.Session], Value]:
    return lambda session: read(session) or None


def _milliseconds(moment: Timestamp) -> int:
    return moment.seconds * 1000 + moment.nanos // 1_000_000


def _time(name: str) -> Callable[[rpb.Session], Value]:
    def read(session: rpb.Session) -> Value:
        return _milliseconds(getattr(session, name)) if session.HasField(name) else None  # type: ignore[arg-type] # a name of a field

    return read


def _summary(read: Callable[[pb.SessionSummary], Value]) -> Callable[[rpb.Session], Value]:
    return lambda session: read(session.summary) if session.HasField("summary") else None


def _index(value: float) -> float:
    """Return a float of 32 bits without the digits that it does not have."""
    return round(value, 4)


def _last(read: Callable[[rpb.Verdict], Value]) -> Callable[[rpb.Session], Value]:
    return lambda session: read(session.verdicts[-1]) if session.verdicts else None


def _handoff_reasons(session: rpb.Session) -> str:
    return ";".join(reason_word(handoff.reason) for handoff in session.handoffs)


def _handoff_outcomes(session: rpb.Session) -> str:
    ended = outcomes(session)
    words = (
        outcome_word(ended[handoff.handoff_id]) if handoff.handoff_id in ended else "open"
        for handoff in session.handoffs
    )
    return ";".join(words)


def _labels(session: rpb.Session) -> str:
    labels = dict(session.call.labels)
    return json.dumps(labels, ensure_ascii=False, sort_keys=True) if labels else ""


def _call_started(session: rpb.Session) -> Value:
    call = session.call
    return _milliseconds(call.started_at) if call.HasField("started_at") else None


def _consent(session: rpb.Session) -> str:
    state = CONSENT_STATES.get(session.consent.state)
    return "" if state is None else state.name.lower()


def _encoding(session: rpb.Session) -> str:
    encoding = ENCODINGS.get(session.audio.encoding)
    return "" if encoding is None else encoding.name.lower()


def _channels(session: rpb.Session) -> str:
    return ";".join(ROLES[role].name.lower() for role in session.audio.channels if role in ROLES)


SESSION_TABLE: Final[Table[rpb.Session]] = Table(
    (
        Column("session_id", Kind.TEXT, lambda session: session.session_id),
        Column("evidence_id", Kind.TEXT, _text(lambda session: session.evidence_id)),
        Column("started_at", Kind.TIME, _time("started_at")),
        Column("ended_at", Kind.TIME, _time("ended_at")),
        Column("ended", Kind.TEXT, _text(lambda session: session.ended)),
        Column("audio_s", Kind.NUMBER, _summary(lambda s: seconds_from_proto(s.audio_duration))),
        Column(
            "customer_speech_s",
            Kind.NUMBER,
            _summary(lambda s: seconds_from_proto(s.customer_speech)),
        ),
        Column("gaps_s", Kind.NUMBER, _summary(lambda s: seconds_from_proto(s.gaps))),
        Column(
            "peak_pressure_index", Kind.NUMBER, _summary(lambda s: _index(s.peak_pressure_index))
        ),
        Column(
            "mean_pressure_index", Kind.NUMBER, _summary(lambda s: _index(s.mean_pressure_index))
        ),
        Column("peak_level", Kind.TEXT, _summary(lambda s: level_word(s.peak_level) or None)),
        Column("flagged", Kind.FLAG, lambda session: session.HasField("flagged")),
        Column("flagged_at", Kind.TIME, _time("flagged_at")),
        Column("flag_reason", Kind.TEXT, _text(lambda session: session.flagged.reason)),
        Column("handoffs", Kind.COUNT, lambda session: len(session.handoffs)),
        Column("handoff_reasons", Kind.TEXT, _text(_handoff_reasons)),
        Column("handoff_outcomes", Kind.TEXT, _text(_handoff_outcomes)),
        Column("verdicts", Kind.COUNT, lambda session: len(session.verdicts)),
        Column("verdict", Kind.TEXT, _last(lambda verdict: verdict_word(verdict.kind))),
        Column("verdict_handoff_id", Kind.TEXT, _last(lambda verdict: verdict.handoff_id or None)),
        Column("verdict_comment", Kind.TEXT, _last(lambda verdict: verdict.comment or None)),
        Column("verdict_reviewer", Kind.TEXT, _last(lambda verdict: verdict.reviewer)),
        Column("verdict_at", Kind.TIME, _last(lambda verdict: _milliseconds(verdict.recorded_at))),
        Column("call_id", Kind.TEXT, _text(lambda session: session.call.call_id)),
        Column("campaign", Kind.TEXT, _text(lambda session: session.call.campaign)),
        Column("agent_id", Kind.TEXT, _text(lambda session: session.call.agent_id)),
        Column("customer", Kind.TEXT, _text(lambda session: session.call.customer_number)),
        Column("call_started_at", Kind.TIME, _call_started),
        Column(
            "customer_time_zone", Kind.TEXT, _text(lambda session: session.call.customer_time_zone)
        ),
        Column("labels", Kind.TEXT, _text(_labels)),
        Column("consent", Kind.TEXT, _text(_consent)),
        Column("notice_given", Kind.FLAG, lambda session: session.consent.notice_given),
        Column("lawful_basis", Kind.TEXT, _text(lambda session: session.consent.lawful_basis)),
        Column("encoding", Kind.TEXT, _text(_encoding)),
        Column(
            "sample_rate_hz", Kind.COUNT, lambda session: session.audio.sample_rate_hertz or None
        ),
        Column("channels", Kind.TEXT, _text(_channels)),
        Column("policy_version", Kind.TEXT, _text(lambda session: session.policy_version)),
        Column("model_version", Kind.TEXT, _text(lambda session: session.model_version)),
        Column("audio_kept", Kind.FLAG, lambda session: session.audio_kept),
        Column("legal_hold", Kind.FLAG, lambda session: session.legal_hold),
        Column("retain_until", Kind.TIME, _time("retain_until")),
        Column("erased_at", Kind.TIME, _time("erased_at")),
    )
)

# ---- events ----


def _event_kind(stored: StoredEvent) -> str:
    return stored.event.WhichOneof("event") or "unknown"


def _field(name: str) -> Callable[[StoredEvent], Value]:
    """Return a reader of a plain field, for the kinds of events that have it."""

    def read(stored: StoredEvent) -> Value:
        value: Value = getattr(_body(stored), name, None)
        return _index(value) if isinstance(value, float) else value

    return read


def _body(stored: StoredEvent) -> object:
    kind = stored.event.WhichOneof("event")
    return None if kind is None else getattr(stored.event, kind)


def _seconds(*names: str) -> Callable[[StoredEvent], Value]:
    """Return a reader of the first of some durations that the kind of event has."""

    def read(stored: StoredEvent) -> Value:
        body = _body(stored)
        for name in names:
            duration = getattr(body, name, None)
            if duration is not None:
                return seconds_from_proto(duration)
        return None

    return read


def _level(*names: str) -> Callable[[StoredEvent], Value]:
    def read(stored: StoredEvent) -> Value:
        body = _body(stored)
        return next((level_word(getattr(body, n)) or None for n in names if hasattr(body, n)), None)

    return read


def _event_index(stored: StoredEvent) -> Value:
    body = _body(stored)
    value = getattr(body, "pressure_index", getattr(body, "peak_pressure_index", None))
    return None if value is None else _index(value)


def _event_name(stored: StoredEvent) -> Value:
    body = _body(stored)
    return getattr(body, "alert_id" if isinstance(body, pb.AlertChanged) else "handoff_id", None)


def _quality(stored: StoredEvent) -> Value:
    body = _body(stored)
    if not isinstance(body, pb.PressureUpdate):
        return None
    return pb.SignalQuality.Name(body.quality).removeprefix("SIGNAL_QUALITY_").lower()


def _scores(stored: StoredEvent) -> Value:
    body = _body(stored)
    if not isinstance(body, pb.PressureUpdate) or not body.scores:
        return None
    return json.dumps({name: _index(body.scores[name]) for name in sorted(body.scores)})


def _detail(stored: StoredEvent) -> Value:
    """Return what an event says in words of its own."""
    match _body(stored):
        case pb.SpeechEvent() as speech:
            return pb.SpeechEvent.Kind.Name(speech.kind).removeprefix("KIND_").lower()
        case pb.FlowNotice() as flow:
            return pb.FlowNotice.Kind.Name(flow.kind).removeprefix("KIND_").lower()
        case pb.HandoffRequested() as handoff:
            return handoff.explanation or None
        case pb.SessionFlagged() as flagged:
            return flagged.reason or None
        case pb.SessionOpened() as opened:
            return opened.policy_version or None
        case _:
            return None


def _handoff_reason(stored: StoredEvent) -> Value:
    body = _body(stored)
    return reason_word(body.reason) if isinstance(body, pb.HandoffRequested) else None


EVENT_TABLE: Final[Table[StoredEvent]] = Table(
    (
        Column("session_id", Kind.TEXT, lambda stored: stored.session.session_id),
        Column("evidence_id", Kind.TEXT, lambda stored: stored.session.evidence_id or None),
        Column("recorded_at", Kind.TIME, lambda stored: _milliseconds(stored.recorded_at)),
        Column("event", Kind.TEXT, _event_kind),
        Column("at_s", Kind.NUMBER, _seconds("offset", "end_offset", "audio_duration")),
        Column("start_s", Kind.NUMBER, _seconds("start_offset")),
        Column("channel", Kind.COUNT, _field("channel")),
        Column("pressure_index", Kind.NUMBER, _event_index),
        Column("level", Kind.TEXT, _level("level", "peak_level")),
        Column("previous_level", Kind.TEXT, _level("previous_level")),
        Column("threshold", Kind.NUMBER, _field("threshold")),
        Column("confidence", Kind.NUMBER, _field("confidence")),
        Column("quality", Kind.TEXT, _quality),
        Column("baseline_deviation", Kind.NUMBER, _field("baseline_deviation")),
        Column("baseline_ready", Kind.FLAG, _field("baseline_ready")),
        Column("scores", Kind.TEXT, _scores),
        Column("id", Kind.TEXT, _event_name),
        Column("reason", Kind.TEXT, _handoff_reason),
        Column("lag_s", Kind.NUMBER, _seconds("lag")),
        Column("windows_missed", Kind.COUNT, _field("windows_missed")),
        Column("detail", Kind.TEXT, _detail),
    )
)
